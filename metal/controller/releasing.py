"""Let a server take part again that was fenced, or emptied because it was failing."""

from metal.controller.look import look
from metal.controller.progress import Progress
from metal.controller.workspace import Workspace
from metal.model.errors import BadInput, Refused
from metal.model.life import Life, Status


def release(workspace: Workspace, server: str, *, progress: Progress) -> None:
    """Held or draining → member. Refused unless it is seen on, online and not failing."""
    if server not in workspace.inventory.servers:
        known = ", ".join(workspace.inventory.servers)
        raise BadInput("no such server", where=server, mend=f"the inventory has {known}")
    record = workspace.store.servers.get(server)
    if record.status is not Status.HELD and record.life is not Life.DRAINING:
        raise Refused("it is neither held nor being emptied", where=server)
    seen = look(workspace, progress=progress).servers[server]
    if (seen.power, seen.node) != ("on", "online") or seen.health == "critical":
        said = f"power {seen.power}, node {seen.node}, health {seen.health}"
        why = "; ".join(seen.reasons)
        raise Refused(
            f"it is not well: {said}" + (f" ({why})" if why else ""),
            where=server,
            mend="repair it and switch it on; then release it again",
        )
    if record.life is Life.DRAINING:
        workspace.store.servers.move(server, Life.MEMBER)
    workspace.store.servers.release(server)
