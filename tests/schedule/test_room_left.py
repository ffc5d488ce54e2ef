"""How many more VMs fit: the true maximum where it is known, proven by placing them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metal.controller.planning import plan_fleet
from metal.model.fleet import Inventory, VmSize
from metal.model.laws import judge
from metal.model.plan import PlaceVm
from metal.model.world import World
from metal.schedule.roomleft import room_left
from metal.schedule.survival import Guest, Node, Verdict, verdict

MakeFleet = Callable[..., Inventory]
Formed = Callable[..., World]
FOUR = VmSize(vcpus=1, memory_gib=4, disk_gib=10)


@pytest.mark.parametrize(
    ("memories", "most"),
    [([60] * 3, 30), ([128] * 12, 352), ([48, 96, 192] * 14, 1128), ([60, 3, 3], 0)],
)
def test_the_true_maximum(
    make_fleet: MakeFleet, formed: Formed, memories: list[float], most: int
) -> None:
    fleet = make_fleet({"a": memories}, {}, threads=512)
    (left,) = room_left(fleet, formed(fleet), FOUR)
    assert (left.count, left.bound) == (most, most)


def test_what_limits_is_named(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet({"a": [60] * 3, "s": [60]}, {}, threads=2, cpu_factor=2)
    left, alone = room_left(fleet, formed(fleet), FOUR)
    assert (left.count, left.why) == (8, "its CPU")
    assert (alone.count, "stands alone" in alone.why) == (0, True)


@pytest.mark.parametrize(("gib", "most"), [(None, 30), (100, 10), (9, 0), (10_000, 30)])
def test_a_storage_that_somebody_else_keeps_holds_what_was_told(
    make_fleet: MakeFleet, formed: Formed, gib: int | None, most: int
) -> None:
    fleet = on_storage(make_fleet({"a": [60] * 3}, {}, threads=512), gib)
    (left,) = room_left(fleet, formed(fleet), FOUR)
    assert left.count == most


@pytest.mark.parametrize(("gib", "placed"), [(19, 1), (20, 2), (None, 0)])
def test_placing_counts_the_same_disks(
    make_fleet: MakeFleet, formed: Formed, gib: int | None, placed: int
) -> None:
    """Not those of the servers, which have no room of their own; without a figure these count."""
    vms = {name: {"disk_gib": 10, "cluster": "a"} for name in ("one", "two")}
    fleet = on_storage(make_fleet({"a": [60] * 3}, vms, threads=512, disk_gib=1), gib)
    plan = plan_fleet(fleet, formed(fleet))
    assert len([a for a in plan.actions if isinstance(a, PlaceVm)]) == placed
    assert not list(judge(plan, fleet, formed(fleet)))


def on_storage(fleet: Inventory, gib: int | None) -> Inventory:
    """Its clusters' disks are on a storage of somebody's."""
    told = {"ceph": False, "storage": "nas", "storage_gib": gib}
    clusters = {name: c.model_copy(update=told) for name, c in fleet.clusters.items()}
    return fleet.model_copy(update={"clusters": clusters})


@given(st.lists(st.integers(0, 12), min_size=2, max_size=4), st.integers(1, 4))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_spreading_of_more_survives(
    make_fleet: MakeFleet, formed: Formed, memories: list[int], gib: int
) -> None:
    """Every way to spread one VM more than the count over the servers is broken."""
    fleet = make_fleet({"a": list(memories)}, {}, threads=512)
    size = VmSize(vcpus=1, memory_gib=gib, disk_gib=1)
    (left,) = room_left(fleet, formed(fleet), size)

    def ways(servers: int, vms: int) -> list[tuple[int, ...]]:
        if servers == 1:
            return [(vms,)]
        return [(n, *rest) for n in range(vms + 1) for rest in ways(servers - 1, vms - n)]

    def survives(spread: tuple[int, ...]) -> bool:
        nodes = [
            Node(f"n{i}", room, [Guest(f"v{i}.{k}", gib) for k in range(n)])
            for i, (room, n) in enumerate(zip(memories, spread, strict=True))
        ]
        return verdict(nodes) is Verdict.SURVIVABLE

    if left.count <= 6:
        assert any(survives(way) for way in ways(len(memories), left.count))
        assert not any(survives(way) for way in ways(len(memories), left.count + 1))
