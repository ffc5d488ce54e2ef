"""What to do about servers in trouble, and what not to do and why. Pure."""

from collections.abc import Callable, Sequence

from metal.heal.diagnosis import PATIENCE, Diagnosis, diagnose
from metal.model.errors import MetalError
from metal.model.fleet import Inventory
from metal.model.life import Life
from metal.model.plan import DrainServer, MigrateVm, RecoverServer, Risk, count
from metal.model.world import SeenCluster, SeenServer, World

__all__ = ["Diagnosis", "diagnose", "plan_heal"]

Heal = RecoverServer | DrainServer
Moves = Callable[[str], tuple[MigrateVm, ...]]
"""Server → the moves that empty it, in order. It may raise Refused when there is no room."""


def plan_heal(
    inventory: Inventory, world: World, earlier: Sequence[World], drain_moves: Moves
) -> tuple[tuple[Heal, ...], tuple[str, ...]]:
    """(actions, holds): what to do, and one text for each thing that a person must see to.

    `earlier`: the looks before this one, oldest first. Servers that are held, draining or
    retired are never touched.
    """
    actions: list[Heal] = []
    holds: list[str] = []
    diagnoses = diagnose(inventory, world, earlier)
    for name, diagnosis in diagnoses.items():
        if world.servers[name].life is not Life.MEMBER:
            if diagnosis.state in ("dead", "suspect", "unreachable"):
                holds.append(
                    f"{name} fails while it is being emptied ({'; '.join(diagnosis.evidence)}): "
                    "see that its cluster restarts what was left there."
                )
            continue
        match diagnosis.state:
            case "dead" | "suspect":
                _recover(inventory, world, earlier, name, diagnosis, actions, holds)
            case "degrading":
                _drain(inventory, world, name, diagnosis, drain_moves, actions, holds)
            case "unreachable":
                holds.append(_check(name, diagnosis))
    return tuple(actions), (*_alarms(inventory, diagnoses), *holds)


def _recover(
    inventory: Inventory,
    world: World,
    earlier: Sequence[World],
    name: str,
    diagnosis: Diagnosis,
    actions: list[Heal],
    holds: list[str],
) -> None:
    cluster = inventory.cluster_of(name)
    seen = world.clusters.get(cluster or "", SeenCluster())
    said = "; ".join(diagnosis.evidence)
    if cluster is None or len(inventory.clusters[cluster].servers) == 1:
        holds.append(
            f"{name} is down ({said}) and stands alone: nothing can take over. Power it on."
        )
    elif world.servers[name].node != "offline" or seen.quorate is not True:
        holds.append(
            f"{name} may be down ({said}), but no quorate cluster says so: nothing can take "
            f"over. Check the network and the other nodes of {cluster}."
        )
    elif diagnosis.state == "suspect" and diagnosis.looks < PATIENCE:
        holds.append(
            f"{name} is suspect ({said}): if the next look shows the same, it is switched off "
            "through its BMC and its VMs run elsewhere."
        )
    else:
        actions.append(_recovery(world, earlier, name, cluster, diagnosis))


def _recovery(
    world: World, earlier: Sequence[World], name: str, cluster: str, diagnosis: Diagnosis
) -> RecoverServer:
    dead = diagnosis.state == "dead"
    return RecoverServer(
        server=name,
        cluster=cluster,
        vms=_victims(world, earlier, name),
        what=f"recover what ran on {name}: "
        + ("prove it off" if dead else "switch it off through its BMC")
        + ", then see its VMs run elsewhere",
        why="; ".join(diagnosis.evidence),
        risk=Risk.SAFE if dead else Risk.DISRUPTS,
    )


def _victims(world: World, earlier: Sequence[World], name: str) -> dict[str, int]:
    """VM → id of what ran there when it died.

    A dead node's VMs are `unknown`: the last look that saw it online tells which of them had
    been stopped. Those that HA has moved already are not there any more, and need nothing.
    """
    last = next(
        (w for w in reversed(earlier) if w.servers.get(name, SeenServer()).node == "online"),
        World(),
    )
    stopped = {vm for vm, seen in last.vms.items() if seen.state == "stopped"}
    return {
        vm: seen.vmid
        for vm, seen in sorted(world.vms.items())
        if seen.server == name and seen.state != "stopped" and vm not in stopped
    }


def _drain(
    inventory: Inventory,
    world: World,
    name: str,
    diagnosis: Diagnosis,
    drain_moves: Moves,
    actions: list[Heal],
    holds: list[str],
) -> None:
    cluster, said = inventory.cluster_of(name), "; ".join(diagnosis.evidence)
    there = {
        n
        for n, vm in world.vms.items()
        if vm.server == name and vm.state != "stopped" and n in inventory.vms
    }
    try:
        moves = drain_moves(name)
    except MetalError as error:
        holds.append(f"{name} is failing ({said}), but cannot be emptied: {error.what}")
        return
    left = sorted(there - {move.vm for move in moves})
    if cluster is None or left:
        holds.append(
            f"{name} is failing ({said}), but there is no place for {', '.join(left) or 'it'}: "
            "repair it, or make room."
        )
        return
    actions.append(
        DrainServer(
            server=name,
            cluster=cluster,
            moves=moves,
            what=f"empty {name} by live migration of {count(len(moves), 'VM')}",
            why=said,
            risk=Risk.DISRUPTS,
        )
    )


def _check(name: str, diagnosis: Diagnosis) -> str:
    return (
        f"{name} cannot be judged ({'; '.join(diagnosis.evidence)}): somebody must see whether it "
        "has power. If it is off, make its BMC answer again, and its VMs are recovered."
    )


def _alarms(inventory: Inventory, diagnoses: dict[str, Diagnosis]) -> list[str]:
    """One text a site, whatever the number of its servers."""
    texts = []
    for site, about in inventory.sites.items():
        hit = [
            name
            for name, diagnosis in diagnoses.items()
            if diagnosis.state == "site-trouble" and inventory.servers[name].site == site
        ]
        if hit:
            texts.append(
                f"{site} ({about.place}) is in trouble as a whole: {', '.join(hit)} at once. "
                f"Nothing is done there. Ask {about.donor.name} ({about.donor.contact}) about "
                "power and network."
            )
    return texts
