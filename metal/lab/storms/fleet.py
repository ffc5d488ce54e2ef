"""The fleet that the storms blow over."""

from collections.abc import Mapping, Sequence
from typing import Any

from metal.model.fleet import Inventory

SITES = {"lisbon": ("alba", "brio"), "utrecht": ("cala",), "porto": ("duna",)}
BARE = ("brio", "duna")
"""Clusters without HA: metal itself restarts what ran there."""
VMS_A_SERVER = 3
UNMANAGED = ("cala-1", "cala-2", "cala-3")
"""VMs that HA was never told of, one a server: metal takes them over."""


def fleet(sites: Mapping[str, Sequence[str]] = SITES) -> Inventory:
    """Three sites, four clusters of three, two of them without HA, 36 VMs that any one loss leaves
    room for.

    Or as many as `sites` (site → its clusters) says, up to 80 clusters a site.
    """
    clusters = {c: [f"{c}{n}" for n in (1, 2, 3)] for names in sites.values() for c in names}
    servers = {
        server: _server(site, net, host)
        for net, (site, names) in enumerate(sites.items(), 1)
        for host, server in enumerate((s for c in names for s in clusters[c]), 11)
    }
    vms = {
        f"{cluster}-{n}": {"size": "small", "why": "any", "cluster": cluster}
        for cluster in clusters
        for n in range(1, 3 * VMS_A_SERVER + 1)
    }
    return Inventory.model_validate(
        {
            "fleet": {"name": "storms", "domain": "example.org"},
            "administrators": {},
            "sites": {s: _site(s, i) for i, s in enumerate(sites, 1)},
            "servers": servers,
            "clusters": {c: _cluster(c, members) for c, members in clusters.items()},
            "profiles": {"node": {"description": "any"}},
            "sizes": {"small": {"vcpus": 1, "memory_gib": 2, "disk_gib": 10}},
            "vms": vms,
        }
    )


def _cluster(name: str, members: Sequence[str]) -> dict[str, Any]:
    if name not in BARE:
        return {"servers": members}
    return {"servers": members, "ceph": False, "storage": "vms", "libvirt": {}}


def _site(name: str, net: int) -> dict[str, Any]:
    return {
        "donor": {"name": f"Donor of {name}", "contact": "noc@example.org"},
        "place": name,
        "subnets": {
            "bmc": f"10.{net}.0.0/24",
            "management": f"10.{net}.1.0/24",
            "gateway": f"10.{net}.1.1",
            "private_ipv4": f"10.{net}.128.0/20",
        },
    }


def _server(site: str, net: int, host: int) -> dict[str, Any]:
    return {
        "site": site,
        "rack": "A",
        "profile": "node",
        "address": f"10.{net}.1.{host}",
        "bmc": {"address": f"10.{net}.0.{host}"},
        "learned": {"memory_gib": 64, "threads": 32, "cores": 16},
    }
