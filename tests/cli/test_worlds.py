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
        (
            '{"vms": {"web": {"vmid": 9, "cluster": "a", "server": "a1", "memory_mib": -5}}}',
            "vms.web.memory_mib",
        ),
        (
            '{"vms": {"web": {"vmid": 9, "cluster": "a", "server": "a1", "memory_mib": 1e30}}}',
            "vms.web.memory_mib",
        ),
        (
            '{"vms": {"web": {"vmid": 9, "cluster": "a", "server": "a1", "disk_gib": NaN}}}',
            "vms.web.disk_gib",
        ),
        (
            '{"vms": {"web": {"vmid": 9, "cluster": "ghost", "server": "a1"}}}',
            "no cluster ghost",
        ),
    ],
)
def test_a_file_that_is_no_world_is_named(
    looked: Path, metal: Callable[..., object], tmp_path: Path, text: str, named: str
) -> None:
    file = tmp_path / "broken.json"
    file.write_text(text)
    said = metal("-C", str(looked), "plan", "--world", str(file))
    assert said.code == 2
    assert str(file) in said.err and named in said.err and f"metal -C {looked} look" in said.err


def test_a_missing_world_is_bad_input(looked: Path, metal: Callable[..., object]) -> None:
    said = metal("-C", str(looked), "plan", "--world", "nowhere.json")
    assert (said.code, "nowhere.json" in said.err) == (2, True)


def test_a_proof_is_written_and_checked(
    looked: Path, world: Path, metal: Callable[..., object], tmp_path: Path
) -> None:
    file = tmp_path / "certificate.json"
    words = ("plan", "--world", str(world), "--certificate", str(file))
    said = metal("-C", str(looked), *words, "-o", "json")
    # A bad day: a server is off and another's memory is not known.
    assert said.code == 1, said.err
    assert json.loads(said.out) == json.loads(file.read_text())
    checked = metal("check-certificate", str(file), "--world", str(world))
    assert checked.code == 1 and "is not survivable" in checked.out
    bad = metal("check-certificate", str(world))
    assert bad.code == 1 and "not a certificate" in bad.out


def test_what_if_a_server_or_a_site_is_lost(
    looked: Path, world: Path, metal: Callable[..., object]
) -> None:
    ask = ("-C", str(looked), "whatif", "--world", str(world), "--fail")
    server = metal(*ask, "alba1")
    assert server.code in (0, 1) and "if alba1 dies" in server.out
    site = metal(*ask, "lisbon", "-o", "json")
    assert json.loads(site.out)["site"] == "lisbon"
    wrong = metal(*ask, "atlantis")
    assert (wrong.code, "no such server or site" in wrong.err) == (2, True)


def altered(world: Path, **changes: object) -> Path:
    """The recorded world, with these in the place of what it says."""
    document = json.loads(world.read_text()) | changes
    world.write_text(json.dumps(document))
    return world


def some_vms(count: int) -> dict[str, dict[str, object]]:
    """So many running VMs of alba."""
    at = {"cluster": "alba", "server": "alba1", "state": "running"}
    return {f"vm{n}": {"vmid": 100 + n, **at} for n in range(count)}


@pytest.mark.parametrize(
    ("vms", "named"),
    [
        ({"vm1": {"memory_mib": 1 << 29}}, "vms.vm1.memory_mib: 536870912 MiB is more than any"),
        ({"vm1": {"vmid": 100}}, "vms.vm1.vmid: 100 is the number of vm0 in alba too"),
    ],
)
def test_what_cannot_be_is_refused_by_every_command_that_plans(
    looked: Path,
    world: Path,
    metal: Callable[..., object],
    vms: dict[str, dict[str, object]],
    named: str,
) -> None:
    forged = {vm: told | vms.get(vm, {}) for vm, told in some_vms(2).items()}
    file = altered(world, vms=forged)
    for command in (
        ("plan",),
        ("plan", "--prove"),
        ("whatif", "--fail", "alba1"),
        ("capacity",),
        ("ipv4",),
        ("balance",),
    ):
        said = metal("-C", str(looked), *command, "--world", str(file))
        assert (said.code, str(file) in said.err, named in said.err) == (2, True, True), command


def test_nodes_and_names_that_stand_twice_are_refused(
    looked: Path, world: Path, metal: Callable[..., object]
) -> None:
    clusters = json.loads(world.read_text())["clusters"]
    twice = clusters | {"alba": clusters["alba"] | {"nodes": ["alba1", "alba2", "alba1"]}}
    file = altered(world, clusters=twice)
    said = metal("-C", str(looked), "plan", "--world", str(file))
    assert said.code == 2 and "clusters.alba.nodes: alba1 stands there 2 times" in said.err
    file.write_text('{"servers": {"alba1": {"life": "member"}, "alba1": {}}}')
    said = metal("-C", str(looked), "plan", "--world", str(file))
    assert said.code == 2 and "alba1 stands there 2 times" in said.err and str(file) in said.err
