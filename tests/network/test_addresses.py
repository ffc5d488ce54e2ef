"""Addresses of VMs: each gets what it needs or is named, none is given twice, none moves idly."""

from collections.abc import Callable
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metal.model.addresses import Addressing
from metal.model.fleet import Inventory
from metal.network.addresses import AddressPlan, plan_addresses
from metal.network.budget import budget

MakeFleet = Callable[..., Inventory]


def bare(address: str | None) -> str:
    return str(ip_interface(address or "").ip)


def configured(plan: AddressPlan) -> dict[str, tuple[str, ...]]:
    """As the hypervisor would show them."""
    return {
        vm: tuple(a for a in (has.private_ipv4, has.public_ipv4, has.ipv6) if a)
        for vm, has in plan.given.items()
    }


def named(vm: str, *ports: int) -> list[dict[str, Any]]:
    return [{"port": port, "name": f"{vm}.example.org"} for port in ports]


# ── Examples ─────────────────────────────────────────────────────────────────────────────────


def test_the_charity_gets_what_it_asks_for(
    charity: Inventory, charity_homes: dict[str, str]
) -> None:
    plan = plan_addresses(charity, charity_homes, {})
    assert plan.shortages == ()
    assert set(plan.given) == set(charity.vms)
    mail = plan.given["mail1"]
    assert mail.public_ipv4 in {f"198.51.100.{n}/28" for n in range(2, 9)}
    assert mail.gateway4 == "198.51.100.1"
    git = plan.given["git"]
    assert {f.port for f in git.forwards} == {22, 80, 443}
    assert git.gateway4 == "10.11.128.1"
    assert git.public_ipv4 is None
    # git wants 80 and 443 for itself, which the proxy has: two shared addresses, no more.
    assert {f.public for f in git.forwards} != {r.public for r in plan.given["login1"].routes}
    assert plan.given["db1"].forwards == ()
    assert plan.given["db1"].routes == ()
    assert budget(charity, "lisbon", charity_homes).shared == 2
    assert budget(charity, "berlin", charity_homes).free == 0


def test_the_first_hosts_are_the_gateways(make_fleet: MakeFleet) -> None:
    fleet = make_fleet({"a": {}, "b": {}})
    plan = plan_addresses(fleet, {"a": "here", "b": "near"}, {})
    assert [plan.given[vm].private_ipv4 for vm in "ab"] == ["10.1.128.11/24", "10.1.128.12/24"]
    assert plan.given["a"].gateway4 == "10.1.128.1"
    assert plan.given["a"].gateway6 == "2001:db8:1::1"
    assert ip_address(bare(plan.given["a"].ipv6)) in ip_network("2001:db8:1::/64")


def test_an_ipv6_address_depends_on_the_name_only(make_fleet: MakeFleet) -> None:
    alone = plan_addresses(make_fleet({"wiki": {}}), {"wiki": "here"}, {})
    many: dict[str, dict[str, Any]] = {name: {} for name in ("a", "b", "wiki", "z")}
    crowd = plan_addresses(make_fleet(many), dict.fromkeys(many, "near"), {})
    assert alone.given["wiki"].ipv6 == crowd.given["wiki"].ipv6


def test_colliding_names_get_different_ipv6_addresses(make_fleet: MakeFleet) -> None:
    vms: dict[str, dict[str, Any]] = {f"vm{n}": {} for n in range(20)}
    fleet = make_fleet(vms, ipv6="2001:db8:1::/122")
    plan = plan_addresses(fleet, dict.fromkeys(vms, "here"), {})
    assert len({has.ipv6 for has in plan.given.values()}) == 20


def test_a_shortage_is_a_value_that_names_who_and_how_many(make_fleet: MakeFleet) -> None:
    vms: dict[str, dict[str, Any]] = {
        "mail": {"ipv4": "dedicated", "priority": 90, "serves": [{"port": 25}]},
        "shop": {"ipv4": "dedicated", "priority": 10, "serves": named("shop", 443)},
        "wiki": {"ipv4": "proxy", "priority": 50, "serves": named("wiki", 80, 443)},
        "git": {"ipv4": "nat", "priority": 40, "serves": [{"port": 22}, {"port": 443}]},
    }
    fleet = make_fleet(vms, pool=("192.0.2.2-192.0.2.3",))
    plan = plan_addresses(fleet, dict.fromkeys(vms, "here"), {})
    assert set(plan.given) == {"mail", "wiki"}
    (shortage,) = plan.shortages
    assert shortage.site == "one"
    assert set(shortage.vms) == {"git", "shop"}
    assert shortage.missing == 2
    assert list(shortage.lighter.items()) == [("shop", "proxy"), ("mail", "nat")]
    text = str(shortage)
    assert "add 2 to sites.one.ipv4_pool" in text
    assert 'give shop ipv4 = "proxy"' in text


def test_a_site_without_a_pool_says_so(make_fleet: MakeFleet) -> None:
    fleet = make_fleet({"mail": {"ipv4": "dedicated"}, "db": {}}, pool=())
    plan = plan_addresses(fleet, {"mail": "here", "db": "here"}, {})
    assert set(plan.given) == {"db"}
    assert "no public IPv4" in plan.shortages[0].vms["mail"]


