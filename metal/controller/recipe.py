"""What replacing a server will do, computed for this cluster: for a person to read beforehand."""

from collections.abc import Iterator

from metal.controller.workspace import Workspace
from metal.model.life import Life


def recipe(workspace: Workspace, cluster: str, old: str, heir: str) -> list[str]:
    return list(_steps(workspace, cluster, old, heir))


def _steps(workspace: Workspace, cluster: str, old: str, heir: str) -> Iterator[str]:
    inventory = workspace.inventory
    server = inventory.servers[old]
    others = [s for s in inventory.clusters[cluster].servers if s != old]
    switch = {"bmc": "its BMC", "fence": "its plug", "manual": "a person at the rack"}
    yield f"{old} is proven off, by {switch[server.power.driver]}; it must never run again as it is"
    yield f"no guest may wait for {old} any more: what HA manages has been restarted elsewhere"
    if inventory.clusters[cluster].ceph:
        yield (
            f"Ceph forgets its OSDs (ceph osd purge), its monitor (ceph mon remove {old}, and "
            "out of ceph.conf with its address), its manager and its place in CRUSH; data is "
            "copied again once the new one's disks are there"
        )
    yield f"corosync forgets {old} (pvecm delnode {old}), spoken from one of {', '.join(others)}"
    if heir != old:
        yield f"HA's wishes for {old} are for {heir}; VMs keep their numbers and addresses"
        yield f"inventory.toml: {heir} in the place of {old} in {cluster}; {old} stands alone"
    else:
        yield (
            f"{old} is found again: its BMC, disk key and certificate are new, and the old ones "
            "are forgotten when it is enrolled and installed"
        )
    installed = workspace.life(heir) is Life.INSTALLED and heir != old
    first = "" if installed else f"once {heir} is installed, "
    yield f"{first}`metal apply` lets {heir} join, gives it Ceph and an OSD on each data disk"
