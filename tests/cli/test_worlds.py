"""Worlds as files: recorded once, planned for without a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from metal.model.world import World


@pytest.fixture
def world(looked: Path, metal: Callable[..., object], tmp_path: Path) -> Path:
    """What `metal look -o json` recorded."""
    said = metal("-C", str(looked), "look", "--last", "-o", "json")
    file = tmp_path / "world.json"
    file.write_text(said.out)
    return file


def test_a_recorded_world_is_the_world(world: Path, recorded: ModuleType) -> None:
    assert World.model_validate_json(world.read_text()) == recorded.world(recorded.inventory())


def test_a_plan_for_a_recorded_world_opens_no_socket(
    looked: Path, world: Path, metal: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    said = metal("-C", str(looked), "plan", "--world", str(world), "-o", "json")
    assert said.code in (0, 10), said.err
    assert json.loads(said.out)["version"] == 1


def test_a_drain_of_a_recorded_world_is_only_planned(
    looked: Path, world: Path, metal: Callable[..., object]
) -> None:
    said = metal("-C", str(looked), "drain", "alba1", "--world", str(world), "--yes")
    assert (said.code, "--plan" in said.err) == (2, True)
    shown = metal("-C", str(looked), "drain", "alba1", "--world", str(world), "--plan")
    assert shown.code in (10, 3), shown.err


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "the file"),
        ('{"vms": {"web": {"vmid": "x", "cluster": "alba", "server": "alba1"}}}', "vms.web.vmid"),
        ('{"serverz": {}}', "serverz"),
    ],
)
def test_a_file_that_is_no_world_is_named(
    looked: Path, metal: Callable[..., object], tmp_path: Path, text: str, named: str
) -> None:
    file = tmp_path / "broken.json"
    file.write_text(text)
    said = metal("-C", str(looked), "plan", "--world", str(file))
    assert said.code == 2
    assert str(file) in said.err and named in said.err and "metal look" in said.err


def test_a_missing_world_is_bad_input(looked: Path, metal: Callable[..., object]) -> None:
    said = metal("-C", str(looked), "plan", "--world", "nowhere.json")
    assert (said.code, "nowhere.json" in said.err) == (2, True)
