"""The list of quirks in the documentation, the switches of the doubles, and these tests agree."""

import re
from pathlib import Path

from metal.lab.ipmi_faults import FAULTS as IPMI_FAULTS
from metal.lab.redfish_faults import FAULTS

REPOSITORY = Path(__file__).resolve().parents[3]
LIST = (REPOSITORY / "docs/bmc-quirks.md").read_text()


ROWS = [f"R{n:02d}" for n in range(1, 57)] + [f"I{n:02d}" for n in range(1, 21)]


def test_each_row_names_a_test_that_is_there() -> None:
    rows = re.findall(r"^\| ([RI]\d+) \|(.*)$", LIST, re.M)
    assert [number for number, _ in rows] == ROWS
    for number, text in rows:
        named = re.findall(r"`(\w+)::(\w+)`", text)
        assert named, number
        for file, test in named:
            assert f"def {test}(" in _source(file), (number, test)


def _source(file: str) -> str:
    """Of the test file of that name, here or among those of the drivers."""
    here = Path(__file__).parent
    found = [p for p in (here / f"test_{file}.py", here.parent / f"test_{file}.py") if p.exists()]
    return "".join(p.read_text() for p in found)


def test_each_switch_of_the_doubles_is_used_by_a_test() -> None:
    tests = "".join(p.read_text() for p in (REPOSITORY / "tests").rglob("test_*.py"))
    assert [fault for fault in (*FAULTS, *IPMI_FAULTS) if f'"{fault}"' not in tests] == []