def test_a_proxy_cannot_tell_nameless_ports_apart(make_fleet: MakeFleet) -> None:
    fleet = make_fleet({"game": {"ipv4": "proxy", "serves": [{"port": 4000, "protocol": "udp"}]}})
    (shortage,) = plan_addresses(fleet, {"game": "here"}, {}).shortages
    assert "udp port 4000" in shortage.vms["game"]
    assert shortage.missing == 0


def test_one_name_is_served_by_one_vm_of_a_site(make_fleet: MakeFleet) -> None:
    both = {"ipv4": "proxy", "serves": named("www", 443)}
    fleet = make_fleet({"www1": both, "www2": both})
    plan = plan_addresses(fleet, {"www1": "here", "www2": "near"}, {})
    assert set(plan.given) == {"www1"}
    assert "www1 serves www.example.org" in plan.shortages[0].vms["www2"]


def test_addresses_of_unmanaged_vms_are_never_given_away(make_fleet: MakeFleet) -> None:
    fleet = make_fleet({"mail": {"ipv4": "dedicated"}}, pool=("192.0.2.2-192.0.2.3",))
    current = {"stranger": ("192.0.2.2/28", "10.1.128.11/24", "dhcp")}
    plan = plan_addresses(fleet, {"mail": "here"}, current)
    assert plan.given["mail"].public_ipv4 == "192.0.2.3/28"
    assert plan.given["mail"].private_ipv4 == "10.1.128.12/24"
    assert budget(fleet, "one", {"mail": "here"}, current).foreign == 1


