"""The parts of `metal network apply`: gateways of each site, and the name server."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from metal.cli.face import Face
from metal.cli.render.routing import names_lines, names_recipe, order_lines, recipe
from metal.cli.screen import width
from metal.controller import naming, routing
from metal.controller.networking import network
from metal.controller.progress import Progress
from metal.controller.workspace import Workspace
from metal.inventory.mistakes import refuse_unknown
from metal.model.world import World
from metal.network.tree import by_hand
from metal.routing.order import NamesOrder, Order

PARTS = "site or primary name server"


@dataclass(frozen=True)
class Part:
    """What is done at one site, or at one name server."""

    subject: str
    """By which the same command goes on with it."""
    what: str
    order: Order | NamesOrder
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
    """Of `target`, or of all; the world is looked at if anything of it is begun anew."""
    world = cache(look)
    vm = naming.primary(workspace.inventory)
    if target is not None and target not in workspace.inventory.sites:
        refuse_unknown(target, [*workspace.inventory.sites, *([vm] if vm else [])], PARTS)
        return [_names(face, workspace, target, world, trial)]
    found = list(_gateways(face, workspace, target, world, trial))
    if not all(part.resumed for part in found):
        for line in by_hand(network(workspace.inventory, world())[0], target):
            face.say(line)
    if target is None and vm is not None:
        if workspace.host_keys.of(vm, "system"):
            found.append(_names(face, workspace, vm, world, trial))
        else:
            face.say(f"dns/: {vm} is not known by its host key: metal keys pin {vm} KEY")
    return found


def _gateways(
    face: Face, workspace: Workspace, site: str | None, world: Callable[[], World], trial: float
) -> Iterator[Part]:
    for name in routing.sites_with_gateways(workspace, site):
        before = routing.begun(workspace, name)
        order = before
        if order is None:
            order, remarks = routing.order_of(workspace, world(), name, trial=trial)
            for remark in remarks:
                face.say(remark)
        yield Part(
            subject=name,
            what=f"the gateways of {name}",
            order=order,
            pending=bool(order.gateways),
            lines=order_lines([order], width()),
            recipe=recipe(order),
            done="its gateways have it, and it is reached by them",
            carry_out=partial(routing.carry_out, workspace, order),
            resumed=before is not None,
        )


def _names(
    face: Face, workspace: Workspace, vm: str, world: Callable[[], World], trial: float
) -> Part:
    before = naming.begun(workspace, vm)
    order = before
    if order is None:
        order, remarks = naming.names_order(workspace, world(), trial=trial)
        for remark in remarks:
            face.say(remark)
    return Part(
        subject=vm,
        what=f"the zones of {vm}",
        order=order,
        pending=order.server is not None,
        lines=names_lines(order, width()),
        recipe=names_recipe(order),
        done="it answers with the new zones",
        carry_out=partial(naming.carry_out_names, workspace, order),
        resumed=before is not None,
    )
