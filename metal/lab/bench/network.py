"""The whole network of a fleet: addresses planned, every gateway's and name server's file rendered.

The mesh is full: each site is told of every other, so the text grows with their square.
"""

import base64
import hashlib
import time
from typing import Any

from metal.model.fleet import Inventory
from metal.network.addresses import plan_addresses
from metal.network.tree import render_tree
from metal.network.view import views

SIZES = ((4, 43), (50, 2_000), (340, 15_000))
"""(sites, VMs)."""


def network() -> None:
    print(f"\n{'addresses planned, files rendered':<40} {'plan s':>8} {'render s':>9} {'files':>7}")
    for sites, vms in SIZES:
        fleet = _fleet(sites, vms)
        homes = {vm: wanted.cluster or "" for vm, wanted in fleet.vms.items()}
        begun = time.process_time()
        plan = plan_addresses(fleet, homes, {})
        planned = time.process_time()
        tree = render_tree(views(fleet, homes, plan, {vm: 100 + n for n, vm in enumerate(homes)}))
        rendered = time.process_time()
        took = f"{planned - begun:8.2f} {rendered - planned:9.2f}"
        print(f"{f'{vms} VMs, {sites} sites':<40} {took} {len(tree.files):7}")


def _fleet(sites: int, vms: int) -> Inventory:
    names = [f"s{n}" for n in range(sites)]
    return Inventory.model_validate(
        {
            "fleet": {"name": "bench", "domain": "bench.example.org"},
            "administrators": {"ana": {"name": "A", "keys": ["age1x"], "wireguard": _key("ana")}},
            "sites": {name: _site(n, name) for n, name in enumerate(names)},
            "servers": {f"h{n}": _server(n, name) for n, name in enumerate(names)},
            "clusters": {f"c{n}": {"servers": [f"h{n}"]} for n in range(sites)},
            "profiles": {"node": {"description": "a node"}},
            "sizes": {"small": {"vcpus": 1, "memory_gib": 1, "disk_gib": 1}},
            "vms": {f"v{n}": _vm(n, sites) for n in range(vms)},
        }
    )


def _key(name: str) -> str:
    return base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()


def _site(number: int, name: str) -> dict[str, Any]:
    a, b = divmod(number, 250)
    uplink = f"2001:db8:ffff:{number:x}::"
    return {
        "donor": {"name": "D", "contact": "noc@donor.example.org"},
        "place": "a rack",
        "ipv4_pool": [f"203.{a}.{b}.2-203.{a}.{b}.12"],
        "gateways": {
            "wireguard": _key(name),
            "uplink_ipv6": f"{uplink}2/64",
            "uplink_gateway6": f"{uplink}1",
        },
        "subnets": {
            "bmc": f"10.{a}.{b}.0/25",
            "management": f"10.{a}.{b}.128/25",
            "gateway": f"10.{a}.{b}.129",
            "private_ipv4": f"10.{100 + a}.{b}.0/24",
            "public_ipv4": f"203.{a}.{b}.0/28",
            "public_gateway": f"203.{a}.{b}.1",
            "ipv6": f"2001:db8:{number:x}::/48",
        },
    }


def _server(number: int, site: str) -> dict[str, Any]:
    a, b = divmod(number, 250)
    place = {"site": site, "rack": "R", "profile": "node"}
    return {**place, "address": f"10.{a}.{b}.130", "bmc": {"address": f"10.{a}.{b}.2"}}


def _vm(number: int, sites: int) -> dict[str, Any]:
    """Of ten: one with an address of its own, two behind NAT, three behind the proxy, four with
    IPv6 only. One in a hundred answers for names."""
    name = f"n{number}.bench.example.org"
    kinds: list[dict[str, Any]] = [
        {"ipv4": "dedicated", "serves": [{"port": 25}]},
        *[{"ipv4": "nat", "serves": [{"port": 1_000 + number % 5_000}]}] * 2,
        *[{"ipv4": "proxy", "serves": [{"port": 443, "name": name}]}] * 3,
        *[{"ipv4": "ipv6", "serves": [{"port": 53}] if number % 100 == 9 else []}] * 4,
    ]
    return {"size": "small", "why": "a bench", "cluster": f"c{number % sites}"} | kinds[number % 10]
