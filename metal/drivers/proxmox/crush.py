"""Whether a pool's data survives the loss of any one server: what CRUSH really does with it."""

import re
from collections.abc import Iterator
from typing import Any

from metal.drivers.proxmox.api import Api

SIZE, MIN_SIZE = 3, 2
APART = ("host", "chassis", "rack", "row", "pdu", "pod", "room", "datacenter", "zone", "region")
"""Kinds of buckets that keep copies on different servers, from the smallest."""
_RULE = re.compile(r"^rule\s+(\S+)\s*\{(.*?)^\}", re.M | re.S)
_TAKE = re.compile(r"^\s*step\s+take\s+(\S+)(?:\s+class\s+(\S+))?\s*$", re.M)
_CHOOSE = re.compile(r"^\s*step\s+(?:choose|chooseleaf)\s+\S+\s+-?\d+\s+type\s+(\S+)\s*$", re.M)


def faults(api: Api, pool: str) -> tuple[str, ...]:
    """Why the loss of one server would stop or lose the pool; empty where it does neither."""
    if not pool:
        return ()
    node = api.node().name
    rows = api.get(f"nodes/{node}/ceph/pool") or []
    found = next((row for row in rows if row["pool_name"] == pool), None)
    if found is None:
        return (f"there is no pool {pool}",)
    tree = api.get(f"nodes/{node}/ceph/osd").get("root") or {}
    return tuple(_judged(found, str(api.get(f"nodes/{node}/ceph/crush")), tree))


def _judged(pool: dict[str, Any], crush: str, tree: dict[str, Any]) -> Iterator[str]:
    name, size, least = pool["pool_name"], int(pool["size"]), int(pool["min_size"])
    if pool.get("type", "replicated") != "replicated":
        yield f"the pool {name} is {pool['type']}, of which nothing is known here"
        return
    if size < SIZE or least < MIN_SIZE or least >= size:
        yield (
            f"the pool {name} keeps {size} copies and wants {least} to write; {SIZE} and "
            f"{MIN_SIZE} are needed"
        )
    rule = str(pool.get("crush_rule_name", ""))
    text = dict(_RULE.findall(crush)).get(rule)
    if text is None:
        yield f"the CRUSH rule {rule!r} of the pool {name} is not in the CRUSH map"
        return
    kinds, take = _CHOOSE.findall(text), _TAKE.search(text)
    if not any(kind in APART for kind in kinds):
        yield f"the CRUSH rule {rule} puts copies on different {' and '.join(kinds)}s of one server"
    root, kind = (take[1], take[2]) if take else ("", None)
    hosts = _hosts(tree, root, kind)
    if len(hosts) < size:
        of = f" of class {kind}" if kind else ""
        yield (
            f"{len(hosts)} servers ({', '.join(sorted(hosts)) or 'none'}) have OSDs{of} that are "
            f"up and in, for {size} copies"
        )


def _hosts(tree: dict[str, Any], root: str, kind: str | None) -> set[str]:
    """Servers below the bucket `root` with an OSD (of that device class) that is up and in."""
    below = _find(tree, root)
    return {
        str(osd.get("host"))
        for osd in leaves(below or {})
        if osd.get("status") == "up"
        and int(osd.get("in", 1) or 0)
        and (kind is None or osd.get("device_class") == kind)
    }


def _find(tree: dict[str, Any], name: str) -> dict[str, Any] | None:
    if tree.get("name") == name:
        return tree
    return next((f for c in tree.get("children") or [] if (f := _find(c, name))), None)


def leaves(tree: dict[str, Any], host: str = "") -> Iterator[dict[str, Any]]:
    if tree.get("type") == "host":
        host = str(tree["name"])
    if tree.get("type") == "osd":
        yield {"host": host, **tree}
    for child in tree.get("children") or []:
        yield from leaves(child, host)
