"""What replacing a server will do, computed for this cluster: for a person to read beforehand."""

from collections.abc import Iterator

from metal.controller.powering import BY, power_switch
from metal.controller.workspace import Workspace
from metal.model.errors import MetalError
from metal.model.life import Life


def recipe(workspace: Workspace, cluster: str, old: str, heir: str) -> list[str]:
    return list(_steps(workspace, cluster, old, heir))


def _steps(workspace: Workspace, cluster: str, old: str, heir: str) -> Iterator[str]:
    inventory = workspace.inventory
    server = inventory.servers[old]
    others = [s for s in inventory.clusters[cluster].servers if s != old]
    by = BY[server.power.driver]
    yield f"now {cluster} sees {old} {_seen(workspace, cluster, old)}{_read(workspace, old)}"
    yield f"{old} is switched off and proven off, by {by}; it must never run again as it is"
    yield f"what HA manages of {old} is waited for until it runs elsewhere; no other guest may wait"
    if inventory.clusters[cluster].ceph:
        yield (
            f"Ceph forgets its OSDs (ceph osd purge), its monitor (ceph mon remove {old}, and "
            "out of ceph.conf with its address), its manager and its place in CRUSH; data is "
            "copied again once the new one's disks are there"
        )
    yield f"corosync forgets {old} (pvecm delnode {old}), spoken from one of {', '.join(others)}"
    yield f"the cluster's firewall lets the addresses in no more that metal let in for {old}"
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


def _seen(workspace: Workspace, cluster: str, server: str) -> str:
    try:
        online = workspace.proxmox(cluster).condition().nodes.get(server)
    except MetalError as error:
        return f"not: {error.what}"
    return {True: "online", False: "offline", None: "no more"}[online]


def _read(workspace: Workspace, server: str) -> str:
    """What its switch reads, where that is no person."""
    driver = workspace.inventory.servers[server].power.driver
    if driver == "manual":
        return ""
    switch = power_switch(workspace, server, key="", why="")
    try:
        return f", {BY[driver]} reads {switch.power()}"
    except MetalError as error:
        return f", {BY[driver]} does not say whether it is on: {error.what}"
    finally:
        switch.close()
