"""The plan of forming one cluster, or of seeing that it is wholly formed."""

from metal.cluster.plan import contradiction, form_again, plan_clusters
from metal.controller.planning import judged
from metal.controller.workspace import Workspace
from metal.inventory.mistakes import suggest
from metal.model.errors import BadInput, Refused, Unreachable
from metal.model.life import Life, Status
from metal.model.plan import FormCluster, Plan, fingerprint
from metal.model.world import World
from metal.schedule.wishes import ha_wishes

READY = frozenset({Life.INSTALLED, Life.MEMBER})


def form_plan(workspace: Workspace, world: World, name: str) -> Plan:
    """One action, taken on from where the cluster stands; judged.

    Refused while one of its servers is not installed; Unreachable when nobody says how far it is.
    """
    inventory = workspace.inventory
    if name not in inventory.clusters:
        mend = suggest(name, inventory.clusters, "cluster")
        raise BadInput(f"there is no cluster {name}", where="inventory.toml", mend=mend)
    plan = Plan(
        fingerprint=fingerprint(inventory, world), actions=(_action(workspace, world, name),)
    )
    return judged(plan, inventory, world)


def _action(workspace: Workspace, world: World, name: str) -> FormCluster:
    inventory = workspace.inventory
    for action in plan_clusters(inventory, world):
        if action.cluster == name:
            return action
    if found := contradiction(inventory, world, name):
        raise Refused(found.why, where=name, mend=found.mend)
    lives = {s: world.server(s) for s in inventory.clusters[name].servers}
    if held := [s for s, seen in lives.items() if seen.status is Status.HELD]:
        raise Refused(
            f"{', '.join(held)} is held: {lives[held[0]].note}",
            where=name,
            mend=f"see to it, then `metal release {held[0]}`",
        )
    if early := [f"{s} is {seen.life}" for s, seen in lives.items() if seen.life not in READY]:
        raise Refused(
            f"its servers are not all installed: {', '.join(early)}",
            where=name,
            mend="`metal plan` shows what is to be done before; `metal apply` does it",
        )
    seen = world.cluster(name)
    if not seen.formed or not seen.quorate:
        raise Unreachable(
            "nobody of it answers" if seen.formed is None else "it has no quorum",
            where=name,
            mend="check power and network of its servers: `metal status`",
        )
    return form_again(inventory, world, name, ha_wishes(inventory, world, name))
