"""The parts of `metal network apply`: gateways of each site, firewalls, and the name server."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeVar

from metal.cli.face import Face
from metal.cli.render.routing import names_lines, names_recipe, order_lines, recipe
from metal.cli.render.walls import walls_lines, walls_recipe
from metal.cli.screen import width
from metal.controller import naming, routing, walling
from metal.controller.networking import network
from metal.controller.progress import Progress
from metal.controller.workspace import Workspace
from metal.inventory.mistakes import refuse_unknown
from metal.model.errors import MetalError
from metal.model.world import World
from metal.network.tree import by_hand
from metal.routing.order import NamesOrder, Order
from metal.routing.wall_order import WallsOrder, subject_of

T = TypeVar("T")
PARTS = "site, SITE/firewall or primary name server"


@dataclass(frozen=True)
class Part:
    """What is done at one site, or at one name server."""

    subject: str
    """By which the same command goes on with it."""
    what: str
    order: Order | NamesOrder | WallsOrder
    pending: bool
    lines: Sequence[str]
    recipe: str
    done: str
    carry_out: Callable[[Progress], Any]
    resumed: bool
    """It was agreed to before, and interrupted."""

    @property
    def edited(self) -> tuple[str, ...]:
        return self.order.edited


def parts_of(
    face: Face, workspace: Workspace, target: str | None, look: Callable[[], World], trial: float
) -> list[Part]:
    """Of `target`, or of all."""
    world = cache(look)
    vm = naming.primary(workspace.inventory)
    sites = workspace.inventory.sites
    alone = {subject_of(site): site for site in sites}
    if target in alone:
        return [_walls(face, workspace, alone[target], world, trial)]
    if target is not None and target not in sites:
        refuse_unknown(target, [*sites, *alone, *([vm] if vm else [])], PARTS)
        return [_names(face, workspace, target, world, trial)]
    walled = walling.sites_with_walls(workspace.inventory, world(), target)
    routed = routing.sites_with_gateways(workspace, None if walled else target)
    routed = [site for site in routed if target in (None, site)]
    found = [_gateways(face, workspace, site, world, trial) for site in routed]
    for site in walled:
        try:
            found.append(_walls(face, workspace, site, world, trial))
        except MetalError as error:  # a cluster that is silent holds no gateway up
            face.say(f"{subject_of(site)}: left as it is: {error.what}")
    if not all(part.resumed for part in found):
        for line in by_hand(network(workspace.inventory, world())[0], target):
            face.say(line)
    if target is None and vm is not None:
        if workspace.host_keys.of(vm, "system"):
            found.append(_names(face, workspace, vm, world, trial))
        else:
            face.say(f"dns/: {vm} is not known by its host key: metal keys pin {vm} KEY")
    return found


def _resumed_or_made(
    face: Face, begun: T | None, make: Callable[[], tuple[T, Sequence[str]]]
) -> tuple[T, bool]:
    """The order, and whether it is one agreed to before; the remarks on a new one are said."""
    if begun is not None:
        return begun, True
    order, remarks = make()
    for remark in remarks:
        face.say(remark)
    return order, False


def _gateways(
    face: Face, workspace: Workspace, name: str, world: Callable[[], World], trial: float
) -> Part:
    order, resumed = _resumed_or_made(
        face,
        routing.begun(workspace, name),
        lambda: routing.order_of(workspace, world(), name, trial=trial),
    )
    return Part(
        subject=name,
        what=f"the gateways of {name}",
        order=order,
        pending=bool(order.gateways),
        lines=order_lines([order], width()),
        recipe=recipe(order),
        done="its gateways have it, and it is reached by them",
        carry_out=partial(routing.carry_out, workspace, order),
        resumed=resumed,
    )


def _walls(
    face: Face, workspace: Workspace, site: str, world: Callable[[], World], trial: float
) -> Part:
    order, resumed = _resumed_or_made(
        face,
        walling.begun(workspace, site),
        lambda: walling.walls_order(workspace, world(), site, trial=trial),
    )
    return Part(
        subject=order.subject,
        what=f"the firewalls before VMs of {site}",
        order=order,
        pending=order.pending,
        lines=walls_lines(order, width()),
        recipe=walls_recipe(order),
        done="what they serve is let in, and nothing else",
        carry_out=partial(walling.carry_out_walls, workspace, order),
        resumed=resumed,
    )


def _names(
    face: Face, workspace: Workspace, vm: str, world: Callable[[], World], trial: float
) -> Part:
    order, resumed = _resumed_or_made(
        face,
        naming.begun(workspace, vm),
        lambda: naming.names_order(workspace, world(), trial=trial),
    )
    return Part(
        subject=vm,
        what=f"the zones of {vm}",
        order=order,
        pending=order.server is not None,
        lines=names_lines(order, width()),
        recipe=names_recipe(order),
        done="it answers with the new zones",
        carry_out=partial(naming.carry_out_names, workspace, order),
        resumed=resumed,
    )
