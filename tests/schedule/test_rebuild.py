"""After a fire: what was there, where it goes, and of which backup."""

from __future__ import annotations

from collections.abc import Callable

from metal.cli.render.rebuild import rebuild_lines
from metal.lab.storms.fleet import fleet
from metal.model.backup import Backup, Reached
from metal.model.fleet import Inventory
from metal.model.life import Life
from metal.model.world import SeenCluster, SeenServer, SeenVm, World
from metal.schedule.rebuild import backups_of, newest_of, rebuild, what_was_there

DISKS = [{"name": "sda", "size_gib": 200}, {"name": "sdb", "size_gib": 900}]


def with_disks() -> Inventory:
    told = fleet().model_dump(mode="json")
    for server in told["servers"].values():
        server["learned"]["disks"] = DISKS
    return Inventory.model_validate(told)


INVENTORY = with_disks()
UP = SeenServer(life=Life.MEMBER, power="on", health="ok", node="online")
DARK = SeenServer(life=Life.MEMBER)
HERE = ("alba", "brio")
"""Lisbon's clusters."""


def backup(vmid: int, called: str = "", made: float = 1_800_000_000.0, n: int = 0) -> Backup:
    name = f"backup/vzdump-qemu-{vmid}-{n}.vma.zst"
    return Backup(storage="far", name=name, vmid=vmid, called=called, made=made)


def reaching(*backups: Backup) -> dict[str, Reached]:
    """Both clusters that are left reach them."""
    return dict.fromkeys(("cala", "duna"), Reached(backups=backups))


def world(silent: tuple[str, ...] = HERE) -> World:
    """Every cluster but those in `silent` shows its first three VMs."""
    shown = [c for c in INVENTORY.clusters if c not in silent]
    return World(
        servers={s: DARK if s[:-1] in silent else UP for s in INVENTORY.servers},
        clusters={
            c: SeenCluster(formed=True, quorate=True) if c in shown else SeenCluster()
            for c in INVENTORY.clusters
        },
        vms={
            f"{c}-{n}": SeenVm(
                vmid=100 + n, cluster=c, server=f"{c}{n}", state="running", memory_mib=2048
            )
            for c in shown
            for n in (1, 2, 3)
        },
    )


def test_what_nobody_shows_was_there_unless_it_may_be_elsewhere() -> None:
    lost = what_was_there(INVENTORY, world(), "lisbon")
    assert lost.servers == tuple(f"{c}{n}" for c in HERE for n in (1, 2, 3))
    assert {vm.rpartition("-")[0] for vm in lost.vms} == set(HERE)
    assert lost.untold == ()
    lost = what_was_there(INVENTORY, world((*HERE, "cala")), "lisbon")
    assert {vm.rpartition("-")[0] for vm in lost.untold} == {"cala"}
    assert {vm.rpartition("-")[0] for vm in lost.vms} == set(HERE)


def test_one_that_is_pinned_nowhere_may_be_in_a_silent_cluster() -> None:
    free = INVENTORY.vms["alba-1"].model_copy(update={"cluster": None})
    inventory = INVENTORY.model_copy(update={"vms": INVENTORY.vms | {"alba-1": free}})
    assert "alba-1" in what_was_there(inventory, world(), "lisbon").vms
    lost = what_was_there(inventory, world((*HERE, "cala")), "lisbon")
    assert "alba-1" in lost.untold and "alba-1" not in lost.vms


def test_the_newest_of_its_name_is_taken_whatever_its_number() -> None:
    seen = SeenVm(vmid=101, cluster="alba", server="alba1")
    mine = [backup(101, "alba-1", 5), backup(907, "alba-1", 9), backup(101, "cala-1", 99)]
    found = newest_of(backups_of(INVENTORY, "alba-1", seen, mine, World()))
    assert found is not None and (found.vmid, found.made) == (907, 9)


def test_a_number_alone_is_believed_only_where_nobody_else_has_it() -> None:
    """Another VM's data under this one's name would be worse than none."""
    seen = SeenVm(vmid=101, cluster="alba", server="alba1")
    alone = World(vms={"alba-1": seen})
    assert backups_of(INVENTORY, "alba-1", seen, [backup(101)], alone)
    other = World(vms={"alba-1": seen, "cala-1": seen})
    assert not backups_of(INVENTORY, "alba-1", seen, [backup(101)], other)
    assert not backups_of(INVENTORY, "alba-1", seen, [backup(101, "cala-1")], alone)


def test_one_that_cannot_be_read_is_not_promised() -> None:
    """The newest is empty: the one before it is taken; where there is no other, that is told."""
    empty = backup(101, "alba-1", 9).model_copy(update={"flaw": "it is empty"})
    older = backup(101, "alba-1", 5)
    assert newest_of([older, empty]) == older and newest_of([empty]) is None
    found = rebuild(INVENTORY, world(), "lisbon", reaching(empty))
    assert "alba-1" not in found.homes
    assert "backup/vzdump-qemu-101-0.vma.zst on far: it is empty" in found.lacks["alba-1"]


def test_the_most_important_comes_first_and_what_is_missing_is_named(
    golden: Callable[[str, str], None],
) -> None:
    first = INVENTORY.vms["brio-2"].model_copy(update={"priority": 99})
    inventory = INVENTORY.model_copy(update={"vms": INVENTORY.vms | {"brio-2": first}})
    kept = {"alba-1", "brio-2", "alba-3", *(f"{c}-{n}" for c in ("cala", "duna") for n in range(9))}
    inventory = inventory.model_copy(
        update={"vms": {n: vm for n, vm in inventory.vms.items() if n in kept}}
    )
    far = [backup(101, "alba-1"), backup(102, "brio-2", 1_800_086_400)]
    far[0] = far[0].model_copy(update={"verified": True})
    seen = world()
    seen = seen.model_copy(update={"vms": {n: v for n, v in seen.vms.items() if n in kept}})
    found = rebuild(inventory, seen, "lisbon", reaching(*far))
    assert list(found.homes) == ["brio-2", "alba-1"], found.lacks
    assert {cluster for cluster, _, _ in found.homes.values()} <= {"cala", "duna"}
    assert set(found.lacks) == {"alba-3"}
    keys = {server: server.endswith("2") for server in found.lost.servers}
    silent = {"near of duna": "no route to host"}
    golden("rebuild.txt", "\n".join(rebuild_lines(found, silent, keys)) + "\n")
