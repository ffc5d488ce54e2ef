"""The fleet that the storms blow over."""

from typing import Any

from metal.model.fleet import Inventory

SITES = {"lisbon": ("alba", "brio"), "utrecht": ("cala",), "porto": ("duna",)}
VMS_A_SERVER = 3


def fleet() -> Inventory:
    """Three sites, four clusters of three, 36 VMs that any one loss leaves room for."""
    clusters = {c: [f"{c}{n}" for n in (1, 2, 3)] for names in SITES.values() for c in names}
    servers, number = {}, 0
    for site, names in SITES.items():
        for server in (s for cluster in names for s in clusters[cluster]):
            number += 1
            servers[server] = _server(site, list(SITES).index(site) + 1, 10 + number)
    vms = {
        f"{cluster}-{n}": {"size": "small", "why": "any", "cluster": cluster}
        for cluster in clusters
        for n in range(1, 3 * VMS_A_SERVER + 1)
    }
    return Inventory.model_validate(
        {
            "fleet": {"name": "storms", "domain": "example.org"},
            "administrators": {},
            "sites": {s: _site(s, i) for i, s in enumerate(SITES, 1)},
            "servers": servers,
            "clusters": {c: {"servers": members} for c, members in clusters.items()},
            "profiles": {"node": {"description": "any"}},
            "sizes": {"small": {"vcpus": 1, "memory_gib": 2, "disk_gib": 10}},
            "vms": vms,
        }
    )


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
