"""How many more VMs fit: the true maximum where it is known, proven by placing them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metal.model.fleet import Inventory, VmSize
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
