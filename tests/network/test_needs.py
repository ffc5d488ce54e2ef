"""Ranges, needs, gateways and flows, from the inventory to the addresses and the rules."""

import ipaddress
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metal.model.fleet import Gateways, Inventory
from metal.network.addresses import plan_addresses
from metal.network.budget import budget
from metal.network.choose import FLOWS
from metal.network.engines.haproxy import render_haproxy
from metal.network.engines.nftables import render_nftables
from metal.network.view import leaving, views
from metal.network.worth import worth
from tests.network.test_gateways import haproxy, nft

MakeFleet = Callable[..., Inventory]
MEET = {"port": 10_000, "last": 20_000, "protocol": "udp"}


def with_gateways(fleet: Inventory, **wanted: Any) -> Inventory:
    site = fleet.sites["one"].model_copy(update={"gateways": Gateways(**wanted)})
    return fleet.model_copy(update={"sites": {**fleet.sites, "one": site}})


def test_a_range_is_forwarded_whole_and_clashes_with_what_lies_in_it(
    make_fleet: MakeFleet, tmp_path: Path
) -> None:
    vms: dict[str, dict[str, Any]] = {
        "meet": {"ipv4": "nat", "serves": [MEET]},
        "game": {"ipv4": "nat", "serves": [{"port": 15_000, "protocol": "udp"}]},
        "vpn": {
            "ipv4": "nat",
            "needs": ["ipsec"],
            "serves": [{"port": 500, "protocol": "udp"}, {"port": 4500, "protocol": "udp"}],
        },
    }
    fleet = make_fleet(vms)
    homes = dict.fromkeys(vms, "here")
    plan = plan_addresses(fleet, homes, {})
    given = plan.given
    assert given["meet"].forwards[0].public != given["game"].forwards[0].public
    text = render_nftables(views(fleet, homes, plan)["one"])
    assert "udp dport 10000-20000 dnat to" in text
    assert "meta l4proto esp accept" in text
    file = tmp_path / "rules.nft"
    file.write_text(text)
    done = subprocess.run([*nft(), "-c", "-f", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_two_that_need_reverse_dns_never_share(make_fleet: MakeFleet) -> None:
    vms: dict[str, dict[str, Any]] = {
        vm: {"ipv4": "nat", "needs": ["rdns"], "serves": [{"port": port}]}
        for vm, port in (("a", 25), ("b", 2525))
    }
    fleet = make_fleet(vms)
    given = plan_addresses(fleet, dict.fromkeys(vms, "here"), {}).given
    assert given["a"].forwards[0].public != given["b"].forwards[0].public


def test_public_base_addresses_are_paid_for_and_private_ones_are_not(
    make_fleet: MakeFleet,
) -> None:
    vms: dict[str, dict[str, Any]] = {f"vm{n}": {"ipv4": "dedicated"} for n in range(5)}
    homes = dict.fromkeys(vms, "here")
    fleet = make_fleet(vms)  # a pool of five
    private = plan_addresses(with_gateways(fleet), homes, {})
    public = plan_addresses(with_gateways(fleet, base="public"), homes, {})
    assert (len(private.given), len(public.given)) == (4, 2)
    own = {(has.public_ipv4 or "").split("/")[0] for has in public.given.values()}
    assert not own & {"192.0.2.2", "192.0.2.3"}
    assert budget(with_gateways(fleet, base="public"), "one", {}).gateways == 2


def test_a_vm_does_not_keep_what_has_become_a_gateways_own(make_fleet: MakeFleet) -> None:
    fleet = with_gateways(make_fleet({"mail": {"ipv4": "dedicated"}}), base="public")
    given = plan_addresses(fleet, {"mail": "here"}, {"mail": ("192.0.2.2/28",)}).given
    assert given["mail"].public_ipv4 == "192.0.2.4/28"


def test_flows_ask_for_more_shared_addresses(make_fleet: MakeFleet) -> None:
    vms: dict[str, dict[str, Any]] = {f"vm{n}": {"flows": FLOWS // 2 + 1} for n in range(2)}
    fleet = with_gateways(make_fleet(vms))
    plan = plan_addresses(fleet, dict.fromkeys(vms, "here"), {})
    assert len(plan.ways_out["one"]) == 2


def test_flows_leave_by_every_address_that_was_counted_for_them(
    make_fleet: MakeFleet, tmp_path: Path
) -> None:
    vms: dict[str, dict[str, Any]] = {
        "git": {"ipv4": "nat", "serves": [{"port": 22}], "flows": FLOWS},
        "crawler": {"flows": 2 * FLOWS - 300},
        "db": {},
        "ci": {"flows": FLOWS // 2},
    }
    fleet = with_gateways(make_fleet(vms))
    homes = dict.fromkeys(vms, "here")
    plan = plan_addresses(fleet, homes, {})
    ways = plan.ways_out["one"]
    assert len(ways) == 4
    seen = views(fleet, homes, plan)["one"]
    out = leaving(seen)
    assert out["git"] == (ipaddress.ip_address(plan.given["git"].forwards[0].public),)
    assert out["crawler"] == ways, "no one address carries its flows: it has all of them"
    assert out["db"] != out["git"] and out["ci"] != out["git"], "git fills its own"
    text = render_nftables(seen)
    assert "snat to numgen inc mod 4 map" in text
    file = tmp_path / "rules.nft"
    file.write_text(text)
    done = subprocess.run([*nft(), "-c", "-f", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_address_more_and_one_less(make_fleet: MakeFleet) -> None:
    vms: dict[str, dict[str, Any]] = {
        vm: {"ipv4": "dedicated", "priority": priority}
        for vm, priority in (("mail", 90), ("lists", 50), ("shop", 10))
    }
    found = worth(
        make_fleet(vms, pool=("192.0.2.2-192.0.2.3",)), "one", dict.fromkeys(vms, "here"), {}
    )
    assert found.without == ("shop",)
    assert (found.gain.vms, found.gain.priority) == (("shop",), 10)
    assert (found.loss.vms, found.loss.priority) == (("lists",), 50)
    assert found.proven


def test_the_last_address_is_the_way_out_as_well(make_fleet: MakeFleet) -> None:
    vms: dict[str, dict[str, Any]] = {
        "web": {"ipv4": "nat", "serves": [{"port": 443}], "priority": 70}
    }
    fleet = make_fleet(vms, pool=("192.0.2.2",))
    routed = fleet.sites["one"].model_copy(update={"gateways": Gateways(count=1)})
    fleet = fleet.model_copy(update={"sites": fleet.sites | {"one": routed}})
    found = worth(fleet, "one", {"web": "here"}, {})
    assert (found.loss.vms, found.loss.priority) == (("web",), 70)
    assert found.loss.way_out
    assert found.proven


def test_a_vm_that_understands_it_is_told_its_clients(
    make_fleet: MakeFleet, tmp_path: Path
) -> None:
    vms: dict[str, dict[str, Any]] = {
        vm: {
            "ipv4": "proxy",
            "serves": [{"port": 443, "name": f"{vm}.example.org", "proxy_protocol": told}],
        }
        for vm, told in (("wiki", True), ("shop", False))
    }
    fleet = make_fleet(vms)
    homes = dict.fromkeys(vms, "here")
    text = render_haproxy(views(fleet, homes, plan_addresses(fleet, homes, {}))["one"])
    told = [line for line in text.splitlines() if line.startswith("    server ")]
    assert [line.endswith("send-proxy-v2") for line in told] == [False, True]
    file = tmp_path / "haproxy.cfg"
    file.write_text(text)
    done = subprocess.run([haproxy(), "-c", "-f", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
