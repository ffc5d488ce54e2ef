"""What root on a node sees of corosync, and changes of its links: a double of its programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metal.drivers.commands import Result
from metal.lab.proxmox.cluster import rings
from metal.network.engines.corosync import parse, render, rings_of

if TYPE_CHECKING:
    from metal.lab.proxmox.datacenter import Datacenter
    from metal.lab.proxmox.state import Cluster, Node

OWN = "/etc/corosync/corosync.conf"
CONF = """\
nodelist {{
{nodes}}}
quorum {{
  provider: corosync_votequorum
}}
totem {{
  cluster_name: {name}
  config_version: {version}
{links}  link_mode: passive
  version: 2
}}
"""


def answer(dc: Datacenter, node: Node, argv: list[str], stdin: bytes) -> Result | None:
    """None for a command that has nothing to do with it."""
    match argv:
        case ["cat", "/etc/pve/corosync.conf"]:
            return Result(0, conf(node.cluster).encode(), "")
        case ["corosync-cfgtool", "-n"]:
            return Result(0, _links(dc, node).encode(), "")
        case ["sh", "-c", script] if "metal: the corosync.conf" in script:
            _share(node.cluster, stdin.decode())
            return Result(0, b"", "")
    return None


def conf(cluster: Cluster) -> str:
    nodes, numbers = "", set[str]()
    for name, node in cluster.members.items():
        has = rings(cluster, node)
        numbers |= has.keys()
        addresses = "".join(f"    ring{n}_addr: {at}\n" for n, at in sorted(has.items()))
        nodes += f"  node {{\n    name: {name}\n    nodeid: {node.nodeid}\n{addresses}  }}\n"
    links = "".join(f"  interface {{\n    linknumber: {n}\n  }}\n" for n in sorted(numbers))
    text = CONF.format(nodes=nodes, name=cluster.name, version=cluster.version, links=links)
    return render(parse(text))


def _links(dc: Datacenter, node: Node) -> str:
    """Of the file that this node has now; one that the others do not have is not connected."""
    lines = ["Local node ID 1, transport knet"]
    own = _has(node)
    for other in node.cluster.members.values():
        if other is node:
            continue
        lines.append(f"nodeid: {other.nodeid} reachable")
        for number, at in own[other.name].items():
            fine = _has(other) == own and not {at, own[node.name][number]} & dc.unreached
            state = "connected mtu: 1397" if fine else "mtu: 0"
            way = f"({own[node.name][number]}->{at})"
            lines.append(f"   LINK: {number} udp {way} enabled {state}")
    return "\n".join(lines) + "\n"


def _has(node: Node) -> dict[str, dict[int, str]]:
    return rings_of(parse(node.trials.files.get(OWN) or conf(node.cluster)))


def _share(cluster: Cluster, text: str) -> None:
    told = parse(text)
    version = int(told.sections("totem")[0].get("config_version"))
    if version > cluster.version:
        cluster.version = version
        cluster.rings = {
            name: {str(n): at for n, at in has.items()} for name, has in rings_of(told).items()
        }
