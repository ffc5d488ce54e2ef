"""Tables of hand-made values, and what must hold of every rendering: nothing wider than asked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from metal.cli.complaints import complaint
from metal.cli.render.bmc import audit_lines, proven_lines, rotated_lines
from metal.cli.render.enroll import enroll_lines
from metal.cli.render.facts import facts_document, facts_lines
from metal.cli.render.fleet import fleet_lines, vm_lines
from metal.cli.render.hang import hanging
from metal.cli.render.lab import lab_lines
from metal.cli.render.plan import plan_lines
from metal.cli.render.runs import detail_lines, run_lines
from metal.cli.render.watch import watch_lines
from metal.cli.root import COMMANDS
from metal.controller.auditing import Audited, Proven
from metal.controller.bmcs import Told
from metal.controller.enroll_result import EnrollResult
from metal.controller.planning import plan_fleet
from metal.controller.watching import WatchReport
from metal.heal.diagnosis import Diagnosis
from metal.lab.control import LabStatus
from metal.model.facts import Dimm, Drive, Facts, Psu
from metal.model.findings import Finding
from metal.model.fleet import Learned
from metal.model.life import Status
from metal.model.passport import BootProof, Passport, Route
from metal.model.plan import LEFT_ALONE, Plan, Risk, StartVm
from metal.operations.journal import Operation, Step

BEGAN = 1_795_176_000.0
"""2026-11-20 12:00 UTC."""
LONG = "the installer of a very old server said nothing for thirty minutes and then less; " * 2
STEPS = (
    Step(1, "power off", True, None, None, BEGAN, BEGAN + 2.5),
    Step(2, "boot the installer", True, None, None, BEGAN + 3, BEGAN + 1203),
    Step(3, "wait for the node", False, None, BEGAN + 4000, BEGAN + 1204, None),
)
SUBCOMMANDS = [
    (group, name)
    for group, names in {
        "run": ("list", "show", "resume", "cancel"),
        "bmc": ("audit", "prove", "rotate", "repin"),
        "keys": (
            "show",
            "verify",
            "rotate",
            "recover",
            "drill",
            "graph",
            "reseal",
            "pin",
            "shares",
        ),
        "lab": ("up", "status", "break", "down"),
    }.items()
    for name in names
]


def operation(number: int, status: Status, **more) -> Operation:
    given = {"error": "", "owner": "", "alive": False, "lease_until": None, **more}
    return Operation(
        id=number, kind="install", subject=f"install:alba{number}", params={}, version=1,
        status=status, fence=1, created=BEGAN, updated=BEGAN + 1800, **given,
    )  # fmt: skip


RUNS = [
    operation(1, Status.RUNNING, owner="pid 12 on ctl.attic.example.org", alive=True),
    operation(2, Status.WAITING),
    operation(3, Status.HELD, error=f"alba3: {LONG}\n  → look at its console"),
]
WATCHED = WatchReport(
    diagnoses={
        "alba1": Diagnosis(state="healthy"),
        "alba2": Diagnosis(state="degrading", evidence=("its BMC says critical", LONG)),
    },
    actions=(
        StartVm(
            what="start mail1", why=LONG, risk=Risk.SAFE, vm="mail1", vmid=100,
            cluster="alba", server="alba1",
        ),
    ),
    failed={"drain:alba2": LONG},
    holds=(LONG,),
)  # fmt: skip
LAB = LabStatus(
    folder=Path(".lab"),
    lab=7,
    pid=12,
    speed=20,
    truth={
        "servers": {
            "alba1": {
                "power": "on",
                "health": "ok",
                "disks": {
                    "sda": {"system": "proxmox trixie", "wipes": 1},
                    "sdb": {"system": "", "wipes": 0},
                },
            },
            "alba2": {
                "power": "off",
                "health": "critical",
                "disks": {"sda": {"system": "", "wipes": 0}},
            },
        },
        "vms": [
            {"name": "mail1", "copies": ["alba1"], "max_copies": 1},
            {"name": "dns1", "copies": ["alba1", "alba2"], "max_copies": 2},
            {"name": "www", "copies": [], "max_copies": 1},
        ],
    },
)


def test_runs_that_stand_in_every_way(golden) -> None:
    golden("runs-three.txt", "\n".join(run_lines(RUNS, 80)))


def test_one_run_with_its_steps(golden) -> None:
    shown = operation(
        4, Status.HELD, error=f"alba4: {LONG}\n  → look at its console", steps=STEPS,
        owner="pid 12 on ctl",
    )  # fmt: skip
    golden("run-show.txt", "\n".join(detail_lines(shown, 80)))


def test_a_round_of_watching_that_found_much(golden) -> None:
    golden("watch-long.txt", "\n".join(watch_lines(WATCHED, 80)))


def test_what_really_is_in_a_lab(golden) -> None:
    golden("lab.txt", "\n".join(lab_lines(LAB, 80)))


@pytest.mark.parametrize(("group", "name"), SUBCOMMANDS, ids=" ".join)
def test_the_help_of_what_is_in_a_group(metal, golden, group: str, name: str) -> None:
    said = metal(group, name, "--help")
    assert said.code == 0
    golden(f"help-{group}-{name}.txt", said.out)


def test_the_list_names_every_command_in_the_order_of_a_servers_life(metal) -> None:
    listed = re.findall(r"^  ([a-z][a-z0-9-]*) {2,}\S", metal("--help").out, re.MULTILINE)
    assert listed == list(COMMANDS)


@pytest.mark.parametrize("width", [40, 60, 80, 132])
def test_nothing_is_wider_than_the_screen(recorded, width: int) -> None:
    wanted = recorded.inventory()
    world = recorded.world(wanted).model_copy(update={"silent": {"bmc cima2": LONG}})
    result = EnrollResult(server="alba1", address="10.11.0.11", ok=False, error=LONG, exit_code=4)
    shown = [
        *plan_lines(plan_fleet(wanted, world), width),
        *vm_lines(wanted, world, width),
        *enroll_lines([result], width),
        *run_lines(RUNS, width),
        *detail_lines(operation(4, Status.HELD, error=LONG, steps=STEPS), width),
        *watch_lines(WATCHED, width),
        *lab_lines(LAB, width)[1:],  # the first names a folder, which is never folded
    ]
    assert [line for line in shown if len(line) > width] == []
    fleet = max(width, 60)  # its totals are one line
    assert [line for line in fleet_lines(wanted, world, fleet) if len(line) > fleet] == []


def test_folding_loses_no_word() -> None:
    folded = hanging("- ", f"{LONG}\n  → mend it", 40)
    assert all(len(line) <= 40 for line in folded)
    assert " ".join(folded).split() == ["-", *LONG.split(), "->", "mend", "it"]
    assert hanging("why  ", "", 40) == ["why"]


def test_an_empty_plan_says_so() -> None:
    assert plan_lines(Plan(fingerprint="0" * 64, actions=()), 80) == [
        "Nothing to do: the world is as the inventory wants it."
    ]


def test_what_is_left_alone_hinders_nothing() -> None:
    alone = f"container proxy (vmid 200) on pve3 is not in the inventory: {LEFT_ALONE}"
    hindered = "not enrolled yet: alba1"
    person = "Nothing here for metal to do; the warnings are a person's."
    for warnings, first in (((alone,), "Nothing to do: the world"), ((alone, hindered), person)):
        lines = plan_lines(Plan(fingerprint="0" * 64, warnings=warnings), 80)
        assert lines[0].startswith(first) and lines[2] == "Warnings"


def test_json_of_a_plan_and_of_mistakes_is_all_there_is_on_stdout(metal, workspace: Path) -> None:
    at = ("-C", str(workspace))
    whole = json.loads(metal(*at, "plan", "-o", "json").out)
    each = [json.loads(line) for line in metal(*at, "plan", "-o", "ndjson").out.splitlines()]
    assert each == whole["actions"] and len(whole["fingerprint"]) == 64
    file = workspace / "inventory.toml"
    file.write_text(file.read_text().replace('site = "genoa"', 'site = "genova"'))
    said = metal(*at, "check", "-o", "json")
    lines = file.read_text().splitlines()
    assert said.code == 2 and said.err == ""
    for mistake in json.loads(said.out):
        place = "{file}:{line}:{column}: ".format(**mistake)
        assert mistake["text"].startswith(place) and "genoa" in mistake["mend"]
        assert lines[mistake["line"] - 1][mistake["column"] - 1 :] == '"genova"'


AUDITED = [
    Audited(
        server="alba1",
        findings=(
            Finding(
                id="cipher-0",
                severity="critical",
                what="IPMI cipher suite 0 is open",
                remedy="ipmitool lan set 1 cipher_privs XXXaXXXXXXXXXXX",
                evidence="cipher suites 0, 3",
            ),
            Finding(
                id="clock-off",
                severity="low",
                what="its clock says 1970-01-01T00:05:00+00:00: it was never set",
                remedy="give it an NTP server in the BMC's web page",
                evidence="1970-01-01T00:05:00+00:00, when it was 2026-11-25T12:00:00+00:00",
            ),
        ),
        unexamined={
            "log-full": "the BMC does not tell it",
            "snmp-default": "the BMC does not tell it",
        },
    ),
    Audited(server="alba2"),
    Audited(server="alba3", error="BMC 10.11.0.13: no answer within 30 s\n  → check", exit_code=4),
]
PROVEN = [
    Proven(
        server="alba1",
        passport=Passport(
            proven_at="2026-11-25T12:00:00+00:00",
            protocols=("redfish",),
            boots=(BootProof(device="media", works=True),),
            seconds_a_call=2.02,
            poll_seconds=40.4,
        ),
        route=Route(method="redfish-iso", why="its BMC puts an image into CD1 and boots it"),
    ),
    Proven(server="alba2", error="BMC 10.11.0.12: no answer", exit_code=4),
]


def test_bmcs_of_the_fleet(golden) -> None:
    golden("bmc-audit.txt", "\n".join(audit_lines(AUDITED, 80)))
    golden("bmc-prove.txt", "\n".join(proven_lines(PROVEN, 80)))
    rotated = [Told(server="alba1"), Told(server="alba2", error="BMC 10.11.0.12: no answer")]
    golden("bmc-rotate.txt", "\n".join(rotated_lines(rotated, 80)))


def test_which_of_many_did_not_enrol_is_told_in_every_width() -> None:
    """Without a name yet its address stands for it, in the table and before its error."""
    failed = [
        EnrollResult(server="", address=f"10.0.0.{i}:8443", ok=False, error="no", exit_code=2)
        for i in (1, 2)
    ]
    lines = enroll_lines(list(failed), 40)
    assert [line.split()[0] for line in lines[1:3]] == ["10.0.0.1:8443", "10.0.0.2:8443"]
    assert [complaint(r.address, r.error or "") for r in failed] == [
        "10.0.0.1:8443: no",
        "10.0.0.2:8443: no",
    ]
    told = EnrollResult(server="alba1", address="x", ok=False, error="alba1: no", exit_code=1)
    assert complaint(told.server, told.error or "") == "alba1: no"
    assert complaint("alba1", "l.csv:3: try `metal x SERVER`", "l.csv:3") == (
        "l.csv:3: try `metal x alba1`"
    )


def _looked(**more) -> EnrollResult:
    facts = Facts(address="10.0.0.1", protocol="redfish", serial="QS1", **more)
    return EnrollResult(server="", address="10.0.0.1", ok=True, facts=facts, learned=Learned())


@pytest.mark.parametrize("width", [40, 80])
def test_two_nodes_of_one_bmc_are_told_apart(width: int) -> None:
    """They have the chassis' serial number in common."""
    lines = enroll_lines([_looked(node="Node0"), _looked(node="Node1")], width, dry_run=True)
    assert [line.split()[:2] for line in lines[1:3]] == [["QS1", "Node0"], ["QS1", "Node1"]]


