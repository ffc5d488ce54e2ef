"""What a person wants is held against the inventory first, and a dry run tells the real one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metal.inventory import load

At = Callable[[Any], str]
RIO1 = """
[servers.rio1]
site = "porto"
rack = "A"
unit = 3
profile = "solo"
address = "127.77.1.9"
bmc = { address = "127.77.0.9", port = 1 }

[clusters.rio1]
servers = ["rio1"]
ceph = false
"""


@pytest.fixture
def with_rio1(fleet: Any) -> Any:
    file = fleet.folder / "inventory.toml"
    file.write_text(fleet.text + RIO1)
    return fleet


def listed(fleet: Any, *rows: str) -> str:
    file: Path = fleet.folder / "list.csv"
    file.write_text("\n".join(["address;name;site;unit", *rows]) + "\n")
    return str(file)


@pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["dry run", "real run"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--site", "portoo"], "did you mean `porto`?"),
        (["--profile", "sollo"], "did you mean `solo`?"),
        (["--name", "Büro 2"], "such as buero-2"),
        (["--name", "outside"], "no server can be called so"),
        (["--name", "rio1"], "there is a rio1 in the inventory already"),
    ],
)
def test_what_needs_no_bmc_to_be_seen_wrong_is_said_before_one_is_asked(
    with_rio1: Any, at: At, words: list[str], said: str, dry: list[str]
) -> None:
    bmc = with_rio1.redfish(11)
    ended = with_rio1.metal("enroll", at(bmc), *words, *dry)
    assert ended.returncode in (2, 3) and said in ended.stderr
    assert bmc.requests == 0


@pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["dry run", "real run"])
def test_rows_that_cannot_be_are_named_by_line_and_nobody_is_asked(
    with_rio1: Any, at: At, dry: list[str]
) -> None:
    bmcs = [with_rio1.redfish(number) for number in range(11, 15)]
    names = ["rio1;porto;1", "web1;Prto;2", "web2;;3", "web2;;4"]
    file = listed(with_rio1, *(f"{at(b)};{n}" for b, n in zip(bmcs, names, strict=True)))
    ended = with_rio1.metal("enroll", "--file", file, *dry)
    assert "list.csv:2: there is a rio1 in the inventory already" in ended.stderr
    assert "list.csv:3: there is no site Prto\n  → did you mean `porto`?" in ended.stderr
    assert "list.csv:5: " in ended.stderr and "is to be called web2 too" in ended.stderr
    assert [bmc.requests > 0 for bmc in bmcs] == [False, False, True, False]
    assert ("web2" in load(with_rio1.folder).servers) == (not dry)


def test_a_dry_run_tells_the_names_of_the_real_run(fleet: Any, at: At) -> None:
    one, two = fleet.redfish(11), fleet.redfish(12)
    file = listed(fleet, f"{at(one)};Büro 2;;7")
    words = ("enroll", at(two), "--file", file, "-o", "json")
    dry = json.loads(fleet.metal(*words, "--dry-run").stdout)
    assert [d["server"] for d in dry] == ["buero-2", "dell-7x3k9q12"]
    real = json.loads(fleet.metal(*words).stdout)
    assert [d["server"] for d in real] == [d["server"] for d in dry]
    [note] = [n for d in real for n in d["notes"] if "Büro" in n]
    assert note == f"'Büro 2' of {file}:2 is no host name, so it is called buero-2"


def test_a_dry_run_tells_the_refusals_of_the_real_run(fleet: Any, at: At) -> None:
    """Its BMC must be asked for that: it is a server that the inventory has elsewhere."""
    fleet.metal("enroll", at(fleet.redfish(11)))
    moved = fleet.redfish(12)
    moved.machine.hardware = fleet.bmcs[0].machine.hardware
    for dry in (["--dry-run"], []):
        ended = fleet.metal("enroll", at(moved), *dry)
        assert ended.returncode == 3 and "this is dell-7x3k9q11" in ended.stderr
        assert "REFUSED" in ended.stdout


def test_an_address_of_no_site_is_looked_at_and_the_refusal_told(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    file = fleet.folder / "inventory.toml"
    file.write_text(fleet.text.replace('bmc = "127.77.0.0/24"', 'bmc = "127.78.0.0/24"'))
    dry = fleet.metal("enroll", at(bmc), "--dry-run", "-o", "json")
    [document] = json.loads(dry.stdout)
    assert dry.returncode == 2 and "no site of the inventory" in document["refused"]
    assert document["serial"] == "7X3K9Q11"
    asked = bmc.requests
    assert fleet.metal("enroll", at(bmc)).returncode == 2
    assert bmc.requests == asked


def test_what_is_said_of_a_known_server_and_not_used_is_told(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    fleet.metal("enroll", at(bmc), "--name", "rio1")
    text = fleet.text
    words = ("--name", "one3", "--rack", "B", "--profile", "ceph-node", "--site", "porto")
    [document] = json.loads(fleet.metal("enroll", at(bmc), *words, "-o", "json").stdout)
    assert document["notes"][:3] == [
        "127.77.0.11 is rio1 already: the name one3 is not used",
        "127.77.0.11 is in the inventory already: the rack B is not used, inventory.toml has ?",
        "127.77.0.11 is in the inventory already: the profile ceph-node is not used, "
        "inventory.toml has solo",
    ]
    assert fleet.text == text


def test_a_donors_word_for_the_place_gives_way_to_the_site_that_is_said(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    file = listed(fleet, f"{at(bmc)};web1;DC2;1")
    assert fleet.metal("enroll", "--file", file).returncode == 2
    assert fleet.metal("enroll", "--file", file, "--site", "porto").returncode == 0
    assert load(fleet.folder).servers["web1"].site == "porto"
