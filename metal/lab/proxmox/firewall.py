"""The datacenter's firewall as it is configured. No packet is ever dropped by it in the lab.

Its rules are in `walls.py`, beside those of a VM.
"""

from __future__ import annotations

from typing import Any

from metal.lab.proxmox.calls import Call, handles
from metal.lab.proxmox.errors import ApiError

DIGEST = "0" * 40


@handles("GET", "/cluster/firewall/options")
def options(call: Call) -> dict[str, Any]:
    return dict(call.cluster.firewall.options)


@handles("PUT", "/cluster/firewall/options")
def set_options(call: Call) -> None:
    call.cluster.firewall.options |= call.without("delete", "digest")


@handles("GET", "/cluster/firewall/ipset")
def sets(call: Call) -> list[dict[str, Any]]:
    return [{"name": name, "digest": DIGEST} for name in call.cluster.firewall.sets]


@handles("POST", "/cluster/firewall/ipset")
def add_set(call: Call) -> None:
    name = call.params["name"]
    if name in call.cluster.firewall.sets:
        raise ApiError(400, "Parameter verification failed.", {"name": "IPSet already exists"})
    call.cluster.firewall.sets[name] = {}


@handles("GET", "/cluster/firewall/ipset/{name}")
def members(call: Call) -> list[dict[str, Any]]:
    found = _set(call).items()
    return [
        {"cidr": cidr, "digest": DIGEST} | ({"comment": text} if text else {})
        for cidr, text in found
    ]


@handles("POST", "/cluster/firewall/ipset/{name}")
def add_member(call: Call) -> None:
    found, cidr = _set(call), call.params["cidr"]
    if cidr in found:
        raise ApiError(400, "Parameter verification failed.", {"cidr": f"'{cidr}' already exists"})
    found[cidr] = call.params.get("comment", "")


@handles("DELETE", "/cluster/firewall/ipset/{name}/{cidr}")
def remove_member(call: Call) -> None:
    """One that is not there is no error, as in Proxmox."""
    _set(call).pop(call.params["cidr"], None)


def _set(call: Call) -> dict[str, str]:
    name = call.params["name"]
    if name not in call.cluster.firewall.sets:
        raise ApiError(500, f"no such IPSet '{name}'")
    return call.cluster.firewall.sets[name]
