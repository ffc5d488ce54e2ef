"""What differs on the gateways, and what is done about it."""

from collections.abc import Iterator, Sequence

from metal.cli.render.hang import hanging
from metal.drivers.gateway_engines import carried
from metal.routing.order import GatewayOrder, NamesOrder, Order

WORDS = {"new": "new", "changed": "changed", "gone": "removed", "edited": "by hand"}
BY_HAND = "neither metal nor a package wrote what stands there: --overwrite replaces it"


def order_lines(orders: Sequence[Order], width: int) -> list[str]:
    """Each gateway in the order in which it is changed, each file, and what changes in it."""
    return [line for order in orders for line in _site(order, width)]


def _site(order: Order, width: int) -> Iterator[str]:
    if not order.gateways:
        yield f"{order.site}: nothing to do, {len(order.pair)} gateways are as they should be"
        return
    for number, one in enumerate(order.gateways, 1):
        yield f"{order.site}: {number}. {one.name} at {one.address}"
        yield from _files(one)
    for diff in dict.fromkeys(_diffs(order.gateways)):
        yield ""
        yield from diff
    if order.edited:
        yield ""
        yield from hanging("by hand: ", BY_HAND, width)


def names_lines(order: NamesOrder, width: int) -> list[str]:
    """Each file of the name server, and what changes in it."""
    if order.server is None:
        return [f"{order.vm}: nothing to do, its zones are as they should be"]
    return list(_names(order, order.server, width))


def _names(order: NamesOrder, one: GatewayOrder, width: int) -> Iterator[str]:
    yield f"{order.vm} at {one.address}"
    yield from _files(one)
    for change in one.changes:
        yield ""
        yield from change.diff()
    if order.edited:
        yield ""
        yield from hanging("by hand: ", BY_HAND, width)


def _files(one: GatewayOrder) -> Iterator[str]:
    for change in one.changes:
        yield f"  {WORDS[change.state]:<9}{change.path}"


def _diffs(found: Sequence[GatewayOrder]) -> Iterator[tuple[str, ...]]:
    """The pair says mostly the same: that is shown once."""
    for one in found:
        for change in one.changes:
            yield tuple(change.diff())


def recipe(order: Order) -> str:
    """What is going to happen, for who must agree."""
    moves = len(order.pair) > 1 and any(
        carried(c.path for c in one.changes) for one in order.gateways
    )
    lines = [
        f"{' then '.join(one.name for one in order.gateways)}: checked there by each engine, "
        f"tried, and taken back after {order.trial:g} s unless {_proof(order)}."
    ]
    if moves:
        lines.append(
            "The site moves to the gateway that is tried: connections that the proxy carries end."
        )
    return "\n".join(lines)


def _proof(order: Order) -> str:
    return f"{len(order.calls)} ports of the site answer here" if order.calls else "we reach it"


def names_recipe(order: NamesOrder) -> str:
    """What is going to happen, for who must agree."""
    return (
        f"{order.vm}: checked there by BIND, tried, and taken back after {order.trial:g} s unless "
        f"it answers with the new serials: {_serials(order)}."
    )


def _serials(order: NamesOrder) -> str:
    return ", ".join(f"{zone} {serial}" for zone, serial in order.serials.items())
