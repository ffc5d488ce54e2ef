"""A server's sudden death, rehearsed on doubles of its cluster: what the watcher does, and when.

The real watcher, store and flows; BMCs, Proxmox's HA and the clock are models (metal/lab/storms).
So the order and the waiting are true, and what guests need to boot is not in it.
"""

import random
import tempfile
from pathlib import Path

from metal.controller.post import Post
from metal.controller.progress import silent
from metal.controller.watching import Watcher
from metal.lab.ha.shared import Resource
from metal.lab.storms.laws import Laws
from metal.lab.storms.ports import AtOnce, Eyes, Leave, SimWorkspace
from metal.lab.storms.rack import Rack
from metal.model.base import Frozen
from metal.model.errors import BadInput, Refused
from metal.model.fleet import Inventory
from metal.model.life import Life, Status
from metal.model.world import World
from metal.operations.database import Clock
from metal.operations.store import Store, open_store

EPOCH = 1_800_000_000.0
WARM = 6
"""Rounds before the failure: HA has a master by then, and the watcher has seen all well."""
LONGEST = 1200.0
"""Seconds after which what does not run counts as lost."""


class Rehearsed(Frozen):
    """Seconds since the server lost its power."""

    server: str
    cluster: str
    noticed: float | None
    proven: float | None
    """When it was proven off and set aside."""
    vms: dict[str, tuple[str, float]]
    """VM → the server it runs on, and since when."""
    down: tuple[str, ...]
    """VMs that run nowhere, a quarter of an hour and more later."""


def rehearse(inventory: Inventory, world: World, server: str) -> Rehearsed:
    """What the death of `server` would come to, with VMs where `world` has them.

    Refused where nothing is known to run, or where no HA restarts VMs: for those the trio is the
    rehearsal.
    """
    cluster = _cluster_of(inventory, world, server)
    vms = {
        name: vm.server
        for name, vm in world.vms.items()
        if vm.cluster == cluster and vm.state == "running" and name in inventory.vms
    }
    small = _narrowed(inventory, cluster, vms)
    rack = Rack(small)
    for vm, home in vms.items():
        trio = rack.clusters[cluster]
        rack.boxes[trio.place_of(vm)].running.discard(vm)
        rack.boxes[home].running.add(vm)
        trio.shared.resources[vm] = Resource(home, "started")
    with tempfile.TemporaryDirectory(prefix="metal-drill-") as folder:
        clock = Clock(lambda: EPOCH + rack.now, lambda: rack.now)
        with open_store("sqlite", Path(folder), clock=clock) as store:
            return _play(small, rack, store, Path(folder), server, cluster)


def _play(
    inventory: Inventory, rack: Rack, store: Store, folder: Path, server: str, cluster: str
) -> Rehearsed:
    for name in inventory.servers:
        for life in (Life.ENROLLED, Life.INSTALLED, Life.MEMBER):
            store.servers.move(name, life)
        store.servers.pin(name, "ab" * 32)
    laws, every = Laws(rack), inventory.watch.every
    eyes = Eyes(rack, inventory.site_of(cluster), random.Random(0))
    workspace = SimWorkspace(folder, inventory, store, eyes, laws.fence)
    watcher = Watcher(workspace, silent, place="drill", every=every, pool=AtOnce(), stop=Leave)
    post = Post(store, "drill", 2 * every)

    def turn() -> None:
        rack.advance(every)
        post.seek()
        watcher.round(post)

    for _ in range(WARM):
        turn()
    lost, at = sorted(rack.boxes[server].running), rack.now
    rack.cut(server, "its power is gone")
    back: dict[str, tuple[str, float]] = {}
    proven: float | None = None
    while rack.now < at + LONGEST and (len(back) < len(lost) or store.journal.list(open_only=True)):
        turn()
        if proven is None and store.servers.get(server).status is Status.HELD:
            proven = rack.now - at
        for vm in lost:
            where = [box for box in rack.copies(vm) if box != server]
            if where and vm not in back:
                back[vm] = (where[0], rack.now - at)
    seen = [i for i in store.incidents.list() if i.subject == f"server {server}"]
    return Rehearsed(
        server=server,
        cluster=cluster,
        noticed=seen[0].began - EPOCH - at if seen else None,
        proven=proven,
        vms=dict(sorted(back.items(), key=lambda item: (item[1][1], item[0]))),
        down=tuple(vm for vm in lost if vm not in back),
    )


def _cluster_of(inventory: Inventory, world: World, server: str) -> str:
    if server not in inventory.servers:
        known = ", ".join(inventory.servers)
        raise BadInput("no such server", where=server, mend=f"the inventory has {known}")
    cluster = inventory.cluster_of(server)
    if cluster is None or len(inventory.clusters[cluster].servers) == 1:
        raise Refused("it stands alone: nothing can take over", where=server)
    if not inventory.clusters[cluster].has_ha:
        raise Refused(
            "metal itself restarts the VMs of its cluster, and that is rehearsed on real ones",
            where=server,
            mend="`metal lab up --engine namespaces`, and there `metal lab break trio1 dead`",
        )
    seen = world.servers.get(server)
    if seen is None or seen.node != "online":
        raise Refused("it is not seen online: nothing is known to run there", where=server)
    return cluster


def _narrowed(inventory: Inventory, cluster: str, vms: dict[str, str]) -> Inventory:
    """The cluster alone, with what runs there."""
    about = inventory.clusters[cluster]
    site = inventory.site_of(cluster)
    return inventory.model_copy(
        update={
            "sites": {site: inventory.sites[site]},
            "servers": {name: inventory.servers[name] for name in about.servers},
            "clusters": {cluster: about},
            "vms": {
                name: inventory.vms[name].model_copy(update={"cluster": cluster}) for name in vms
            },
            "alarms": {},
        }
    )
