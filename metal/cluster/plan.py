"""Which clusters must be formed, of which servers, on which disks. Pure."""

from collections.abc import Iterator, Set
from typing import NamedTuple

from metal.model.disks import data_disks
from metal.model.fleet import Inventory
from metal.model.life import Life, Status
from metal.model.plan import FormCluster, HaWishes, Osd, Risk
from metal.model.world import SeenCluster, SeenServer, World

LEAVING = frozenset({Life.DRAINING, Life.RETIRED})
MOST_NAMED = 5
"""VMs in one warning."""


def plan_clusters(
    inventory: Inventory, world: World, installing: Set[str] = frozenset()
) -> list[FormCluster]:
    """Clusters that are not wholly formed although all their servers are, or will be, installed.

    `installing`: servers that an action `install:NAME` of the same plan installs. A solo
    machine has nothing to form: its action sees it answer, so that its life moves on.
    """
    actions = []
    for name in inventory.clusters:
        servers = _to_form(inventory, world, installing, name)
        if servers:
            actions.append(_action(inventory, world, installing, name, servers))
    return actions


def _to_form(
    inventory: Inventory, world: World, installing: Set[str], name: str
) -> tuple[str, ...]:
    """The servers, those that are members already first; empty when there is nothing to do."""
    seen = world.clusters.get(name, SeenCluster())
    lives = {s: world.servers.get(s, SeenServer()) for s in inventory.clusters[name].servers}
    kept = {s: at for s, at in lives.items() if at.life not in LEAVING}
    fresh = {s for s, at in kept.items() if at.life is Life.INSTALLED or s in installing}
    if any(kept[s].status is Status.HELD for s in fresh):
        return ()
    if not kept or not all(s in fresh or at.life is Life.MEMBER for s, at in kept.items()):
        return ()
    # A node that is down is still listed by its cluster: only a quorate one's word counts.
    stranded = len(kept) > 1 and bool(seen.quorate) and not set(kept) <= set(seen.nodes)
    if (not fresh and not stranded) or contradiction(inventory, world, name):
        return ()
    return tuple(sorted(kept, key=lambda s: s not in seen.nodes))


class Contradiction(NamedTuple):
    """Why nothing of a cluster is formed, and what to do."""

    why: str
    mend: str


def contradiction(inventory: Inventory, world: World, name: str) -> Contradiction | None:
    """Whether what is seen of the cluster cannot be as it is told: it would be made anew beside
    what runs. Of a solo machine nothing is formed."""
    servers = inventory.clusters[name].servers
    seen = world.clusters.get(name, SeenCluster())
    if len(servers) < 2:
        return None
    if seen.formed and not set(servers) & set(seen.nodes):
        nodes = ", ".join(seen.nodes) or "nobody"
        why = f"it is formed already, of {nodes} and none of its servers"
        return Contradiction(why, "look again, or name its servers as its nodes are named")
    outside = set(servers) - set(seen.nodes)
    strangers = [node for node in seen.nodes if node not in servers]
    joining = [s for s in servers if s in outside and _life(world, s) not in LEAVING]
    if strangers and joining:
        odd, waiting = ", ".join(strangers), ", ".join(joining)
        why = f"it has the node {odd}, which is none of its servers and may be {waiting} renamed"
        gone = f"one that is gone for good: `pvecm delnode {strangers[0]}`"
        return Contradiction(why, f"name its servers as its nodes are named; {gone}")
    running = [
        f"{vm} on {at.server}"
        for vm, at in sorted(world.vms.items())
        if at.state == "running" and at.cluster == name and at.server in outside
    ]
    if running:
        named = ", ".join(running[:MOST_NAMED])
        why = f"VMs run on servers that are no nodes of it: {named}"
        return Contradiction(why, "look again, or take them off before their server joins")
    return None


def _life(world: World, server: str) -> Life:
    return world.servers.get(server, SeenServer()).life


def contradictions(inventory: Inventory, world: World) -> Iterator[str]:
    """A warning for each cluster of which that is so."""
    for name in inventory.clusters:
        if found := contradiction(inventory, world, name):
            yield f"{name} is not formed: {found.why} → {found.mend}"


def _action(
    inventory: Inventory,
    world: World,
    installing: Set[str],
    name: str,
    servers: tuple[str, ...],
) -> FormCluster:
    needs = tuple(f"install:{s}" for s in servers if s in installing)
    if len(inventory.clusters[name].servers) == 1:
        return FormCluster(
            cluster=name,
            servers=servers,
            ceph=False,
            what=f"take {servers[0]} into use as the solo machine {name}",
            why="it is installed; once its API answers, VMs may be placed on it",
            risk=Risk.SAFE,
            needs=needs,
        )
    ceph = inventory.clusters[name].ceph
    osds = tuple(osd for s in servers if ceph for osd in _osds(inventory, world, s))
    members = set(world.clusters.get(name, SeenCluster()).nodes)
    joining = [s for s in servers if s not in members]
    return FormCluster(
        cluster=name,
        servers=servers,
        ceph=ceph,
        osds=osds,
        what=f"form the cluster {name} of {', '.join(servers)}" + (" with Ceph" if ceph else ""),
        called=inventory.clusters[name].called,
        pool=inventory.clusters[name].storage,
        management_from=tuple(map(str, inventory.fleet.management_from)),
        why=_why(name, servers, joining),
        # It rewrites the configuration of nodes that carry no VMs yet, and takes blank disks
        # only: a disk in use is refused.
        risk=Risk.DISRUPTS,
        needs=needs,
    )


def form_again(inventory: Inventory, world: World, name: str, wishes: HaWishes) -> FormCluster:
    """A cluster that is formed, gone through once more: what is as it should be stays so."""
    nodes = world.cluster(name).nodes  # strangers' among them, which are left alone
    servers = tuple(s for s in inventory.clusters[name].servers if s in nodes)
    action = _action(inventory, world, frozenset(), name, servers)
    return action.model_copy(
        update={
            "osds": (),
            "what": f"see that {name} is wholly formed",
            "why": "asked for; what is as it should be is left alone",
            "risk": Risk.SAFE,
            "wishes": wishes if inventory.clusters[name].has_ha and len(servers) > 1 else None,
        }
    )


def _why(name: str, servers: tuple[str, ...], joining: list[str]) -> str:
    if len(joining) == len(servers):
        return f"its servers are installed and there is no cluster {name} yet"
    if joining:
        return f"{name} has been begun: {', '.join(joining)} must still join"
    return f"all have joined {name}, but what comes after was not finished"


def _osds(inventory: Inventory, world: World, server: str) -> tuple[Osd, ...]:
    """One OSD a drive that is not the system's; servers that are members already keep theirs."""
    if _life(world, server) is Life.MEMBER:
        return ()
    learned = inventory.servers[server].learned
    if learned is None or not learned.disks:
        return (Osd(server=server, device="*"),)
    disks = data_disks(inventory.profile(server), inventory.servers[server])
    return tuple(Osd(server=server, device=d.name, serial=d.serial) for d in disks)
