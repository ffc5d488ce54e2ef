"""The IPv6 plan: by rule, stable, and a change of prefix that loses nobody on the way."""

from collections.abc import Callable, Iterator
from ipaddress import IPv6Address, IPv6Network, ip_interface, ip_network
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metal.model.fleet import Inventory
from metal.network.addresses import AddressPlan, plan_addresses
from metal.network.engines.nftables import render_nftables
from metal.network.engines.radvd import render_radvd
from metal.network.ipv6 import (
    NETWORKS,
    network6,
    prefixes,
    reverse_zone,
    reverse_zones,
    under,
    unique_local,
)
from metal.network.renumber import OVERLAP, renumbering
from metal.network.view import View, views
from metal.network.zones import TTL, zones

MakeFleet = Callable[..., Inventory]
OLD, NEW = "2001:db8:1::/48", "2001:db8:77::/56"
quick = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
names = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
lengths = st.sampled_from([44, 47, 48, 50, 56, 57, 60, 63, 64])


def with_subnets(fleet: Inventory, **subnets: str | None) -> Inventory:
    """Site `one` with other prefixes."""
    data = fleet.model_dump(mode="json")
    data["sites"]["one"]["subnets"] |= subnets
    return Inventory.model_validate(data)


def seen(fleet: Inventory, has: dict[str, tuple[str, ...]] | None = None) -> View:
    homes = dict.fromkeys(fleet.vms, "here")
    return views(fleet, homes, plan_addresses(fleet, homes, has or {}))["one"]


def ids(view: View, prefix: int = 0) -> dict[str, int]:
    """VM → its interface id."""
    return {vm: int(view.addresses6(vm)[prefix]) & (1 << 64) - 1 for vm in view.vms}


# ── By rule ──────────────────────────────────────────────────────────────────────────────────


@given(lengths)
@quick
def test_networks_of_a_site_are_its_own_and_none_is_another(
    make_fleet: MakeFleet, length: int
) -> None:
    prefix = ip_network(f"2001:db8::/{length}")
    fleet = with_subnets(make_fleet({}), ipv6=str(prefix))
    found = {kind: network6(fleet, "one", kind) for kind in NETWORKS}
    assert found["vms"] is not None
    given_out = [n for n in found.values() if n is not None]
    assert all(n.subnet_of(prefix) and n.prefixlen == 64 for n in given_out)  # type: ignore[arg-type]
    assert len(set(given_out)) == len(given_out) == min(len(NETWORKS), 1 << 64 - length)


@given(names, names, names)
@quick
def test_a_site_without_a_prefix_has_one_of_its_own(fleet: str, one: str, two: str) -> None:
    prefix = unique_local(fleet, one)
    assert prefix == unique_local(fleet, one)
    assert prefix.prefixlen == 48
    assert prefix.subnet_of(IPv6Network("fd00::/8"))
    assert (one == two) == (prefix == unique_local(fleet, two))


def test_vms_of_a_site_without_ipv6_have_unique_local_addresses(make_fleet: MakeFleet) -> None:
    fleet = make_fleet({"db": {}, "web": {"serves": [{"port": 80}]}}, ipv6=None)
    homes = dict.fromkeys(fleet.vms, "here")
    plan = plan_addresses(fleet, homes, {})
    assert IPv6Address(plan.given["db"].ipv6.split("/")[0]) in unique_local(  # type: ignore[union-attr]
        "small.example.org", "one"
    )
    assert "no IPv6 that the world could reach" in plan.shortages[0].vms["web"]
    view = views(fleet, homes, plan)["one"]
    assert not any(z.name.endswith("ip6.arpa") for z in zones({"one": view}))
    assert "oifname $uplink ip6" not in render_nftables(view)


@given(lengths, st.integers(0, (1 << 64) - 1))
@quick
def test_every_address_is_named_in_a_zone_that_is_delegated(length: int, number: int) -> None:
    prefix = IPv6Network((int(IPv6Address("2001:db8::")), length))
    address = IPv6Address(int(prefix.network_address) | number)
    zone = reverse_zone(address, prefix)
    delegated = list(reverse_zones(prefix))
    assert zone in delegated
    assert address.reverse_pointer.endswith(f".{zone}")
    assert len(delegated) == 1 << -length % 4


@given(st.sets(names, min_size=1, max_size=12), st.data())
@quick
def test_an_address_stays_when_others_come_and_go(
    make_fleet: MakeFleet, vms: set[str], data: st.DataObject
) -> None:
    before = seen(make_fleet({vm: {} for vm in sorted(vms)}))
    left = data.draw(st.sets(st.sampled_from(sorted(vms)), min_size=1))
    after = seen(make_fleet({vm: {} for vm in sorted(left)}))
    for vm in left:
        assert after.vms[vm].ipv6 == before.vms[vm].ipv6


# ── A prefix that changes ────────────────────────────────────────────────────────────────────


