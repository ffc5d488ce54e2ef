"""The sudden death of a server or a site, rehearsed on doubles: what the watcher does, and when.

The real watcher, store and flows; BMCs, Proxmox's HA, libvirt's hosts and the clock are models
(metal/lab/storms). So the order and the waiting are true; what guests need to boot is not in it.
"""

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from metal.controller.post import Post
from metal.controller.progress import Progress, silent
from metal.controller.watching import Watcher
from metal.lab.storms.laws import Laws
from metal.lab.storms.ports import AtOnce, Eyes, Leave, SimWorkspace
from metal.lab.storms.rack import Rack
from metal.model.base import Frozen
from metal.model.errors import BadInput, Refused
from metal.model.fleet import Cluster, Inventory
from metal.model.life import Life, Status
from metal.model.world import SeenVm, World
from metal.operations.database import Clock
from metal.operations.store import Store, open_store

EPOCH = 1_800_000_000.0
WARM = 6
"""Rounds before the failure: HA has a master by then, and the watcher has seen all well."""
NOTICED = 120.0
"""Seconds for which it is waited until a server that runs nothing is noticed, too."""
LONGEST = 1200.0
"""Seconds after which what does not run counts as lost."""


class Rehearsed(Frozen):
    """Seconds since the server lost its power."""

    server: str
    """Or the site."""
    cluster: str
    """"" where it is a site that was lost."""
    verdict: str
    """The watcher's, at the end: "suspect", "dead", "site-trouble"; "" when it noticed nothing."""
    noticed: float | None
    proven: float | None
    """When it was proven off and set aside."""
    vms: dict[str, tuple[str, float]]
    """VM → the server it runs on, and since when."""
    by_metal: tuple[str, ...] = ()
    """Those that no HA manages: metal starts them itself."""
    untold: bool = False
    """Nobody told which of them HA manages: it was played as if all."""
    down: tuple[str, ...]
    """VMs that run nowhere, a quarter of an hour and more later."""


class Drill(Frozen):
    """Each server's death, one after the other."""

    servers: tuple[Rehearsed, ...]
    skipped: dict[str, str]
    """Server → why its death cannot be rehearsed."""


def rehearse_each(inventory: Inventory, world: World, *, progress: Progress = silent) -> Drill:
    """Every server of the inventory, on a world that is whole again for each."""
    played: list[Rehearsed] = []
    skipped: dict[str, str] = {}
    for number, server in enumerate(inventory.servers):
        progress.begin("drill", f"let {server} die ({number + 1}/{len(inventory.servers)})")
        try:
            played.append(rehearse(inventory, world, server))
        except Refused as error:
            skipped[server] = error.what
    progress.end("drill", True, "")
    return Drill(servers=tuple(played), skipped=skipped)


def rehearse_site(inventory: Inventory, world: World, site: str) -> Rehearsed:
    """What the watcher does when every server of a site loses power, BMC and link at once.

    Refused where nothing is known to run at the site.
    """
    clusters = list(inventory.clusters)
    vms = {n: vm.server for c in clusters for n, vm in _running(inventory, world, c).items()}
    here = [s for s, about in inventory.servers.items() if about.site == site]
    here = [s for s in here if inventory.cluster_of(s) in clusters]
    if not set(vms.values()) & set(here):
        raise Refused("nothing is known to run there", where=site)
    return _rehearsed(_narrowed(inventory, clusters, world, vms), world, site, here)


def rehearse(inventory: Inventory, world: World, server: str) -> Rehearsed:
    """What the death of `server` would come to, with VMs where `world` has them.

    Refused where nothing is known to run.
    """
    cluster = _cluster_of(inventory, world, server)
    vms = {name: vm.server for name, vm in _running(inventory, world, cluster).items()}
    return _rehearsed(_narrowed(inventory, [cluster], world, vms), world, server, [server])


def _running(inventory: Inventory, world: World, cluster: str) -> dict[str, SeenVm]:
    return {
        name: vm
        for name, vm in world.vms.items()
        if vm.cluster == cluster and vm.state == "running" and name in inventory.vms
    }


