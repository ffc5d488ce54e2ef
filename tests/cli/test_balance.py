"""`metal balance` on recorded worlds: no network, the plan as `metal apply` takes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from metal.controller.balancing import moved_lately
from metal.controller.workspace import Workspace
from metal.model.life import Life
from metal.model.plan import MigrateVm, Plan, Risk
from metal.model.world import SeenCluster, SeenServer, SeenVm, World

KNOWN = """
[servers.{0}.learned]
memory_gib = 64
threads = 24
disks = [{{ name = "sda", size_gib = 223 }}, {{ name = "sdb", size_gib = 894 }}]
"""
VMS = ("forum", "blog", "shop", "tickets", "survey", "pads")


@pytest.fixture
def crowded(workspace: Path, tmp_path: Path) -> tuple[Path, Path]:
    """(workspace, recorded world): six VMs on alba1, nothing on the rest of alba."""
    inventory = workspace / "inventory.toml"
    told = "".join(KNOWN.format(f"alba{n}") for n in (1, 2, 3))
    inventory.write_text(inventory.read_text() + told)
    up = SeenServer(life=Life.MEMBER, power="on", health="ok", node="online")
    servers = ("alba1", "alba2", "alba3")
    world = World(
        servers=dict.fromkeys(servers, up),
        clusters={"alba": SeenCluster(formed=True, quorate=True, nodes=servers)},
        vms={
            vm: SeenVm(vmid=100 + n, cluster="alba", server="alba1", state="running")
            for n, vm in enumerate(VMS)
        },
    )
    file = tmp_path / "world.json"
    file.write_text(world.model_dump_json())
    return workspace, file


def test_a_balance_is_golden(
    crowded: tuple[Path, Path], metal: Callable[..., object], golden: Callable[..., None]
) -> None:
    said = metal("-C", str(crowded[0]), "balance", "--world", str(crowded[1]))
    assert said.code == 10, said.err
    golden("balance.txt", said.out)


def test_the_plan_is_one_that_apply_takes(
    crowded: tuple[Path, Path], metal: Callable[..., object], tmp_path: Path
) -> None:
    file = tmp_path / "plan.json"
    words = ("balance", "--world", str(crowded[1]), "--out", str(file), "-o", "json")
    said = metal("-C", str(crowded[0]), *words)
    plan = Plan.model_validate_json(said.out)
    assert said.code == 10 and json.loads(said.out) == json.loads(file.read_text())
    assert {a.kind for a in plan.actions} == {"migrate"}


def test_a_budget_of_none_moves_nothing(
    crowded: tuple[Path, Path], metal: Callable[..., object]
) -> None:
    said = metal("-C", str(crowded[0]), "balance", "--world", str(crowded[1]), "--moves", "0")
    assert (said.code, "Nothing to move." in said.out) == (0, True)


def test_a_recorded_world_is_not_applied_to(
    crowded: tuple[Path, Path], metal: Callable[..., object]
) -> None:
    said = metal("-C", str(crowded[0]), "balance", "--world", str(crowded[1]), "--apply")
    assert (said.code, "leave --apply" in said.err) == (2, True)


def test_the_days_moves_are_counted(
    crowded: tuple[Path, Path], metal: Callable[..., object]
) -> None:
    workspace, world = crowded
    inventory = workspace / "inventory.toml"
    inventory.write_text(inventory.read_text() + "\n[balance]\nmoves_a_day = 2\n")
    move = MigrateVm(
        what="w", why="w", risk=Risk.SAFE, vm="wiki", vmid=1, cluster="cima", source="a", target="b"
    )
    with Workspace.open(workspace).store as store:
        for _ in range(2):
            store.journal.open("migrate", move.id, ("vm wiki",), {})
            store.journal.cancel(store.journal.list()[-1].id)
        assert moved_lately(Workspace.open(workspace)) == {}
        store.journal.open("migrate", move.id, ("vm wiki",), {})
        assert moved_lately(Workspace.open(workspace)) == {"wiki": 1}
    one = metal("-C", str(workspace), "balance", "--world", str(world), "-o", "ndjson")
    assert len(one.out.splitlines()) == 1
    with Workspace.open(workspace).store as store:
        store.journal.open("migrate", "migrate:git", ("vm git",), {})
    none = metal("-C", str(workspace), "balance", "--world", str(world))
    assert (none.code, "moves are used up" in none.out) == (0, True)


def test_a_wrong_word_is_named_at_its_line(
    workspace: Path, metal: Callable[..., object], recorded: ModuleType
) -> None:
    inventory = workspace / "inventory.toml"
    lines = len(inventory.read_text().splitlines())
    inventory.write_text(inventory.read_text() + "[balance]\nmoves_a_day = -1\nstrat = 2\n")
    said = metal("-C", str(workspace), "check")
    assert said.code == 2
    assert f"inventory.toml:{lines + 2}:" in said.err and "at least 0" in said.err
    assert f"inventory.toml:{lines + 3}:" in said.err and "start" in said.err
