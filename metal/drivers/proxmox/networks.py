"""A node's interfaces as they are configured: GET /nodes/{node}/network.

What waits to be applied (interfaces.new) is told there as if it were in force already.
"""

from collections.abc import Iterable
from typing import Any

from metal.drivers.proxmox.api import Api
from metal.model.errors import MetalError
from metal.model.links import Port

LINKS = 8
"""That corosync knows."""
KINDS = frozenset({"eth", "bond", "bridge", "vlan"})


def seen(api: Api, nodes: Iterable[str]) -> dict[str, tuple[Port, ...]]:
    """Of these nodes those that answer, and in a way that is understood: what was left out of a
    node's network would look as if it were not there."""
    found = {}
    for node in nodes:
        try:
            rows = api.get(f"nodes/{node}/network")
            found[node] = tuple(_port(row) for row in rows if row["type"] in KINDS)
        except (MetalError, KeyError, ValueError):
            continue
    return found


def rings(api: Api) -> dict[str, tuple[str, ...]]:
    """Node → its addresses on corosync's links, by their numbers; empty where nobody tells."""
    try:
        rows = api.get("cluster/config/nodes")
    except MetalError:
        return {}
    keys = [f"ring{number}_addr" for number in range(LINKS)]
    return {str(row["node"]): tuple(str(row[k]) for k in keys if row.get(k)) for row in rows}


def _port(row: dict[str, Any]) -> Port:
    on = row.get("slaves") or row.get("bridge_ports") or row.get("vlan-raw-device") or ""
    return Port(
        name=row["iface"],
        kind=row["type"],
        on=tuple(str(on).split()),
        mode=row.get("bond_mode"),
        address=row.get("cidr") or row.get("cidr6"),
        gateway=row.get("gateway") or row.get("gateway6"),
        mtu=row.get("mtu"),
    )
