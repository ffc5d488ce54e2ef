"""Settings of a whole cluster: how HA chooses a node, and who reaches the nodes' management."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from metal.drivers.proxmox.api import Api
from metal.model.errors import Refused

STATIC = {"ha": "static"}
"""HA weighs memory and CPUs of what it restarts; `basic` counts services, so a small node fills."""
WEIGHS = frozenset({"static", "dynamic"})
"""9.2's `dynamic` weighs what is used: whoever chose that keeps it."""
PEERS, MESH = "metal-peers", "metal-mesh"
MANAGEMENT = "22,3128,8006,5900:5999"
"""SSH, SPICE, the API, consoles."""
MARK, WISH = "metal: ", "see fleet.management_from"
KIB = 1024
"""Proxmox limits in KiB a second."""


def ensure_scheduling(api: Api) -> None:
    """`crs: ha=static`; what else stands there is kept."""

    def now() -> dict[str, str]:
        return _pairs(api.get("cluster/options").get("crs"))

    def put() -> None:
        wanted = {**now(), **STATIC}
        api.put("cluster/options", {"crs": ",".join(f"{k}={v}" for k, v in wanted.items())})

    late = "HA does not weigh memory (crs ha=static)"
    api.settle(lambda: now().get("ha") in WEIGHS, put, late=late)


def ensure_slower(api: Api, mib_s: int) -> None:
    """No migration of the cluster takes more than `mib_s` MiB a second; a lower limit stays.

    HA starts migrations by itself and takes no limit along: only the cluster's own binds it.
    """

    def now() -> dict[str, str]:
        return _pairs(api.get("cluster/options").get("bwlimit"))

    def put() -> None:
        wanted = {**now(), "migration": str(mib_s * KIB)}
        api.put("cluster/options", {"bwlimit": ",".join(f"{k}={v}" for k, v in wanted.items())})

    def slow() -> bool:
        limits = now()
        limit = float(limits.get("migration", limits.get("default", 0)))
        return 0 < limit <= mib_s * KIB

    api.settle(slow, put, late=f"migrations are not limited to {mib_s} MiB a second")


def _pairs(told: Any) -> dict[str, str]:
    """What an option of the form a=1,b=2 says; nodes answer it as a text or taken apart."""
    if isinstance(told, str):
        parts = (part.partition("=") for part in told.split(",") if part)
        told = {key: value for key, _, value in parts}
    return {str(key): str(value) for key, value in (told or {}).items()}


def ensure_firewall(api: Api, mesh: Sequence[str]) -> None:
    """Management answers to the mesh and to the cluster's own nodes, and to nobody else.

    Refused while our own address is outside the mesh: we would lock ourselves out.
    """
    ours = api.node().own_address()
    if not any(ip_address(ours) in ip_network(net) for net in mesh if _alike(ours, net)):
        raise Refused(
            f"we reach it from {ours}, which is not in {', '.join(mesh)}: a firewall would lock "
            "us out",
            where=api.node().name,
            mend="come through the mesh, or add our network to fleet.management_from",
        )
    _ensure_set(api, MESH, dict.fromkeys(mesh, f"{MARK}{WISH}"))
    _ensure_set(api, PEERS, {at: MARK + node for at, node in _own_addresses(api).items()})
    _ensure_rules(api)
    if not int(api.get("cluster/firewall/options").get("enable") or 0):
        api.put("cluster/firewall/options", {"enable": 1})


def ensure_no_peer(api: Api, node: str) -> None:
    """None of the addresses that metal let in as that node's is let in any more: they may be a
    stranger's tomorrow. What others wrote there stays."""
    if not _has_set(api, PEERS):
        return
    path = f"cluster/firewall/ipset/{PEERS}"

    def left() -> list[str]:
        rows = api.get(path)
        return [str(row["cidr"]) for row in rows if row.get("comment") == MARK + node]

    def take_out() -> None:
        for cidr in left():
            api.delete(f"{path}/{cidr}")

    late = f"addresses of {node} are still in the firewall's IP set {PEERS}"
    api.settle(lambda: not left(), take_out, late=late)


def _own_addresses(api: Api) -> dict[str, str]:
    """Of all its nodes on all their networks, and whose they are: what no rule lets in is dropped
    once the firewall is on, and Ceph and migrations may have networks of their own."""
    nodes = [row for row in api.get("cluster/status") if row["type"] == "node"]
    found = {str(node["ip"]): str(node["name"]) for node in nodes}
    for node in nodes:
        for row in api.get(f"nodes/{node['name']}/network"):
            own = (row.get("cidr"), row.get("cidr6"))
            found |= dict.fromkeys((str(ip_interface(at).ip) for at in own if at), node["name"])
    return found


def _alike(address: str, network: str) -> bool:
    return ip_address(address).version == ip_network(network).version


def _has_set(api: Api, name: str) -> bool:
    return any(row["name"] == name for row in api.get("cluster/firewall/ipset"))


def _ensure_set(api: Api, name: str, members: Mapping[str, str]) -> None:
    """The IP set has these members, each with its comment; others that somebody added stay."""
    if not _has_set(api, name):
        api.post("cluster/firewall/ipset", {"name": name, "comment": f"{MARK}{WISH}"})
    path = f"cluster/firewall/ipset/{name}"
    there = {_plain(str(row["cidr"])) for row in api.get(path)}
    for member, comment in members.items():
        if _plain(member) not in there:
            api.post(path, {"cidr": member, "comment": comment})


def _plain(cidr: str) -> str:
    """An address as the network of itself alone; an alias as it is."""
    try:
        return str(ip_network(cidr, strict=False))
    except ValueError:
        return cidr


def _rules() -> list[dict[str, Any]]:
    """In order, before all others: corosync, Ceph and migrations pass between the nodes."""
    accept = {"type": "in", "action": "ACCEPT", "enable": 1}
    return [
        {**accept, "source": f"+{PEERS}", "comment": f"{MARK}the nodes among themselves"},
        {
            **accept,
            "source": f"+{MESH}",
            "proto": "tcp",
            "dport": MANAGEMENT,
            "comment": f"{MARK}management from the mesh",
        },
        {
            "type": "in",
            "action": "DROP",
            "enable": 1,
            "proto": "tcp",
            "dport": MANAGEMENT,
            "comment": f"{MARK}management from nowhere else",
        },
    ]


def _ensure_rules(api: Api) -> None:
    wanted = _rules()
    now = [row for row in api.get("cluster/firewall/rules") if _ours(row)]
    same = [{key: row.get(key) for key in rule} for row, rule in zip(now, wanted, strict=False)]
    if len(now) == len(wanted) and same == wanted:
        return
    for row in sorted(now, key=lambda row: -int(row["pos"])):
        api.delete(f"cluster/firewall/rules/{row['pos']}")
    for rule in reversed(wanted):  # each is put before those that are there
        api.post("cluster/firewall/rules", rule)


def _ours(row: dict[str, Any]) -> bool:
    return str(row.get("comment", "")).startswith(MARK)