def _rehearsed(small: Inventory, world: World, lost: str, servers: Sequence[str]) -> Rehearsed:
    """`small` has the VMs that are played, and `world` where they are."""
    rack = Rack(small, _unmanaged(small, world))
    for vm in small.vms:
        home = world.vms[vm].server
        rack.clusters[small.cluster_of(home) or ""].settle(vm, home)
    with tempfile.TemporaryDirectory(prefix="metal-drill-") as folder:
        clock = Clock(lambda: EPOCH + rack.now, lambda: rack.now)
        with open_store("sqlite", Path(folder), clock=clock) as store:
            played = _play(small, rack, store, Path(folder), lost, servers)
    untold = any(world.clusters[c].ha is None for c in small.clusters if small.clusters[c].has_ha)
    by_metal = tuple(vm for vm in played.vms if _by_metal(small, world, vm))
    return played.model_copy(update={"by_metal": by_metal, "untold": untold})


def _by_metal(inventory: Inventory, world: World, vm: str) -> bool:
    """Whether no HA starts it; where nobody told, Proxmox's does."""
    seen = world.vms[vm]
    if not inventory.clusters[seen.cluster].has_ha:
        return True
    ha = world.clusters[seen.cluster].ha
    return ha is not None and seen.vmid not in ha.managed


def _unmanaged(inventory: Inventory, world: World) -> list[str]:
    return [vm for vm in inventory.vms if _by_metal(inventory, world, vm)]


def _play(
    inventory: Inventory,
    rack: Rack,
    store: Store,
    folder: Path,
    subject: str,
    servers: Sequence[str],
) -> Rehearsed:
    site = subject in inventory.sites and subject not in inventory.servers
    cluster = "" if site else inventory.cluster_of(subject) or ""
    for name in inventory.servers:
        for life in (Life.ENROLLED, Life.INSTALLED, Life.MEMBER):
            store.servers.move(name, life)
        store.servers.pin(name, "ab" * 32)
    laws, every = Laws(rack), inventory.watch.every
    # Who looks stands where the failure is, unless that is a whole site.
    elsewhere = (s for s in inventory.sites if s != subject)
    place = next(elsewhere, "") if site else inventory.site_of(cluster)
    eyes = Eyes(rack, place, random.Random(0))
    workspace = SimWorkspace(folder, inventory, store, eyes, laws.fence)
    watcher = Watcher(workspace, silent, place="drill", every=every, pool=AtOnce(), stop=Leave)
    post = Post(store, "drill", 2 * every)

    def turn() -> None:
        rack.advance(every)
        post.seek()
        watcher.round(post)

    for _ in range(WARM):
        turn()
    lost, at = sorted(vm for s in servers for vm in rack.boxes[s].running), rack.now
    for server in servers:
        rack.boxes[server].mains = not site
        rack.cut(server, "its power is gone")
    if site:
        rack.site_link[subject] = False
    back: dict[str, tuple[str, float]] = {}
    proven: float | None = None

    def is_open() -> bool:
        unseen = proven is None and rack.now < at + NOTICED
        return unseen or len(back) < len(lost) or bool(store.journal.list(open_only=True))

    while rack.now < at + LONGEST and is_open():
        turn()
        if proven is None and any(store.servers.get(s).status is Status.HELD for s in servers):
            proven = rack.now - at
        for vm in lost:
            where = [box for box in rack.copies(vm) if box not in servers]
            if where and vm not in back:
                back[vm] = (where[0], rack.now - at)
    kind = "site" if site else "server"
    seen = [i for i in store.incidents.list() if i.subject in (f"{kind} {subject}", "fleet")]
    return Rehearsed(
        server=subject,
        cluster=cluster,
        verdict=seen[0].state if seen else "",
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
    seen = world.servers.get(server)
    if seen is None or seen.node != "online":
        raise Refused("it is not seen online: nothing is known to run there", where=server)
    return cluster


def _on_doubles(cluster: Cluster) -> Cluster:
    """Its Ceph is asked for nothing: what speaks to it would reach the real one."""
    if cluster.libvirt is None:
        return cluster
    return cluster.model_copy(
        update={"libvirt": cluster.libvirt.model_copy(update={"ceph": False})}
    )


def _narrowed(
    inventory: Inventory, clusters: Sequence[str], world: World, vms: dict[str, str]
) -> Inventory:
    """These clusters alone, with what runs there."""
    kept = {name: _on_doubles(inventory.clusters[name]) for name in clusters}
    sites = {inventory.site_of(name) for name in clusters}
    servers = [s for about in kept.values() for s in about.servers]
    return inventory.model_copy(
        update={
            "sites": {n: about for n, about in inventory.sites.items() if n in sites},
            "servers": {name: inventory.servers[name] for name in servers},
            "clusters": kept,
            "vms": {
                name: inventory.vms[name].model_copy(update={"cluster": world.vms[name].cluster})
                for name in vms
            },
            "alarms": {},
        }
    )
