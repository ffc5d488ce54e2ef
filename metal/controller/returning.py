"""A server that was emptied because it was failing takes part again once it has stayed well."""

from metal.controller.sensing import by_watch, history
from metal.controller.workspace import Workspace
from metal.heal.plan import Found
from metal.heal.storm import flapping
from metal.model.life import Life
from metal.model.world import World


def give_back(workspace: Workspace, world: World, found: Found) -> None:
    """Draining → member, of those that a watcher emptied and that were well for quiet_minutes.

    One that a person is emptying stays the person's; one that failed too often stays out until a
    person releases it, or the old failures lie further back than `flap_hours`.
    """
    store, policy = workspace.store, workspace.inventory.watch
    if not policy.quiet_minutes:
        return
    well = [
        name
        for name, diagnosis in found.diagnoses.items()
        if world.servers[name].life is Life.DRAINING
        and diagnosis.state == "healthy"
        and not diagnosis.mute
    ]
    if not well:
        return  # as in nearly every round: the past need not be read
    before, now = history(workspace), store.now()
    emptied = {
        o.params["action"]["server"]: by_watch(o) and not o.open
        for o in store.journal.list()
        if o.kind == "drain"
    }  # the last one of each counts
    ended = {i.subject: i.ended for i in store.incidents.list()}
    for name in well:
        if not emptied.get(name) or flapping(name, before, policy):
            continue
        since = ended.get(f"server {name}")
        if since is not None and now - since >= policy.quiet_minutes * 60:
            store.servers.move(name, Life.MEMBER)
