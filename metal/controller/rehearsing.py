"""Before a planned reboot: would the server come back?"""

from pathlib import Path

from metal.controller.key_checks import Verdict
from metal.controller.workspace import Workspace
from metal.drivers.initramfs import read_boot
from metal.drivers.ssh import Ssh
from metal.install.rehearsal import obstacles, wanted_boot
from metal.model.errors import MetalError, Refused, Unreachable
from metal.model.life import Life

INSTALLED = (Life.INSTALLED, Life.MEMBER, Life.DRAINING)


def rehearse(workspace: Workspace, server: str, agent: Path | None = None) -> str:
    """What was looked at; Refused with every reason why it would not come back."""
    pinned = workspace.host_keys.of(server, "initramfs")
    wanted = wanted_boot(workspace.inventory, server, workspace.controller_key, pinned)
    seen = read_boot(Ssh(workspace.ssh_host(server, agent)), wanted.cards, wanted.address)
    if why := obstacles(seen, wanted):
        raise Refused(
            f"it would not come back from a reboot ({seen.image}): {'; '.join(why)}",
            where=server,
            mend="mend that first, or --force where somebody stands at its console",
        )
    ways = ", ".join(wanted.by)
    return f"{seen.image} would come back: network, keys and disk are in it; it opens by {ways}"


def rehearse_all(
    workspace: Workspace, servers: list[str], agent: Path | None = None
) -> list[Verdict]:
    return [_verdict(workspace, name, agent) for name in servers]


def _verdict(workspace: Workspace, server: str, agent: Path | None) -> Verdict:
    try:
        return Verdict(server=server, works=(rehearse(workspace, server, agent),))
    except MetalError as error:
        return Verdict(server=server, error=str(error), exit_code=error.exit_code)


def refuse_if_pinned(workspace: Workspace, server: str) -> None:
    """As `rehearse`, for a server that metal installed: of one that was adopted it knows neither
    the keys nor whether its disk is encrypted at all."""
    if workspace.host_keys.of(server, "initramfs"):
        rehearse(workspace, server)


def refuse_unreturning(workspace: Workspace, servers: list[str]) -> list[str]:
    """Refused when an installed server would not come back. Returns what could not be looked at:
    one that hangs must be restarted all the same."""
    unseen = []
    for name in servers:
        if workspace.life(name) not in INSTALLED or not workspace.host_keys.of(name, "system"):
            continue
        try:
            rehearse(workspace, name)
        except Unreachable as error:
            unseen.append(f"{name}: its next boot could not be rehearsed: {error.what}")
    return unseen
