"""The primary name server: what it has, what it is to have, and the operation that gives it."""

from typing import Any

from metal.controller.ageing import carried_out
from metal.controller.networking import network
from metal.controller.progress import Progress
from metal.controller.routing import KIND, forget_failed, open_order
from metal.controller.workspace import Workspace
from metal.drivers.name_server import NameServer
from metal.drivers.ssh import Ssh
from metal.model.errors import Refused
from metal.model.fleet import Inventory
from metal.model.world import World
from metal.network.engines.zonefile import FOLDER, own_file, render_named, render_next, serial_of
from metal.network.zones import Zone, name_servers, zones
from metal.routing.naming import VERSION, NamingPorts, give_names
from metal.routing.order import (
    FORMER,
    MANIFEST,
    GatewayOrder,
    NamesOrder,
    Seen,
    changes,
    to_write,
)
from metal.routing.trials import NAMES, trial_of_names

OFFERED = f"/var/lib/metal/trials/{NAMES}/offer/tree{FOLDER}"
"""What was tried last. Taken back or not, other name servers may have heard of its serials."""


def primary(inventory: Inventory) -> str | None:
    """The VM that is given the zones; None where no VM serves names."""
    return next(iter(name_servers(inventory)), None)


def begun(workspace: Workspace, vm: str) -> NamesOrder | None:
    """What was agreed to before and was interrupted."""
    found = open_order(workspace, vm)
    return None if found is None else NamesOrder.model_validate(found)


def names_order(
    workspace: Workspace, world: World, *, trial: float, server: NameServer | None = None
) -> tuple[NamesOrder, tuple[str, ...]]:
    """(what would be done at the primary name server, remarks). Unreachable when it is silent."""
    seen, remarks = network(workspace.inventory, world)
    vm = primary(workspace.inventory)
    view = next((view for view in seen.values() if vm in view.vms), None)
    address = view.addresses6(vm)[0] if view and vm else None
    if vm is None or address is None:
        raise Refused(
            "no VM that runs serves port 53: nobody answers for zones",
            where="inventory.toml",
            mend="`serves = [{ port = 53 }, …]` for the VM of the name server; `metal plan`",
        )
    asked, found = server or server_of(workspace, vm, str(address)), zones(seen)
    asked.refuse_while_trying(NAMES)
    paths = [f"{FOLDER}/{_name}" for z in found for _name in (z.file, own_file(z))]
    offered = [f"{OFFERED}/{z.file}" for z in found]
    there = asked.files(MANIFEST, FORMER, [*paths, f"{FOLDER}/named.conf.metal", *offered])
    running = asked.serials([z.name for z in found])
    wanted = {f"{FOLDER}/{z.file}": _text(z, there, running.get(z.name, 0)) for z in found}
    wanted[f"{FOLDER}/named.conf.metal"] = render_named(found)
    there_now = Seen(files={p: t for p, t in there.items() if not p.startswith(OFFERED)})
    differing = changes(wanted, there_now)
    one = GatewayOrder(
        name=vm,
        address=str(address),
        changes=differing,
        files=to_write(wanted, differing, there_now),
        wanted=tuple(wanted),
    )
    order = NamesOrder(
        server=one if differing else None,
        vm=vm,
        address=str(address),
        serials={z.name: serial_of(wanted[f"{FOLDER}/{z.file}"]) for z in found},
        trial=trial,
    )
    return order, remarks


def carry_out_names(
    workspace: Workspace, order: NamesOrder, progress: Progress, *, server: NameServer | None = None
) -> dict[str, Any]:
    """The name server → the files that are others now. Failed, saying what came of it, else."""
    forget_failed(workspace, order.vm)
    one = order.server
    if one is None:
        return {}
    ports = NamingPorts(
        server=server or server_of(workspace, order.vm, order.address),
        trial=lambda: trial_of_names(order, one),
        every=workspace.inventory.fleet.poll_seconds,
    )
    return carried_out(
        workspace,
        KIND,
        order.vm,
        (f"names {order.vm}",),
        lambda run: give_names(run, order, ports),
        progress,
        VERSION,
        {"order": order.model_dump(mode="json")},
    )


def server_of(workspace: Workspace, vm: str, address: str) -> NameServer:
    return NameServer(Ssh(workspace.pinned_host(vm, address)))


def _text(zone: Zone, there: dict[str, str], running: int) -> str:
    tried = serial_of(there.get(f"{OFFERED}/{zone.file}", ""))
    return render_next(
        zone,
        there.get(f"{FOLDER}/{zone.file}", ""),
        running=max(running, tried),
        own=there.get(f"{FOLDER}/{own_file(zone)}"),
    )