def test_who_is_not_well_is_seen_in_the_table() -> None:
    sick = _looked(
        health="ok",
        health_rollup="critical",
        psus=(Psu(name="PSU 1", health="ok"), Psu(name="PSU 2", health="critical")),
        drives=(Drive(name="Bay 3", failing=True),),
    )
    lines = enroll_lines([sick, _looked(health="ok", health_rollup="ok")], 80, dry_run=True)
    assert lines[1].endswith("ok, critical") and lines[2].endswith("ok")
    assert "health critical: PSU 2 critical, drive Bay 3 is failing" in "\n".join(lines)


def test_what_the_modules_hold_and_what_the_bmc_counts_are_both_said() -> None:
    """A Gigabyte: 16 modules of 15625 MiB, 244 GiB in all. The inventory has 256."""
    modules = tuple(Dimm(slot=str(i), size_gib=15.26) for i in range(16))
    odd = _looked(memory_gib=244.0, dimms=modules)
    assert odd.facts
    assert "its modules are 256 GiB, the BMC counts 244" in "\n".join(enroll_lines([odd], 80))
    assert "256 GiB in 16 modules; the BMC counts 244 GiB" in "\n".join(facts_lines(odd.facts))
    told = facts_document(odd.facts)
    assert (told["memory_installed_gib"], told["memory_gib"]) == (256, 244)
    half = odd.facts.model_copy(update={"unknown": {"dimms": "not all of it: one is broken"}})
    assert facts_document(half)["memory_installed_gib"] is None
