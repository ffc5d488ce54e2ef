"""What differs in the firewalls before VMs, and what is done about it."""

from collections.abc import Iterator

from metal.cli.render.hang import hanging
from metal.routing.wall_order import WallsOrder

BY_HAND = "a person set this otherwise: --overwrite replaces it"


def walls_lines(order: WallsOrder, width: int) -> list[str]:
    """Each VM, rule by rule."""
    return list(_lines(order, width))


def _lines(order: WallsOrder, width: int) -> Iterator[str]:
    if not order.pending:
        yield f"{order.subject}: nothing to do, {order.right} VMs are as they should be"
        return
    for cluster in order.clusters:
        what = f"the firewall of {cluster} is turned on, its hosts as open as before"
        yield f"{order.subject}: {what}"
    for number, one in enumerate(order.walls, 1):
        yield f"{order.subject}: {number}. {one.vm} (VM {one.vmid} in {one.cluster})"
        yield from (f"  {change}" for change in one.changes())
        if not one.calls:
            yield "  no TCP port of it answers here now, so none proves afterwards that it is right"
    for edited in order.edited:
        yield from hanging("by hand: ", f"{edited}: {BY_HAND}", width)


def walls_recipe(order: WallsOrder) -> str:
    """What is going to happen, for who must agree."""
    names = ", ".join(one.vm for one in order.walls)
    lines = []
    if order.clusters:
        lines.append(
            f"In {', '.join(order.clusters)} the firewall of every VM acts from now on, also one "
            "that a person set up and that did nothing until today."
        )
    if names:
        lines.append(
            f"{names}: what they serve is let in, then all else is kept out; one after the other, "
            "and undone where a port that answers now does not then."
        )
    return "\n".join(lines)
