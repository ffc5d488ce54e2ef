"""What is quick changes no answer: shortcuts against the plain way, and homes as they were."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metal.lab.bench.force import random_cluster
from metal.lab.bench.worlds import fleet, world
from metal.model.cpus import HOST
from metal.model.fleet import Inventory
from metal.network.budget import Budget, Ledger
from metal.schedule.place import Placement, place
from metal.schedule.survival import Item, Node, Verdict, failure_verdict, verdict


def told(found: Placement) -> str:
    """A fingerprint of every home, and of who has none."""
    lines = [f"{vm} {h.cluster} {h.server} {h.freest}" for vm, h in sorted(found.homes.items())]
    lines += sorted(f"{left.vm}: {left.why}" for left in found.unplaced)
    return sha256("\n".join(lines).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("clusters", "vms", "left", "homes"),
    [(20, 1100, 0, "bf37e25d05c8e24b"), (6, 420, 74, "0c4abedb5870b902")],
)
def test_homes_are_those_that_the_plain_way_chose(
    clusters: int, vms: int, left: int, homes: str
) -> None:
    """Recorded before anything was made quick, in a fleet with room; in one without, again since
    what is left over is weighed by its memory."""
    inventory = fleet(clusters, vms, seed=3, sites=4)
    found = place(inventory, world(inventory))
    assert (len(found.unplaced), told(found)) == (left, homes)


def plainly(nodes: Sequence[Node]) -> Verdict:
    found = {failure_verdict(nodes, node) for node in nodes}
    return next(v for v in (Verdict.NOT, Verdict.UNKNOWN, Verdict.SURVIVABLE) if v in found)


@given(st.integers(0, 2**32))
def test_ample_room_is_told_as_the_search_would(seed: int) -> None:
    dice = Random(seed)
    for _ in range(20):
        nodes = random_cluster(dice)
        assert verdict(nodes) is plainly(nodes)


@given(st.integers(0, 2**32))
def test_an_item_of_one_is_as_its_vm(seed: int) -> None:
    nodes = random_cluster(Random(seed))
    for guest in (g for n in nodes for g in n.guests.values()):
        item = Item.of([guest])
        assert (item.memory, item.vcpus, item.widest) == (guest.memory, guest.vcpus, guest.vcpus)
        assert item.disk_gib == guest.disk_gib and item.sound
        assert item.groups == {guest.apart} - {None}
        assert item.cpus == {guest.cpu} - {None, HOST}
        assert item.usual is (guest.cpu is None)


@pytest.fixture(scope="module")
def inventory() -> Inventory:
    return fleet(2, 200, sites=1)


def said(ledger: Ledger, inventory: Inventory) -> tuple[Budget, list[str]]:
    return ledger.budget, [ledger.refuses(vm) for vm in inventory.vms]


@given(st.data())
def test_who_was_only_tried_leaves_no_trace(inventory: Inventory, data: st.DataObject) -> None:
    """At a site whose addresses run out: what it says of every VM afterwards is as before."""
    names = data.draw(st.permutations(list(inventory.vms)))
    there = names[: data.draw(st.integers(0, 120))]
    tried = names[len(there) : len(there) + data.draw(st.integers(1, 60))]
    ledger, plain = (Ledger(inventory, "site00", foreign=50) for _ in range(2))
    for vm in there:
        ledger.add(vm)
        plain.add(vm)
    with ledger.trying():
        for vm in tried:
            if not ledger.refuses(vm):
                ledger.add(vm)
    assert said(ledger, inventory) == said(plain, inventory)
    for vm in tried:
        ledger.add(vm)
        plain.add(vm)
    assert said(ledger, inventory) == said(plain, inventory)
