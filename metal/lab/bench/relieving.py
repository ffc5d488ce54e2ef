"""Moves between clusters, of 1,020 servers and 15,000 VMs of which one cluster outgrew itself."""

import time
from datetime import date

from metal.lab.bench.surviving import CLUSTERS, SITES, VMS
from metal.lab.bench.worlds import fleet, world
from metal.model.fleet import Inventory
from metal.model.world import World
from metal.schedule.across import across, moved
from metal.schedule.place import place

TODAY = date(2027, 1, 1)


def relieving() -> None:
    inventory = fleet(CLUSTERS, VMS, sites=SITES)
    homes = {
        vm: (h.cluster, h.server) for vm, h in place(inventory, world(inventory)).homes.items()
    }
    healthy = world(inventory, homes)
    print(f"\n{'1,020 servers, 15,000 VMs: balance --across':<46} {'cpu s':>8} {'VMs go':>7}")
    for percent in (0, 60, 90):
        sick = outgrown(inventory, healthy, "c000", percent)
        begun = time.process_time()
        found = across(inventory, sick, 30, TODAY)
        spent = time.process_time() - begun
        what = f"  one cluster's VMs {percent} % larger" if percent else "  nobody in need"
        print(f"{what:<46} {spent:8.2f} {len(found.transfers):7}")
        for step in found.transfers:
            sick = moved(sick, step)
        left = {c.cluster for c in across(inventory, sick, 0, TODAY).clusters if not c.inside}
        assert left <= {c.cluster for c in found.clusters if c.left or c.why}


def outgrown(inventory: Inventory, seen: World, cluster: str, percent: int) -> World:
    """Somebody gave its VMs so much more memory."""
    more = {
        vm: at.model_copy(
            update={"memory_mib": inventory.needs(vm).memory_mib * (100 + percent) // 100}
        )
        for vm, at in seen.vms.items()
        if at.cluster == cluster and percent
    }
    return seen.model_copy(update={"vms": seen.vms | more})
