"""The wishes of one site's VMs in the words of metal/network/choose.py."""

from collections.abc import Iterable, Mapping

from metal.model.fleet import Inventory
from metal.network.budget import (
    GATEWAY,
    PROXY,
    WEB_PORTS,
    Ledger,
    gateway_ports,
    impossible,
    nat_ports,
    proxy_names,
)
from metal.network.choose import Choice, Want, choose


def serve(
    inventory: Inventory,
    site: str,
    vms: Iterable[str],
    ledger: Ledger,
    worth: Mapping[str, int],
    more: int = 0,
) -> Choice:
    """Which of `vms` the site serves, `more` addresses besides its pool; deterministic.

    `ledger` is of the site, with nobody in it yet. The proxy is taken with all its VMs or not
    at all; of two VMs of one name it takes the one that is worth more.
    """
    place, wanted = inventory.sites[site], inventory.vms
    able = [vm for vm in vms if not impossible(place, wanted[vm], wanted[vm].ipv4)]
    of = {kind: [vm for vm in able if wanted[vm].ipv4 == kind] for kind in ("ipv6", "proxy")}
    proxied = _one_for_each_name(inventory, of["proxy"], worth)
    wants = [
        Want(
            vm,
            worth[vm],
            own=wanted[vm].ipv4 == "dedicated",
            ports=nat_ports(wanted[vm]) if wanted[vm].ipv4 == "nat" else frozenset(),
            flows=wanted[vm].flows if wanted[vm].ipv4 == "nat" else 0,
        )
        for vm in able
        if wanted[vm].ipv4 in ("dedicated", "nat")
    ]
    if proxied:
        ports = WEB_PORTS | {port for vm in proxied for _, port in proxy_names(wanted[vm])}
        claim = frozenset(("tcp", port, port) for port in ports)
        flows = sum(wanted[vm].flows for vm in proxied)
        wants.append(Want(PROXY, sum(worth[vm] for vm in proxied), ports=claim, flows=flows))
    gateway = gateway_ports(place)
    if gateway is not None:
        # Without it nothing goes out: it is worth more than all others together.
        wants.append(Want(GATEWAY, 1 + sum(worth.values()), ports=gateway))
    addresses = max(0, ledger.budget.pool - ledger.gateways - ledger.foreign + more)
    choice = choose(wants, addresses, sum(wanted[vm].flows for vm in of["ipv6"]))
    served = (choice.served - {PROXY, GATEWAY}) | set(of["ipv6"])
    if PROXY in choice.served:
        served |= set(proxied)
    more_served = sum(worth[vm] for vm in of["ipv6"])
    way_out = gateway is None or GATEWAY in choice.served
    theirs = wants[-1].weight if way_out and gateway is not None else 0
    extra = more_served - theirs
    weight, bound = choice.weight + extra, choice.bound + extra
    return Choice(frozenset(served), choice.bins, weight, bound, way_out)


def _one_for_each_name(
    inventory: Inventory, vms: Iterable[str], worth: Mapping[str, int]
) -> list[str]:
    taken: set[tuple[str, int]] = set()
    served: list[str] = []
    for vm in sorted(vms, key=lambda vm: (-worth[vm], vm)):
        names = proxy_names(inventory.vms[vm])
        if not names & taken:
            taken |= names
            served.append(vm)
    return sorted(served)
