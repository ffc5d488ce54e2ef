"""Names of ours for what Proxmox calls otherwise."""

import re
from collections.abc import Collection

from metal.inventory.slugs import slug
from metal.model.errors import Refused
from metal.model.fleet import Inventory
from metal.model.found import FoundCluster

GOOD = re.compile(r"[a-z][a-z0-9-]{0,39}")
CLUSTER_NAME = 15
"""Characters that Proxmox allows."""


def free(name: str, taken: Collection[str], ending: str, longest: int = 40) -> str:
    """`name`, or with `ending` behind it, or with a number, so that nobody has it."""
    if name not in taken:
        return name
    number, tail = 1, f"-{ending}"
    while (new := name[: longest - len(tail)].rstrip("-") + tail) in taken:
        number += 1
        tail = f"-{ending}-{number}"
    return new


def cluster(inventory: Inventory, found: FoundCluster, wanted: str | None) -> str:
    """The inventory's name for the cluster: the one it has already, or a new one."""
    homes = {home for node in found.nodes if (home := inventory.cluster_of(node.name)) is not None}
    if len(homes) > 1:
        raise Refused(
            f"its nodes are in {', '.join(sorted(homes))} of the inventory",
            where=found.name or found.nodes[0].name,
            mend="one cluster is one [clusters.NAME]: put them together",
        )
    if homes:
        (home,) = homes
        if wanted not in (None, home):
            raise Refused(f"the inventory calls it {home} already", where=str(wanted))
        return home
    if wanted is not None and wanted in inventory.clusters:
        raise Refused(
            "the inventory has another cluster of that name", where=wanted, mend="name it otherwise"
        )
    proposed = slug(found.name or found.nodes[0].name, CLUSTER_NAME, else_="c")
    return wanted or free(proposed, inventory.clusters, "2", CLUSTER_NAME)
