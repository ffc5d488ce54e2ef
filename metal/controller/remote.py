"""What a person does to servers from afar: power, next boot, virtual media. Side by side."""

import threading
from collections.abc import Callable
from typing import Literal

from metal.controller.powering import power_switch, switch
from metal.controller.progress import Progress
from metal.controller.sweeping import side_by_side
from metal.controller.workspace import Workspace
from metal.inventory.mistakes import refuse_unknown
from metal.model.base import Frozen
from metal.model.errors import MetalError, Refused
from metal.model.facts import BootDevice, BootMode, BootOnce, Power
from metal.model.life import Life
from metal.model.world import World

How = Literal["on", "off", "cycle", "soft"]
WORKERS = 32
WHY = "somebody asked for it with `metal power`"


class Switched(Frozen):
    """How it went with one server."""

    server: str
    power: Power = "unknown"
    by: str = ""
    """What read (and switched) it."""
    ok: bool = True
    error: str = ""
    exit_code: int = 0


def named(workspace: Workspace, servers: tuple[str, ...]) -> list[str]:
    """Each once; BadInput for one that the inventory does not have."""
    known = workspace.inventory.servers
    for name in servers:
        refuse_unknown(name, known, "server")
    return list(dict.fromkeys(servers))


def in_use(workspace: Workspace, server: str) -> list[str]:
    """Why it should be left alone; empty when nothing depends on it."""
    reasons = []
    holder = workspace.store.journal.holder(f"server {server}")
    if holder is not None:
        kind = workspace.store.journal.show(holder).kind
        reasons.append(f"operation {holder} ({kind}) is open on it")
    if workspace.life(server) in (Life.MEMBER, Life.DRAINING):
        cluster = workspace.inventory.cluster_of(server)
        reasons.append(f"it is a member of cluster {cluster}")
    last = workspace.store.looks.last()
    vms = World.model_validate_json(last[1]).vms if last else {}
    running = sorted(n for n, vm in vms.items() if vm.server == server and vm.state != "stopped")
    if running:
        reasons.append(f"{len(running)} VMs ran on it at the last look: {', '.join(running)}")
    return reasons


def refuse_in_use(workspace: Workspace, servers: list[str]) -> None:
    """Refused, with every reason, while anything depends on one of the servers."""
    used = {name: reasons for name in servers if (reasons := in_use(workspace, name))}
    if used:
        said = "; ".join(f"{name}: {', '.join(why)}" for name, why in used.items())
        raise Refused(
            said,
            mend="`metal drain SERVER` empties it first; --force does it all the same",
        )


def read_power(workspace: Workspace, servers: list[str], progress: Progress) -> list[Switched]:
    """What each one's switch reads."""

    def read(server: str) -> Switched:
        found = power_switch(workspace, server, key="", why="")
        try:
            return Switched(server=server, power=found.power(), by=found.by)
        finally:
            found.close()

    return _each(servers, read, "power of", progress, threading.Event())


def change_power(
    workspace: Workspace, servers: list[str], how: How, progress: Progress
) -> list[Switched]:
    """Switch each; one that fails never stops the others."""
    stop = threading.Event()

    def change(server: str) -> Switched:
        if how == "soft":
            return _shut_down(workspace, server)
        if how == "cycle":
            switch(workspace, server, "off", WHY, stop)
        wanted: Power = "off" if how == "off" else "on"
        by = switch(workspace, server, wanted, WHY, stop).by
        return Switched(server=server, power=wanted, by=by)

    return _each(servers, change, f"power {how}", progress, stop)


def _shut_down(workspace: Workspace, server: str) -> Switched:
    """Only a BMC can ask a system to end; no plug and no press of a button can."""
    bmc = workspace.bmc(server)
    try:
        bmc.ensure_shut_down()
        return Switched(server=server, power=bmc.power(), by="its BMC")
    finally:
        bmc.close()


def boot_once(
    workspace: Workspace, server: str, device: BootDevice, mode: BootMode | None
) -> BootOnce:
    """The next boot alone is from `device`; what was read back."""
    bmc = workspace.bmc(server)
    try:
        return bmc.ensure_boot_once(device, mode)
    finally:
        bmc.close()


def restart(workspace: Workspace, server: str) -> None:
    """Hard off and on, or just on, by the server's own switch: what was set to boot, boots."""
    switch(workspace, server, "off", WHY)
    switch(workspace, server, "on", WHY)


def insert_media(workspace: Workspace, server: str, url: str) -> str:
    """The virtual drive that now has the image."""
    bmc = workspace.bmc(server)
    try:
        return bmc.ensure_media(url)
    finally:
        bmc.close()


def eject_media(workspace: Workspace, server: str) -> None:
    bmc = workspace.bmc(server)
    try:
        bmc.ensure_no_media()
    finally:
        bmc.close()


def _each(
    servers: list[str],
    act: Callable[[str], Switched],
    what: str,
    progress: Progress,
    stop: threading.Event,
) -> list[Switched]:
    def one(server: str) -> Switched:
        progress.begin(server, f"{what} {server}")
        try:
            result = act(server)
        except MetalError as error:
            result = Switched(server=server, ok=False, error=str(error), exit_code=error.exit_code)
        progress.end(server, result.ok, result.error.splitlines()[0] if result.error else "")
        return result

    return side_by_side(servers, one, workers=WORKERS, stop=stop)
