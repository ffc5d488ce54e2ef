"""Proxmox's firewall before a site's VMs: what it is, what it is to be, and the operation."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Protocol

from metal.controller.ageing import carried_out
from metal.controller.networking import network
from metal.controller.progress import Progress
from metal.controller.routing import KIND, forget_failed, open_order, promised, silent_of
from metal.controller.workspace import Workspace
from metal.model.fleet import Inventory
from metal.model.walls import SeenWall
from metal.model.world import World
from metal.network.engines.proxmox import firewalled, wall_rules
from metal.network.view import View
from metal.routing.order import Call
from metal.routing.wall_order import WallOrder, WallsOrder, subject_of
from metal.routing.walls import SETTLED, VERSION, WallPorts, Walls, apply_walls


class Seeing(Walls, Protocol):
    """The same, looked at."""

    def wall(self, vmid: int) -> SeenWall: ...
    def datacenter_on(self) -> bool: ...


WallsOf = Callable[[str], Seeing]


def sites_with_walls(inventory: Inventory, world: World, site: str | None) -> list[str]:
    """Those where a VM that runs on Proxmox has a public address of its own."""
    seen, _ = network(inventory, world)
    return [name for name, view in seen.items() if site in (None, name) and _there(view, world)]


def begun(workspace: Workspace, site: str) -> WallsOrder | None:
    """What was agreed to before and was interrupted."""
    found = open_order(workspace, subject_of(site))
    return None if found is None else WallsOrder.model_validate(found)


def walls_order(
    workspace: Workspace, world: World, site: str, *, trial: float, walls: WallsOf | None = None
) -> tuple[WallsOrder, tuple[str, ...]]:
    """(what would be done before the site's VMs, remarks). Unreachable when a cluster is silent."""
    seen, _ = network(workspace.inventory, world)
    view, ask = seen[site], cache(walls or workspace.proxmox)
    there = _there(view, world)
    before = {vm: ask(cluster).wall(vmid) for vm, (cluster, vmid) in there.items()}
    own = {vm: _calls(view, vm) for vm in there}
    silent = set(silent_of(every := [*promised(view), *(c for cs in own.values() for c in cs)]))
    found = [
        WallOrder(
            vm=vm,
            cluster=cluster,
            vmid=vmid,
            rules=wall_rules(view, vm),
            before=before[vm],
            calls=tuple(call for call in own[vm] if call not in silent),
        )
        for vm, (cluster, vmid) in there.items()
    ]
    off = [c for c in dict.fromkeys(c for c, _ in there.values()) if not ask(c).datacenter_on()]
    ours = bool(workspace.inventory.fleet.management_from)
    pending = tuple(one for one in found if one.pending)
    order = WallsOrder(
        site=site,
        walls=pending,
        right=len(found) - len(pending),
        clusters=() if ours else tuple(off),
        calls=tuple(dict.fromkeys(call for call in every if call not in silent)),
        trial=trial,
    )
    return order, tuple(_remarks(found, off if ours else []))


def carry_out_walls(
    workspace: Workspace,
    order: WallsOrder,
    progress: Progress,
    *,
    walls: WallsOf | None = None,
    settled: float = SETTLED,
) -> dict[str, Any]:
    """VM → what is other now. Failed, saying what came of it, where it is not."""
    forget_failed(workspace, order.subject)
    ports = WallPorts(
        walls=cache(walls or workspace.proxmox),
        silent=silent_of,
        every=workspace.inventory.fleet.poll_seconds,
        settled=settled,
    )
    return carried_out(
        workspace,
        KIND,
        order.subject,
        (f"firewall {order.site}",),
        lambda run: apply_walls(run, order, ports),
        progress,
        VERSION,
        {"order": order.model_dump(mode="json")},
    )


def _there(view: View, world: World) -> dict[str, tuple[str, int]]:
    """VM → (cluster, number), of those that are there; a plan's are given theirs when made."""
    clusters = view.inventory.clusters
    return {
        vm: (has.cluster, has.vmid)
        for vm in firewalled(view)
        if (has := world.vms.get(vm)) and has.cluster in clusters
        if not clusters[has.cluster].libvirt
    }


def _calls(view: View, vm: str) -> tuple[Call, ...]:
    """The TCP ports that it serves at its own address."""
    public = str(view.vms[vm].public_ipv4).partition("/")[0]
    served = view.inventory.vms[vm].serves
    return tuple(Call(address=public, port=s.port) for s in served if s.protocol == "tcp")


def _remarks(found: list[WallOrder], off: list[str]) -> Iterator[str]:
    for cluster in off:
        yield (
            f"{cluster}: its firewall is off, so no VM's acts. With `fleet.management_from` metal "
            "turns it on where it forms a cluster; of an adopted one a person does, under "
            "Datacenter, Firewall, Options, once its own rules let the nodes' ports in"
        )
    for one in found:
        if not one.before.watched:
            yield (
                f"{one.vm}: its card for the public address is not given to the firewall: tick "
                "Firewall at its network device in Proxmox; until then nothing is closed"
            )
