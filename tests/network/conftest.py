"""The charity's inventory, read without metal.inventory, and small fleets made by hand."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metal.model.fleet import Inventory

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def charity() -> Inventory:
    """inventory.toml with its profiles."""
    document = tomllib.loads((ROOT / "inventory.toml").read_text())
    document["sizes"] = tomllib.loads((ROOT / "profiles/vms.toml").read_text())
    document["profiles"] = {
        file.stem: tomllib.loads(file.read_text())
        for file in (ROOT / "profiles/servers").glob("*.toml")
    }
    wanted = {k: v for k, v in document.items() if k in Inventory.model_fields}
    return Inventory.model_validate(wanted)


@pytest.fixture(scope="session")
def charity_homes(charity: Inventory) -> dict[str, str]:
    """A home for every VM of the charity: its pin, or alba and cima in turn."""
    unpinned = [vm for vm, wanted in charity.vms.items() if wanted.cluster is None]
    turns = {vm: ("alba", "cima")[n % 2] for n, vm in enumerate(unpinned)}
    return {vm: wanted.cluster or turns[vm] for vm, wanted in charity.vms.items()}


@pytest.fixture(scope="session")
def make_fleet() -> Callable[..., Inventory]:
    return _make_fleet


def _make_fleet(
    vms: dict[str, dict[str, Any]],
    *,
    pool: tuple[str, ...] = ("192.0.2.2-192.0.2.6",),
    private: str = "10.1.128.0/24",
    ipv6: str | None = "2001:db8:1::/48",
    elsewhere: dict[str, Any] | None = None,
) -> Inventory:
    """Clusters `here` and `near` at one site, `far` at another (`elsewhere`: its subnets)."""
    subnets = {
        "bmc": "10.1.0.0/24",
        "management": "10.1.1.0/24",
        "gateway": "10.1.1.1",
        "private_ipv4": private,
        "public_ipv4": "192.0.2.0/28",
        "public_gateway": "192.0.2.1",
    }
    far = {
        "bmc": "10.2.0.0/24",
        "management": "10.2.1.0/24",
        "gateway": "10.2.1.1",
        "private_ipv4": "10.2.128.0/24",
        "public_ipv4": "198.51.100.0/28",
        "public_gateway": "198.51.100.1",
        "ipv6": "2001:db8:2::/48",
        **(elsewhere or {}),
    }
    donor = {"name": "Donor", "contact": "noc@donor.example.org"}
    servers = {
        name: {
            "site": site,
            "rack": "R",
            "profile": "node",
            "address": f"10.{net}.1.{11 + n}",
            "bmc": {"address": f"10.{net}.0.{11 + n}"},
        }
        for n, (name, site, net) in enumerate(
            [("here1", "one", 1), ("near1", "one", 1), ("far1", "two", 2)]
        )
    }
    return Inventory.model_validate(
        {
            "fleet": {"name": "small", "domain": "small.example.org"},
            "administrators": {"ana": {"name": "Ana", "keys": ["age1x"]}},
            "sites": {
                "one": {
                    "donor": donor,
                    "place": "here",
                    "subnets": subnets | ({"ipv6": ipv6} if ipv6 else {}),
                    "ipv4_pool": pool,
                },
                "two": {
                    "donor": donor,
                    "place": "there",
                    "subnets": far,
                    "ipv4_pool": ("198.51.100.2",),
                },
            },
            "servers": servers,
            "clusters": {
                "here": {"servers": ["here1"]},
                "near": {"servers": ["near1"]},
                "far": {"servers": ["far1"]},
            },
            "profiles": {"node": {"description": "a node"}},
            "sizes": {"small": {"vcpus": 1, "memory_gib": 1, "disk_gib": 10}},
            "vms": {vm: {"size": "small", "why": "a test", **wanted} for vm, wanted in vms.items()},
        }
    )
