"""The datacenter's firewall as it is configured. No packet is ever dropped by it in the lab."""

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


@handles("GET", "/cluster/firewall/rules")
def rules(call: Call) -> list[dict[str, Any]]:
    found = call.cluster.firewall.rules
    return [rule | {"pos": pos, "digest": DIGEST} for pos, rule in enumerate(found)]


@handles("POST", "/cluster/firewall/rules")
def add_rule(call: Call) -> None:
    """Before all others, as in Proxmox, unless a place is given."""
    given = call.without("pos", "digest")
    for key in ("source", "dest"):
        named = str(given.get(key, "")).removeprefix("+")
        if str(given.get(key, "")).startswith("+") and named not in call.cluster.firewall.sets:
            raise ApiError(500, f"no such ipset '{named}'")
    call.cluster.firewall.rules.insert(int(call.params.get("pos", 0)), given)


@handles("DELETE", "/cluster/firewall/rules/{pos}")
def remove_rule(call: Call) -> None:
    found, pos = call.cluster.firewall.rules, int(call.params["pos"])
    if pos >= len(found):
        raise ApiError(500, f"no rule at position {pos}")
    del found[pos]


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
