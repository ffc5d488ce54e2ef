"""What to do about servers in trouble, and what not to do and why. Pure."""

from collections.abc import Callable, Collection, Sequence

from metal.heal.diagnosis import OUT, PATIENCE, Diagnosis, diagnose
from metal.heal.fallen import fallen
from metal.heal.past import History, Look, Sense
from metal.heal.storm import flapping, restrain
from metal.model.base import Frozen
from metal.model.errors import MetalError
from metal.model.fleet import Inventory
from metal.model.life import Life
from metal.model.plan import DrainServer, MigrateVm, RecoverServer, Restarts, Risk, StartVm, count
from metal.model.watch import WatchPolicy
from metal.model.world import SeenCluster, SeenServer, World

__all__ = ["Diagnosis", "diagnose", "plan_heal"]

Heal = RecoverServer | DrainServer
Moves = Callable[[str], tuple[MigrateVm, ...]]
"""Server → the moves that empty it, in order. It may raise Refused when there is no room."""
Places = Callable[[str, Collection[str]], Restarts]
"""(dead server, VMs that ran there) → where metal runs them, where no HA does."""


class Wait(Frozen):
    """It is not acted on yet."""

    text: str


class Found(Frozen):
    """What one round of looking comes to."""

    diagnoses: dict[str, Diagnosis]
    actions: tuple[Heal | StartVm, ...]
    holds: dict[str, str]
    """"server alba1", "site lisbon" or "fleet" → what a person must see to."""
    waits: dict[str, str] = {}
    """"server alba1" → what is acted on soon, unless it goes away: nobody's to see to yet."""

    def said(self, subject: str) -> str:
        """What is told of it beside its evidence."""
        return self.holds.get(subject) or self.waits.get(subject, "")


def plan_heal(
    inventory: Inventory,
    world: World,
    past: Sequence[Look],
    drain_moves: Moves,
    *,
    places: Places | None = None,
    sense: Sense | None = None,
    history: History | None = None,
    policy: WatchPolicy | None = None,
) -> Found:
    """What to do, and what a person must see to.

    `past`: the looks before this one, oldest first. Servers that are held or retired are never
    touched; one that dies while it is emptied is recovered like any other.
    """
    known, before, limits = sense or Sense(), history or History(), policy or WatchPolicy()
    diagnoses = diagnose(inventory, world, past, known)
    actions: list[Heal] = []
    holds, waits = _alarms(inventory, diagnoses), {}
    for name, diagnosis in diagnoses.items():
        if world.servers[name].life is not Life.MEMBER:
            hold: Heal | Wait | str | None = _emptying(name, diagnosis)
            if diagnosis.state in ("dead", "suspect") and _victims(world, past, name):
                hold = _recover(inventory, world, past, name, diagnosis, known, places or _nowhere)
        elif diagnosis.state in ("dead", "suspect"):
            hold = _recover(inventory, world, past, name, diagnosis, known, places or _nowhere)
        elif diagnosis.state == "degrading":
            hold = _drain(inventory, world, name, "; ".join(diagnosis.evidence), drain_moves)
        elif diagnosis.state == "healthy" and flapping(name, before, limits):
            times = f"it failed {before.failures[name]} times in {limits.flap_hours:g} hours"
            hold = _drain(inventory, world, name, times, drain_moves)
        else:
            hold = _person(name, diagnosis)
        if isinstance(hold, Wait):
            waits[f"server {name}"] = hold.text
        elif isinstance(hold, str):
            holds[f"server {name}"] = hold
        elif hold is not None:
            actions.append(hold)
    kept, storm = restrain(actions, before, limits)
    if storm:
        holds["fleet"] = storm
    again = tuple(fallen(inventory, world, past[-1].world if past else None, known.fell))
    return Found(diagnoses=diagnoses, actions=(*kept, *again), holds=holds, waits=waits)


def _nowhere(_server: str, vms: Collection[str]) -> Restarts:
    return Restarts(stranded=dict.fromkeys(vms, "nobody looked for a place"))


def _emptying(name: str, diagnosis: Diagnosis) -> str | None:
    if diagnosis.state not in OUT:
        return None
    return (
        f"{name} fails while it is being emptied ({'; '.join(diagnosis.evidence)}): "
        "see that its cluster restarts what was left there."
    )


def _recover(
    inventory: Inventory,
    world: World,
    past: Sequence[Look],
    name: str,
    diagnosis: Diagnosis,
    sense: Sense,
    places: Places,
) -> Heal | Wait | str:
    cluster = inventory.cluster_of(name)
    seen = world.clusters.get(cluster or "", SeenCluster())
    said = "; ".join(diagnosis.evidence)
    if cluster is None or len(inventory.clusters[cluster].servers) == 1:
        return (
            f"{name} is down ({said}) and stands alone: nothing can take over. Power it on: "
            f"`metal power on {name}`."
        )
    if world.servers[name].node != "offline" or seen.quorate is not True:
        return (
            f"{name} may be down ({said}), but no quorate cluster says so: nothing can take "
            f"over. Check the network and the other nodes of {cluster}."
        )
    waited = diagnosis.looks >= PATIENCE and diagnosis.seconds >= sense.suspect_seconds
    if diagnosis.state == "suspect" and not waited:
        return Wait(
            text=f"{name} is suspect ({said}): if it stays so for {sense.suspect_seconds:g} s, "
            "`metal watch --act` switches it off through its BMC and its VMs run elsewhere."
        )
    vms = _most_important_first(inventory, _victims(world, past, name))
    restarts = None if inventory.clusters[cluster].has_ha else places(name, vms)
    return _recovery(name, cluster, diagnosis, vms, restarts)


