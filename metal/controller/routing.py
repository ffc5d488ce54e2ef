"""A site's gateways: what they have, what they are to have, and the operation that gives it."""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from metal.controller.ageing import carried_out
from metal.controller.networking import network
from metal.controller.progress import Progress
from metal.controller.sweeping import side_by_side
from metal.controller.workspace import Workspace
from metal.drivers.gateway import Gateway
from metal.drivers.reach import answers
from metal.drivers.ssh import Ssh
from metal.model.errors import BadInput
from metal.model.fleet import Inventory
from metal.model.life import Status
from metal.model.world import World
from metal.network.gateways import gateways
from metal.network.sites import private_gateway
from metal.network.tree import Tree, render_tree
from metal.network.view import View
from metal.routing.flow import VERSION, apply
from metal.routing.order import (
    FORMER,
    MANIFEST,
    Call,
    GatewayOrder,
    Order,
    Seen,
    changes,
    to_write,
)
from metal.routing.ports import RoutingPorts
from metal.routing.trials import NAME as TRIAL
from metal.routing.trials import trial_of

KIND = "network apply"
"""Of operations, and how the command is called that goes on with one."""
MOST_CALLS = 64
CALLERS = 16

GatewayOf = Callable[[str], Gateway]


def sites_with_gateways(workspace: Workspace, site: str | None) -> list[str]:
    """The one that was named, or all; BadInput where it has none."""
    from metal.controller.addressing import chosen_sites

    sites = workspace.inventory.sites
    found = [s for s in chosen_sites(workspace.inventory, site) if sites[s].gateways is not None]
    if site is not None and not found:
        raise BadInput(
            "the site has no gateways", where=f"sites.{site}", mend=f"add [sites.{site}.gateways]"
        )
    return found


def gateway_names(inventory: Inventory) -> list[str]:
    """By which their host keys are pinned: SITE-gateway1 and so on."""
    return [
        f"{name}-gateway{number}"
        for name, site in inventory.sites.items()
        for number in range(1, 1 + (site.gateways.count if site.gateways else 0))
    ]


def begun(workspace: Workspace, site: str) -> Order | None:
    """What was agreed to before and was interrupted."""
    found = open_order(workspace, site)
    return None if found is None else Order.model_validate(found)


def open_order(workspace: Workspace, subject: str) -> dict[str, Any] | None:
    """As it was written down. What failed was taken back: it is forgotten once something else is
    begun, because its inventory was wrong."""
    for operation in workspace.store.journal.list(open_only=True):
        ours = operation.kind == KIND and operation.subject == subject
        if ours and operation.status is not Status.FAILED:
            found: dict[str, Any] = operation.params["order"]
            return found
    return None


def order_of(
    workspace: Workspace, world: World, site: str, *, trial: float, shell: GatewayOf | None = None
) -> tuple[Order, tuple[str, ...]]:
    """(what would be done at the site's gateways, remarks). Unreachable when one is silent."""
    seen, remarks = network(workspace.inventory, world)
    view, tree = seen[site], render_tree(seen, site)
    pair = {place.name: str(place.log_in(view)) for place in gateways(view)}
    ask, texts = shell or shell_of(workspace, site, pair), _texts(tree, site)
    found = {name: _look(ask(name), view, list(texts[name])) for name in texts}
    orders = [
        GatewayOrder(
            name=name,
            address=pair[name],
            changes=differing,
            files=to_write(texts[name], differing, found[name]),
            wanted=tuple(texts[name]),
        )
        for name in sorted(texts, key=lambda name: (found[name].carries, name))
        if (differing := changes(texts[name], found[name]))
    ]
    calls = promised(view)
    silent = set(silent_of(calls)) if orders else set()
    order = Order(
        site=site,
        gateways=tuple(orders),
        pair=pair,
        shared=str(private_gateway(view.site)),
        calls=tuple(call for call in calls if call not in silent),
        trial=trial,
    )
    return order, (*remarks, *tree.notes)


def carry_out(
    workspace: Workspace, order: Order, progress: Progress, *, shell: GatewayOf | None = None
) -> dict[str, Any]:
    """Gateway → the files that are others now. Failed, saying what came of it, where it is not."""
    forget_failed(workspace, order.site)
    ports = RoutingPorts(
        gateway=shell or shell_of(workspace, order.site, order.pair),
        silent=silent_of,
        trial=cache(lambda name: trial_of(order, name)),
        every=workspace.inventory.fleet.poll_seconds,
    )
    return carried_out(
        workspace,
        KIND,
        order.site,
        (f"gateways {order.site}",),
        lambda run: apply(run, order, ports),
        progress,
        VERSION,
        {"order": order.model_dump(mode="json")},
    )


def forget_failed(workspace: Workspace, subject: str) -> None:
    journal = workspace.store.journal
    for operation in journal.list(open_only=True):
        ours = operation.kind == KIND and operation.subject == subject
        if ours and operation.status is Status.FAILED:
            journal.cancel(operation.id)


def shell_of(workspace: Workspace, site: str, pair: Mapping[str, str]) -> GatewayOf:
    """Root's shell on a gateway; `pair` is gateway → address."""
    return lambda name: Gateway(Ssh(workspace.gateway_host(site, name, pair[name])))


def promised(seen: View) -> tuple[Call, ...]:
    """Every TCP port that the site shows the world through its gateways, over IPv4 and IPv6."""
    found: dict[Call, None] = {}
    for public, ports in seen.proxies.items():
        found.update((Call(address=public, port=port), None) for port in ports)
    for vm, has in seen.vms.items():
        for f in has.forwards:
            if f.protocol == "tcp":
                found[Call(address=f.public, port=f.port)] = None
        for service in seen.inventory.vms[vm].serves:
            if service.protocol == "tcp":
                for address in seen.addresses6(vm, routed=True):
                    found[Call(address=str(address), port=service.port)] = None
    return _spread(list(found))


def silent_of(calls: Sequence[Call]) -> tuple[Call, ...]:
    """Those that nobody answers, as seen from here."""
    told = side_by_side(
        calls, lambda c: answers(c.address, c.port), workers=CALLERS, stop=threading.Event()
    )
    return tuple(call for call, answered in zip(calls, told, strict=True) if not answered)


def _spread(calls: Sequence[Call]) -> tuple[Call, ...]:
    """At most MOST_CALLS, from all over them."""
    step = -(-len(calls) // MOST_CALLS)
    return tuple(calls[:: max(1, step)])


def _look(gateway: Gateway, view: View, paths: Sequence[str]) -> Seen:
    gateway.refuse_while_trying(TRIAL)
    files = gateway.files(MANIFEST, FORMER, paths)
    return Seen(
        files=files,
        packaged=gateway.packaged(paths),
        carries=gateway.carries(str(private_gateway(view.site))),
    )


def _texts(tree: Tree, site: str) -> dict[str, dict[str, str]]:
    """Gateway → absolute path → text."""
    found: dict[str, dict[str, str]] = {}
    for path, file in tree.files.items():
        whose, _, rest = path.removeprefix(f"{site}/").partition("/")
        if whose.startswith("gateway"):
            found.setdefault(whose, {})[f"/{rest}"] = file.text
    return found
