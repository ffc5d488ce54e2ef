"""What Proxmox's API tells of an /etc/network/interfaces, as far as metal renders one."""

from collections.abc import Iterator
from ipaddress import ip_interface
from typing import Any

WORDS = {
    "bond-slaves": "slaves",
    "bond-mode": "bond_mode",
    "bond-miimon": "bond_miimon",
    "bond-primary": "bond-primary",
    "bond-xmit-hash-policy": "bond_xmit_hash_policy",
    "bridge-ports": "bridge_ports",
    "bridge-stp": "bridge_stp",
    "bridge-fd": "bridge_fd",
    "bridge-vids": "bridge_vids",
    "gateway": "gateway",
}


def rows(text: str) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for line in text.splitlines():
        words = line.split()
        if line.startswith("auto "):
            found.setdefault(words[1], {"iface": words[1]})["autostart"] = 1
        elif line.startswith("iface "):
            row = found.setdefault(words[1], {"iface": words[1]})
            row["method" if words[2] == "inet" else "method6"] = words[3]
        elif line.startswith("\t"):
            row |= dict(_option(words[0], " ".join(words[1:]), row))
    return [_whole(row) for name, row in found.items() if name != "lo"]


def _option(word: str, value: str, row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    six = "6" if row.get("method6") else ""
    if word == "address":
        at = ip_interface(value)
        yield from ((f"address{six}", str(at.ip)), (f"cidr{six}", str(at)))
        yield (f"netmask{six}", at.network.prefixlen if six else str(at.network.prefixlen))
    elif word == "gateway":
        yield f"gateway{six}", value
    elif word == "mtu":
        yield "mtu", int(value)
    elif word == "bridge-vlan-aware":
        yield "bridge_vlan_aware", 1
    elif word in WORDS:
        yield WORDS[word], value


def _whole(row: dict[str, Any]) -> dict[str, Any]:
    name, dot, tag = row["iface"].partition(".")
    if dot:
        more = {"type": "vlan", "vlan-raw-device": name, "vlan-id": tag}
    elif "slaves" in row:
        more = {"type": "bond"}
    elif "bridge_ports" in row:
        more = {"type": "bridge"}
    else:
        more = {"type": "eth", "exists": 1}
    return {**more, **row, "active": 1}