def _recovery(
    name: str, cluster: str, diagnosis: Diagnosis, vms: dict[str, int], restarts: Restarts | None
) -> RecoverServer:
    dead = diagnosis.state == "dead"
    return RecoverServer(
        server=name,
        cluster=cluster,
        vms=vms,
        restarts=restarts,
        what=f"recover what ran on {name}: "
        + ("prove it off" if dead else "switch it off through its BMC")
        + f", then {_then(restarts)}",
        why="; ".join(diagnosis.evidence),
        risk=Risk.SAFE if dead else Risk.DISRUPTS,
    )


def _then(restarts: Restarts | None) -> str:
    if restarts is None:
        return "see its VMs run elsewhere"
    homes = ", ".join(f"{one.vm} on {one.target}" for one in restarts.planned)
    return f"restart {homes or 'nothing'}"


def _victims(world: World, past: Sequence[Look], name: str) -> dict[str, int]:
    """VM → id of what ran there when it died.

    A dead node's VMs are `unknown`: the last look that saw it online tells which of them had
    been stopped. Those that HA has moved already are not there any more, and need nothing.
    """
    last = next(
        (
            look.world
            for look in reversed(past)
            if look.world.servers.get(name, SeenServer()).node == "online"
        ),
        World(),
    )
    stopped = {vm for vm, seen in last.vms.items() if seen.state == "stopped"}
    return {
        vm: seen.vmid
        for vm, seen in sorted(world.vms.items())
        if seen.server == name and seen.state != "stopped" and vm not in stopped
    }


def _most_important_first(inventory: Inventory, vms: dict[str, int]) -> dict[str, int]:
    def rank(vm: str) -> tuple[int, str]:
        return (-inventory.vms[vm].priority if vm in inventory.vms else 1, vm)

    return {vm: vms[vm] for vm in sorted(vms, key=rank)}


def _drain(
    inventory: Inventory, world: World, name: str, said: str, drain_moves: Moves
) -> Heal | str:
    cluster = inventory.cluster_of(name)
    there = {
        n
        for n, vm in world.vms.items()
        if vm.server == name and vm.state != "stopped" and n in inventory.vms
    }
    try:
        moves = drain_moves(name)
    except MetalError as error:
        return f"{name} is failing ({said}), but cannot be emptied: {error.what}"
    left = sorted(there - {move.vm for move in moves})
    if cluster is None or left:
        return (
            f"{name} is failing ({said}), but there is no place for {', '.join(left) or 'it'}: "
            "repair it, or make room."
        )
    return DrainServer(
        server=name,
        cluster=cluster,
        moves=moves,
        at_once=inventory.watch.moves_at_once,
        mib_s=inventory.watch.move_mib_s,
        what=f"empty {name} by live migration of {count(len(moves), 'VM')}",
        why=said,
        risk=Risk.DISRUPTS,
    )


def _person(name: str, diagnosis: Diagnosis) -> str | None:
    said = "; ".join(diagnosis.evidence)
    if diagnosis.state == "unreachable":
        return (
            f"{name} cannot be judged ({said}): somebody must see whether it has power. If it is "
            f"off, say so (`metal fence {name} --i-have-pulled-the-plug`) or make its BMC "
            "answer again, and its VMs are recovered."
        )
    if diagnosis.state == "cut-off":
        return (
            f"{name} is alive but cut off from its cluster ({said}): its VMs may still run there, "
            "so nothing is switched off. Where HA manages them, its watchdog resets the server; "
            "see its cluster network."
        )
    return None


def _alarms(inventory: Inventory, diagnoses: dict[str, Diagnosis]) -> dict[str, str]:
    """One text a site, whatever the number of its servers; one in all where we are blind."""
    blind = [name for name, diagnosis in diagnoses.items() if diagnosis.state == "blind"]
    texts = {}
    if blind:
        texts["fleet"] = (
            f"{diagnoses[blind[0]].evidence[-1]}. Nothing is done. Check this machine's own "
            "network first, then ask the donors."
        )
    for site, about in inventory.sites.items():
        hit = [
            name
            for name, diagnosis in diagnoses.items()
            if diagnosis.state == "site-trouble" and inventory.servers[name].site == site
        ]
        if hit:
            texts[f"site {site}"] = (
                f"{site} ({about.place}) is in trouble as a whole: {', '.join(hit)} at once. "
                f"Nothing is done there. Ask {about.donor.name} ({about.donor.contact}) about "
                "power and network."
            )
    return texts
