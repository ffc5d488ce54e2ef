"""What the command prints, held by golden files at 80 columns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metal.cli.render.hang import EACH, FIRST, gathered, hanging
from metal.cli.root import COMMANDS
from metal.controller.enroll_result import EnrollResult
from metal.controller.planning import plan_fleet
from metal.controller.watching import WatchReport
from metal.heal.diagnosis import Diagnosis
from metal.model.facts import Facts
from metal.model.findings import Finding, Severity
from metal.model.fleet import Learned
from metal.model.passport import Route

SEVERITIES: tuple[tuple[str, Severity], ...] = (
    ("telnet", "high"),
    ("http", "low"),
    ("clock", "low"),
    ("x", "info"),
)


def test_help_is_golden(metal, golden) -> None:
    said = metal("--help")
    assert said.code == 0
    golden("help.txt", said.out)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_each_commands_help_is_golden(metal, golden, command: str) -> None:
    said = metal(command, "--help")
    assert said.code == 0
    golden(f"help-{command}.txt", said.out)


def test_status_is_golden(metal, golden, looked: Path) -> None:
    golden("status.txt", metal("-C", str(looked), "status", "--last").out)


def test_vms_are_golden(metal, golden, looked: Path) -> None:
    golden("status-vms.txt", metal("-C", str(looked), "status", "--last", "--vms").out)


def test_a_plan_is_golden(golden, recorded) -> None:
    from metal.cli.render.plan import plan_lines

    inventory = recorded.inventory()
    golden("plan.txt", "\n".join(plan_lines(plan_fleet(inventory, recorded.world(inventory)), 80)))


def test_enrolment_is_golden(golden) -> None:
    from metal.cli.render.enroll import enroll_lines

    facts = Facts(address="10.0.0.1", protocol="ipmi")
    known = Learned(vendor="Dell Inc.", model="PowerEdge R630", threads=32, memory_gib=96)
    findings = tuple(
        Finding(id=id, severity=severity, what=f"{id} is open", remedy="switch it off")
        for id, severity in SEVERITIES
    )
    results = [
        EnrollResult(
            server="a1",
            address="10.0.0.1",
            ok=True,
            facts=facts,
            learned=known,
            findings=findings,
            route=Route(method="pxe", why="it boots by PXE"),
        ),
        EnrollResult(server="a2", address="10.0.0.2", ok=False, error="no answer", exit_code=4),
    ]
    golden("enroll.txt", "\n".join(enroll_lines(results, 80)))


@pytest.mark.parametrize("width", range(20, 60))
def test_a_command_is_never_folded_where_it_fits(width: int) -> None:
    """It is there to be copied."""
    lines = hanging("why: ", "look at it with `metal server show`, and say so", width, under=2)
    assert any("`metal server show`" in line for line in lines) or width < 25
    assert all(len(line) <= width for line in lines)


def test_what_is_said_of_several_names_the_first_of_them() -> None:
    said = [(name, f"`metal server show {FIRST}` tells") for name in ("a1", "a2")]
    assert gathered(said, 80) == ["a1, a2: `metal server show a1` tells"]


def test_what_is_said_of_each_is_no_sum() -> None:
    said = [("a1", f"2 low{EACH}"), ("a2", f"2 low{EACH}"), ("a3", f"1 low{EACH}")]
    assert gathered(said, 80) == ["a1, a2: 2 low each", "a3: 1 low"]


def test_watching_is_golden(golden) -> None:
    from metal.cli.render.watch import watch_lines

    said = Diagnosis(state="unreachable", evidence=("its BMC does not answer",))
    report = WatchReport(
        diagnoses={"a1": Diagnosis(state="healthy"), "a2": said},
        actions=(),
        failed={"drain:a3": "no room"},
        holds=("a2 cannot be judged",),
        waits=("a4 is suspect",),
    )
    golden("watch.txt", "\n".join(watch_lines(report)))


def test_runs_are_golden(metal, golden, workspace: Path) -> None:
    from metal.controller.workspace import Workspace
    from metal.model.errors import Failed
    from metal.operations.run import Run, perform

    def flow(run: Run) -> None:
        run.step("first", lambda: 1)
        raise Failed("the BMC did not take it", where="a1", mend="try again")

    with Workspace.open(workspace).store as store:
        perform(store, store.journal.open("install", "install:a1", ("server a1",), {}), flow)
    said = metal("-C", str(workspace), "run", "list")
    golden("runs.txt", said.out)
    shown = metal("-C", str(workspace), "run", "show", "1").out
    assert "first" in shown and "the BMC did not take it" in shown
    assert metal("-C", str(workspace), "run", "cancel", "1").code == 0
    assert "no operation is open" in metal("-C", str(workspace), "run", "list").out


@pytest.mark.parametrize("words", [("status", "--last"), ("run", "list"), ("check",)])
def test_data_is_json_on_stdout_alone(metal, looked: Path, words: tuple[str, ...]) -> None:
    json.loads(metal("-C", str(looked), "-o", "json", *words).out)
    for line in metal("-C", str(looked), "-o", "ndjson", *words).out.splitlines():
        json.loads(line)