def test_who_exists_goes_before_who_is_important(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(
        {
            "old": {"ipv4": "dedicated", "priority": 1},
            "new": {"ipv4": "dedicated", "priority": 99},
        },
        pool=("192.0.2.2",),
    )
    homes = {"old": "here", "new": "here"}
    plan = plan_addresses(fleet, homes, {"old": ("10.1.128.99/24", "192.0.2.2/28")})
    assert set(plan.given) == {"old"}
    assert plan.given["old"].private_ipv4 == "10.1.128.99/24"


def test_a_remembered_shared_address_is_kept(make_fleet: MakeFleet) -> None:
    vms = {
        "a": {"ipv4": "nat", "serves": [{"port": 22}]},
        "b": {"ipv4": "nat", "serves": [{"port": 8000}]},
        "wiki": {"ipv4": "proxy", "serves": named("wiki", 443)},
    }
    fleet = make_fleet(vms)
    homes = dict.fromkeys(vms, "here")
    shared = {"a": "192.0.2.4", "wiki": "192.0.2.5"}
    given = plan_addresses(fleet, homes, {}, shared=shared).given
    assert given["a"].forwards[0].public == "192.0.2.4"
    assert given["wiki"].routes[0].public == "192.0.2.5"
    # A memory that would cost an address somebody needs is given up.
    small = make_fleet(vms, pool=("192.0.2.4",))
    given = plan_addresses(small, homes, {}, shared=shared).given
    assert len(given) == 3


def test_a_range_never_gives_the_gateway_away(make_fleet: MakeFleet) -> None:
    fleet = make_fleet({"a": {"ipv4": "dedicated"}}, pool=("192.0.2.1-192.0.2.2",))
    plan = plan_addresses(fleet, {"a": "here"}, {})
    assert plan.given["a"].public_ipv4 == "192.0.2.2/28"


def test_a_full_private_network_is_a_shortage(make_fleet: MakeFleet) -> None:
    vms: dict[str, dict[str, Any]] = {f"vm{n}": {"priority": n} for n in range(6)}
    fleet = make_fleet(vms, private="10.1.128.0/28")
    plan = plan_addresses(fleet, dict.fromkeys(vms, "here"), {})
    assert set(plan.given) == {"vm5", "vm4", "vm3", "vm2"}
    assert "10.1.128.0/28 has no free address left" in plan.shortages[0].vms["vm0"]


# ── Laws ─────────────────────────────────────────────────────────────────────────────────────

PORTS = [(22, "tcp"), (53, "udp"), (80, "tcp"), (443, "tcp")]


@st.composite
def wishes(draw: st.DrawFn) -> tuple[dict[str, dict[str, Any]], dict[str, str], dict[str, Any]]:
    """(VMs, homes, settings of the site)."""
    vms: dict[str, dict[str, Any]] = {}
    for number in range(draw(st.integers(0, 10))):
        vm = f"vm{number}"
        treatment = draw(st.sampled_from(["dedicated", "nat", "proxy", "ipv6"]))
        ports = draw(st.lists(st.sampled_from(PORTS), unique=True, max_size=3))
        name = f"{draw(st.sampled_from([vm, 'shared']))}.example.org"
        vms[vm] = {
            "ipv4": treatment,
            "priority": draw(st.integers(0, 3)),
            "serves": [
                {"port": port, "protocol": protocol}
                | ({"name": name} if protocol == "tcp" and draw(st.integers(0, 5)) else {})
                for port, protocol in ports
            ],
        }
    homes = {vm: draw(st.sampled_from(["here", "near", "far"])) for vm in vms}
    site = {
        "pool": draw(st.sampled_from([(), ("192.0.2.2",), ("192.0.2.2-192.0.2.5",)])),
        "private": draw(st.sampled_from(["10.1.128.0/24", "10.1.128.0/28"])),
        "ipv6": draw(st.sampled_from([None, "2001:db8:1::/48", "2001:db8:1::/64"])),
    }
    return vms, homes, site


quick = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(wishes())
@quick
def test_every_vm_gets_its_treatment_or_is_named(make_fleet: MakeFleet, case: Any) -> None:
    vms, homes, site = case
    fleet = make_fleet(vms, **site)
    plan = plan_addresses(fleet, homes, {})
    without = {vm for shortage in plan.shortages for vm in shortage.vms}
    assert set(plan.given) | without == set(vms)
    assert not set(plan.given) & without
    for vm, has in plan.given.items():
        _has_its_treatment(fleet, vm, has)


def _has_its_treatment(fleet: Inventory, vm: str, has: Addressing) -> None:
    wanted = fleet.vms[vm]
    assert has.treatment == wanted.ipv4
    assert (has.public_ipv4 is not None) == (wanted.ipv4 == "dedicated")
    if wanted.ipv4 == "nat":
        assert {(f.protocol, f.port) for f in has.forwards} == {
            (s.protocol, s.port) for s in wanted.serves
        }
        assert len({f.public for f in has.forwards}) <= 1
    else:
        assert has.forwards == ()
    if wanted.ipv4 == "proxy":
        assert {(r.name, r.port) for r in has.routes} == {(s.name, s.port) for s in wanted.serves}
    else:
        assert has.routes == ()
    if wanted.ipv4 == "ipv6":
        assert has.ipv6 is not None


@given(wishes())
@quick
def test_no_address_twice_and_no_port_twice(make_fleet: MakeFleet, case: Any) -> None:
    vms, homes, site = case
    fleet = make_fleet(vms, **site)
    given_to = plan_addresses(fleet, homes, {}).given.values()
    own = [bare(has.public_ipv4) for has in given_to if has.public_ipv4]
    shared = {f.public for has in given_to for f in has.forwards} | {
        r.public for has in given_to for r in has.routes
    }
    addresses = own + [bare(has.private_ipv4) for has in given_to]
    addresses += [bare(has.ipv6) for has in given_to if has.ipv6]
    assert len(addresses) == len(set(addresses))
    assert not shared & set(addresses)
    forwards = [(f.public, f.protocol, f.port) for has in given_to for f in has.forwards]
    assert len(forwards) == len(set(forwards))
    doors = {(r.public, "tcp", r.port) for has in given_to for r in has.routes}
    assert not doors & set(forwards)
    names = [(r.public, r.port, r.name) for has in given_to for r in has.routes]
    assert len(names) == len(set(names))


@given(wishes())
@quick
def test_planned_again_nothing_moves(make_fleet: MakeFleet, case: Any) -> None:
    vms, homes, site = case
    fleet = make_fleet(vms, **site)
    first = plan_addresses(fleet, homes, {})
    assert plan_addresses(fleet, homes, {}) == first
    homes = {vm: homes[vm] for vm in first.given}
    again = plan_addresses(fleet, homes, configured(first))
    assert again.given == first.given
    assert again.shortages == ()


@given(wishes(), st.data())
@quick
def test_who_has_an_address_keeps_it_when_others_come_and_go(
    make_fleet: MakeFleet, case: Any, data: st.DataObject
) -> None:
    vms, homes, site = case
    fleet = make_fleet(vms, **site)
    some = {vm: homes[vm] for vm in sorted(vms) if data.draw(st.booleans())}
    first = plan_addresses(fleet, some, {})
    later = plan_addresses(fleet, homes, configured(first))
    for vm, before in first.given.items():
        after = later.given[vm]
        assert (after.private_ipv4, after.public_ipv4, after.ipv6) == (
            before.private_ipv4,
            before.public_ipv4,
            before.ipv6,
        )


@given(wishes())
@quick
def test_the_budget_agrees_with_the_plan(make_fleet: MakeFleet, case: Any) -> None:
    vms, homes, site = case
    fleet = make_fleet(vms, **(site | {"private": "10.1.128.0/24"}))
    plan = plan_addresses(fleet, homes, {})
    served = {vm: homes[vm] for vm in plan.given}
    for name in fleet.sites:
        counted = budget(fleet, name, served)
        assert counted.free >= 0
        mine = [plan.given[vm] for vm in served if fleet.site_of(served[vm]) == name]
        shared = {f.public for has in mine for f in has.forwards}
        shared |= {r.public for has in mine for r in has.routes}
        assert counted.dedicated == sum(has.public_ipv4 is not None for has in mine)
        assert len(shared) <= counted.shared
        if all(plan.given[vm].forwards or plan.given[vm].routes for vm in served):
            assert len(shared) == counted.shared