def stages(fleet: Inventory) -> Iterator[Inventory]:
    """The inventory as the plan's steps edit it."""
    yield with_subnets(fleet, ipv6=OLD)
    yield with_subnets(fleet, ipv6=OLD, ipv6_next=NEW)
    yield with_subnets(fleet, ipv6=NEW, ipv6_next=None, ipv6_old=OLD)
    yield with_subnets(fleet, ipv6=NEW, ipv6_old=None)


def named(view: View) -> set[str]:
    """The IPv6 addresses that names lead to."""
    (forward, *_) = zones({"one": view})
    return {r.value for r in forward.records if r.kind == "AAAA"}


def opened(view: View) -> set[str]:
    """The IPv6 addresses that the gateways let the world in to."""
    return {str(a) for vm in view.vms for a in view.addresses6(vm, routed=True)}


@given(st.sets(names, min_size=1, max_size=8), st.data())
@quick
def test_no_name_ever_leads_to_where_nobody_is(
    make_fleet: MakeFleet, vms: set[str], data: st.DataObject
) -> None:
    """What names led to a stage ago (they are remembered) is still open at this one."""
    dns = {"serves": [{"port": 53, "protocol": "udp"}]}
    fleet = make_fleet(dict.fromkeys(sorted(vms), dns))
    has: dict[str, tuple[str, ...]] = {}
    last: View | None = None
    for stage in stages(fleet):
        view = seen(stage, has)
        assert named(view) <= opened(view)
        addresses = [a for vm in view.vms for a in view.addresses6(vm)]
        assert len(addresses) == len(set(addresses))
        if last is not None:
            assert ids(view) == ids(last), "only the first half of an address changes"
            if renumbering(view, has):
                assert named(last) <= opened(view)
        # People give the VMs their addresses one by one, and not all of them in time.
        done = data.draw(st.sets(st.sampled_from(sorted(vms))))
        has |= {vm: tuple(f"{a}/64" for a in view.addresses6(vm)) for vm in done}
        last = view
    assert last is not None
    assert {p.network for p in last.prefixes} == {IPv6Network(NEW)}
    assert named(last) == opened(last)


def test_an_address_made_by_hand_keeps_its_second_half(make_fleet: MakeFleet) -> None:
    fleet = make_fleet({"mail": {}})
    after = with_subnets(fleet, ipv6=NEW, ipv6_old=OLD)
    view = seen(after, {"mail": ("2001:db8:1::5:25/64",)})
    assert view.vms["mail"].ipv6 == "2001:db8:77::5:25/64"


def test_both_prefixes_are_carried_and_one_is_preferred(make_fleet: MakeFleet) -> None:
    fleet = with_subnets(make_fleet({"web": {"serves": [{"port": 80}]}}), ipv6_next=NEW)
    view = seen(fleet)
    one, two = view.addresses6("web")
    assert (one in ip_network(OLD), two in ip_network(NEW)) == (True, True)
    assert under(one, IPv6Network("2001:db8:77::/64")) == two
    assert f"ip6 daddr {{ {one}, {two} }} tcp dport 80 accept" in render_nftables(view)
    told = render_radvd(view)
    assert told.index("prefix 2001:db8:1::/64") < told.index("prefix 2001:db8:77::/64")
    assert told.count("AdvPreferredLifetime 0;") == 1


def test_the_plan_begins_where_the_site_stands(make_fleet: MakeFleet) -> None:
    fleet = make_fleet({"web": {}, "db": {}})
    assert renumbering(seen(fleet), {}) is None
    begun = seen(with_subnets(fleet, ipv6_next=NEW))
    has = {"web": tuple(f"{a}/64" for a in begun.addresses6("web"))}
    plan = renumbering(begun, has)
    assert plan is not None
    assert (plan.old, plan.new) == (OLD, NEW)
    second = plan.steps[2]
    assert second.how == (f"db: {begun.addresses6('db')[1]}/64",)
    assert max(step.wait for step in plan.steps) >= max(TTL, OVERLAP)
    half = seen(with_subnets(fleet, ipv6=NEW, ipv6_old=OLD))
    rest = renumbering(half, has)
    assert rest is not None
    assert (rest.old, rest.new) == (OLD, NEW)
    assert len(rest.steps) < len(plan.steps)
    assert rest.steps[-1].how == (f"web: {begun.addresses6('web')[0]}/64",)


@pytest.mark.parametrize(("use", "subnet"), [("next", "ipv6_next"), ("old", "ipv6_old")])
def test_gateways_and_their_addresses_are_never_a_vms(
    make_fleet: MakeFleet, use: str, subnet: str
) -> None:
    fleet = with_subnets(make_fleet({"a": {}}), **{subnet: NEW})
    assert [p.use for p in prefixes(fleet, "one")] == ["current", use]
    plan: AddressPlan = plan_addresses(fleet, {"a": "here"}, {"a": ("2001:db8:1::1/64",)})
    has: Any = plan.given["a"].ipv6
    assert ip_interface(has).ip != ip_interface("2001:db8:1::1/64").ip
