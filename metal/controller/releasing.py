"""Let a server take part again that was fenced, or emptied because it was failing."""

import time

from metal.controller.blocklisting import let_in
from metal.controller.event_logs import LOGGED
from metal.controller.look import look
from metal.controller.powering import switch
from metal.controller.progress import Progress
from metal.controller.workspace import Workspace
from metal.model.errors import BadInput, Refused
from metal.model.life import Life, Status
from metal.model.world import SeenServer

BOOT_POLLS = 450
"""How often a server that was switched on is looked at: a quarter of an hour at 2 s."""


def release(
    workspace: Workspace, server: str, *, power_on: bool = False, progress: Progress
) -> None:
    """Held or draining → member. Refused unless it is seen on, online and not failing.

    `power_on` switches it on first and waits until its cluster sees it.
    """
    if server not in workspace.inventory.servers:
        known = ", ".join(workspace.inventory.servers)
        raise BadInput("no such server", where=server, mend=f"the inventory has {known}")
    record = workspace.store.servers.get(server)
    if record.status is not Status.HELD and record.life is not Life.DRAINING:
        raise Refused("it is neither held nor being emptied", where=server)
    if power_on:
        switch(workspace, server, "on", "it is to take part again")
    seen = _seen(workspace, server, progress, BOOT_POLLS if power_on else 1)
    if not _well(seen):
        said = f"power {seen.power}, node {seen.node}, health {seen.health}"
        why = "; ".join(seen.reasons)
        raise Refused(
            f"it is not well: {said}" + (f" ({why})" if why else ""),
            where=server,
            mend=f"repair it, then `metal release {server} --power-on`",
        )
    let_in(workspace, server)
    workspace.store.words.withdraw(server)
    workspace.store.records.forget(server, "signs")  # it is taken as it is now
    workspace.store.records.forget(server, LOGGED)
    workspace.store.records.put(server, "released", True)  # what failed before counts no more
    if record.life is Life.DRAINING:
        workspace.store.servers.move(server, Life.MEMBER)
    workspace.store.servers.release(server)


def _seen(workspace: Workspace, server: str, progress: Progress, looks: int) -> SeenServer:
    """The server once it is well, or as the last of `looks` looks saw it."""
    seen = look(workspace, progress=progress).servers[server]
    for _ in range(looks - 1):
        if _well(seen):
            break
        time.sleep(workspace.inventory.fleet.poll_seconds)
        seen = look(workspace).servers[server]
    return seen


def _well(seen: SeenServer) -> bool:
    """What its cluster sees has power, also where no BMC tells."""
    return seen.power != "off" and seen.node == "online" and seen.health != "critical"
