"""Places that cannot be read or written, and output that nobody takes: said in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FAILED, BAD_INPUT, CHANGES_PENDING, BROKEN_PIPE = 1, 2, 10, 141


def test_a_plan_file_where_none_can_be(metal, looked: Path) -> None:
    """A name below a file: no privilege writes there, so the test holds for root, too."""
    nowhere = looked / "inventory.toml" / "plan.json"
    said = metal("-C", str(looked), "plan", "--out", str(nowhere))
    assert said.code == BAD_INPUT and said.out == ""
    assert said.err.startswith(f"metal: {nowhere}: cannot be written: ")
    assert "\n  → name a file in a folder" in said.err


def test_a_plan_file_is_what_apply_reads(metal, workspace: Path) -> None:
    from metal.cli.verbs.apply import read_plan

    file = workspace / "plan.json"
    said = metal("-C", str(workspace), "-o", "json", "plan", "--out", str(file))
    assert said.code in (0, CHANGES_PENDING)
    assert read_plan(file).model_dump(mode="json") == json.loads(said.out)


def test_a_picture_where_none_can_be(metal, looked: Path) -> None:
    said = metal("-C", str(looked), "tui", "--screenshot", str(looked / "nowhere" / "x.svg"))
    assert said.code == BAD_INPUT
    assert "x.svg: cannot be written" in said.err


def test_a_plan_that_is_not_there(metal, workspace: Path) -> None:
    said = metal("-C", str(workspace), "apply", str(workspace / "none.json"))
    assert said.code == BAD_INPUT
    assert "cannot be read" in said.err and f"metal -C {workspace} plan --out" in said.err


def test_a_state_that_cannot_be_kept(metal, workspace: Path) -> None:
    (workspace / "state").write_text("a file where the folder must be\n")
    said = metal("-C", str(workspace), "run", "list")
    assert said.code == BAD_INPUT and said.out == ""
    assert "the state cannot be kept here" in said.err and "\n  → " in said.err


def test_a_folder_no_workspace_can_be_made_in(metal, workspace: Path) -> None:
    said = metal("init", str(workspace / "inventory.toml" / "new"))
    assert said.code == FAILED
    assert "the workspace cannot be written" in said.err and "\n  → " in said.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_no_defect(looked: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = _status(looked, stdout=full)
    assert done.returncode == FAILED
    assert done.stderr.startswith("metal: the output: cannot be written: ")
    assert not (looked / "state" / "crash.log").exists()


def test_a_reader_that_has_gone(looked: Path) -> None:
    """The pipe's reading end is closed before the command starts: no race decides."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = _status(looked, stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (BROKEN_PIPE, "")


def test_stdout_closed_by_whoever_started_us(looked: Path) -> None:
    command = f'"{sys.executable}" -m metal -C "{looked}" status --last >&-'
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def _status(workspace: Path, stdout) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "metal", "-C", str(workspace), "status", "--last"],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_wire_that_nobody_may_serve(metal, workspace: Path) -> None:
    inventory = workspace / "inventory.toml"
    text = inventory.read_text().replace(
        "[sites.lisbon.subnets]", '[sites.lisbon.boot]\ndhcp = "none"\n\n[sites.lisbon.subnets]'
    )
    inventory.write_text(text)
    said = metal("-C", str(workspace), "serve", "--site", "lisbon", "--interface", "lo")
    assert said.code == 3
    assert "its boot.dhcp is none" in said.err and "--dhcp" in said.err
