"""`metal bmc read`: a donor's ipmitool outputs as a table and as JSON."""

import json
from pathlib import Path

from .conftest import Metal

FRU = """FRU Device Description : Builtin FRU Device (ID 0)
 Board Mfg             : DELL
 Board Product         : PowerEdge R720
 Product Name          : web-01
 Product Serial        : ABC1234
"""
SENSORS = "PSU 1 | 06h | ok  | 10.1 | Presence detected, Failure detected\n"


def test_a_table_and_json(metal: Metal, tmp_path: Path) -> None:
    (tmp_path / "fru").write_text(FRU)
    (tmp_path / "sdr").write_text(SENSORS)
    files = (str(tmp_path / "fru"), str(tmp_path / "sdr"))
    assert metal("bmc", "read", *files).out == (
        f"{files[0]} (fru)\n"
        "  vendor  Dell\n"
        "  model   PowerEdge R720\n"
        "  serial  ABC1234\n"
        "  sku     ABC1234\n"
        f"{files[1]} (sdr)\n"
        "  psus     PSU 1  critical\n"
        "  health   critical\n"
        "  reasons  PSU 1: failure detected\n"
    )
    told = json.loads(metal("bmc", "read", "-o", "json", *files).out)
    assert [one["kind"] for one in told] == ["fru", "sdr"]
    assert told[0]["facts"]["unknown"]["drives"] == "not in this output of ipmitool"


def test_another_file_is_bad_input_and_names_itself(metal: Metal, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("hello")
    said = metal("bmc", "read", str(tmp_path / "note"))
    assert said.code == 2 and str(tmp_path / "note") in said.err and "fru print" in said.err
