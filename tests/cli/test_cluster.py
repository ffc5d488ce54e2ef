"""`metal cluster` and `metal drain`: what is wrong with a name is said before anybody is asked."""

from pathlib import Path

import pytest

from metal.cli.render.ageing import checklist_lines
from metal.model.hypervisor import Checked

from .conftest import Metal


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("cluster", "upgrade", "albs"), "alba"),
        (("cluster", "upgrade", "albs", "--check"), "alba"),
        (("cluster", "leave", "alba22"), "alba2"),
        (("cluster", "replace", "alba22"), "alba2"),
        (("drain", "alba22", "--plan"), "alba2"),
    ],
)
def test_a_mistyped_name(metal: Metal, workspace: Path, words: tuple[str, ...], meant: str) -> None:
    said = metal("-C", str(workspace), *words)
    assert (said.code, f"did you mean `{meant}`?" in said.err) == (2, True), said.err


@pytest.mark.parametrize("flag", ["--check", "--yes"])
def test_one_that_is_not_formed_yet_is_not_upgraded(
    metal: Metal, workspace: Path, flag: str
) -> None:
    said = metal("-C", str(workspace), "cluster", "upgrade", "alba", flag)
    assert said.code == 3 and "alba: it is not formed yet" in said.err
    assert "cluster form alba`" in said.err


def test_the_checklist_as_it_is_read() -> None:
    told = {
        "alba1": Checked(runs="8.4.1", fail=("too old",), warn=("2 guests run",)),
        "alba2": Checked(runs="9.2.1"),
    }
    assert checklist_lines(told) == [
        "alba1: 1 FAIL, 1 WARN",
        "  FAIL  too old",
        "  WARN  2 guests run",
        "alba2: it runs Proxmox VE 9 already",
    ]
