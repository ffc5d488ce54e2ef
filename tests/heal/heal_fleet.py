"""Four servers in two sites: a cluster of three and a solo machine."""

from typing import Any

from metal.model.fleet import Inventory

VMS = {"mail": (101, "alba1"), "wiki": (102, "alba1"), "git": (103, "alba2")}


def inventory() -> Inventory:
    """Site lisbon with the cluster alba of three, site utrecht with the solo machine duna1."""
    return Inventory.model_validate(
        {
            "fleet": {"name": "test", "domain": "example.org"},
            "administrators": {},
            "sites": {"lisbon": _site("row 2", 11), "utrecht": _site("U", 14)},
            "servers": {
                **{f"alba{n}": _server("lisbon", f"10.11.1.1{n}") for n in (1, 2, 3)},
                "duna1": _server("utrecht", "10.14.1.11"),
            },
            "clusters": {
                "alba": {"servers": ["alba1", "alba2", "alba3"]},
                "duna": {"servers": ["duna1"], "ceph": False},
            },
            "profiles": {"node": {"description": "any"}},
            "sizes": {"small": {"vcpus": 1, "memory_gib": 1, "disk_gib": 10}},
            "vms": {name: {"size": "small", "why": "only inside"} for name in VMS},
        }
    )


def _site(place: str, net: int) -> dict[str, Any]:
    return {
        "donor": {"name": "A donor", "contact": "noc@example.org"},
        "place": place,
        "subnets": {
            "bmc": f"10.{net}.0.0/24",
            "management": f"10.{net}.1.0/24",
            "gateway": f"10.{net}.1.1",
            "private_ipv4": f"10.{net}.128.0/20",
        },
    }


def _server(site: str, address: str) -> dict[str, Any]:
    return {
        "site": site,
        "rack": "A",
        "profile": "node",
        "address": address,
        "bmc": {"address": address.replace(".1.1", ".0.1")},
    }
