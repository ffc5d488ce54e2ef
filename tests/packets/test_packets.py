"""Packets, not promises: what was rendered runs, and everybody is called.

Every VM answers on every port there is, so that what is not reached is the gateways' doing. In
the order of the file: the last tests take gateways away.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

import pytest

from metal.lab.wires.gateway import begin_keepalived, begin_mesh, holds, stop_keepalived, systemctl
from metal.lab.wires.machine import Machine
from metal.lab.wires.patience import until
from metal.lab.wires.promises import Call, ask, broken, promises
from metal.lab.wires.scan import open_ports
from metal.lab.wires.topology import WORLD4, WORLD6, Wires, address_of
from metal.network import nat64
from metal.network.gateways import dns64_address
from metal.network.mesh import mesh
from metal.network.sites import gateway_addresses, private_gateway
from metal.network.view import leaving

pytestmark = pytest.mark.lab
SOME = "1-1100,2222,3000-3010,4443-4500,8000-8100,9000,10000-10300,20000,51815-51825,65535"
"""Ports: the well-known ones, all that are promised, and their neighbours."""


@pytest.fixture(scope="module")
def standing(wires: Wires) -> Wires:
    """Once both sites have somebody who routes."""
    promised = promises(wires.views)
    until(lambda: broken(wires.world, promised) == [], "the promises are not kept")
    return wires


# ── From the world ───────────────────────────────────────────────────────────────────────────


def test_every_promise_is_kept(standing: Wires) -> None:
    """Over IPv4 and IPv6, and who calls is known where that is promised."""
    promised = promises(standing.views)
    assert len(promised) > 40
    assert {p.peer for p in promised} == {WORLD4, WORLD6, ""}
    assert broken(standing.world, promised) == []


def everything_shown(wires: Wires) -> list[str]:
    """Every address that a packet from the world could reach: of VMs, gateways, and of nobody."""
    found: list[str] = []
    for seen in wires.views.values():
        subnets, words = seen.site.subnets, seen.gateways
        assert subnets.public_ipv4 is not None and words.uplink_ipv6 is not None
        found += [str(a) for a in subnets.public_ipv4.hosts() if a != subnets.public_gateway]
        found += [str(a) for vm in seen.vms for a in seen.addresses6(vm)]
        found += [str(a) for p in seen.prefixes for a in gateway_addresses(p.vms)]
        found += [str(words.uplink_ipv6.ip), str(dns64_address(seen))]
    return found


def promised_ports(wires: Wires, protocol: str) -> set[tuple[str, str, int]]:
    """From the wishes alone."""
    calls = [p.call for p in promises(wires.views) if p.call.protocol == protocol]
    found = {(c.address, protocol, c.port) for c in calls}
    for seen in wires.views.values():
        for vm, has in seen.vms.items():
            for service in seen.inventory.vms[vm].serves:
                if service.last and service.protocol == protocol:
                    ends = [str(a) for a in seen.addresses6(vm)] + [has.shared or ""]
                    ports = range(service.port, service.last + 1)
                    found |= {(end, protocol, port) for end in ends for port in ports}
    return found


def test_nothing_else_is_open_over_tcp(standing: Wires) -> None:
    found = open_ports(standing.world, everything_shown(standing), SOME)
    assert found == promised_ports(standing, "tcp")


def test_not_one_port_of_all_is_open_where_most_could_be(standing: Wires) -> None:
    """All 65,535 of the shared addresses, of a VM, of a gateway and of the resolver."""
    north = standing.views["north"]
    addresses = [*map(str, north.ways_out), str(north.addresses6("db")[0])]
    addresses += [str(gateway_addresses(north.prefixes[0].vms)[0]), str(dns64_address(north))]
    expected = {p for p in promised_ports(standing, "tcp") if p[0] in addresses}
    assert open_ports(standing.world, addresses) == expected


def test_nothing_else_answers_over_udp(standing: Wires) -> None:
    found = open_ports(standing.world, everything_shown(standing), SOME, udp=True)
    assert found == promised_ports(standing, "udp")


# ── To the world ─────────────────────────────────────────────────────────────────────────────


def test_every_vm_leaves_by_the_address_it_is_known_by(standing: Wires) -> None:
    """Over IPv4, over IPv6, and over NAT64 by the very IPv4 it would have had."""
    for seen in standing.views.values():
        ways = leaving(seen)
        for vm, has in seen.vms.items():
            own = address_of(has.public_ipv4) if has.public_ipv4 else str(ways[vm][0])
            through = Call(str(nat64.PREFIX[int(IPv4Address(WORLD4))]), 9000)
            answers = ask(standing.vm(vm), [Call(WORLD4, 9000), Call(WORLD6, 9000), through])
            told = [answer["peer"] if answer else None for answer in answers]
            six = str(seen.addresses6(vm)[0])
            assert told[0] == own, vm
            assert told[1] in map(str, seen.addresses6(vm)), (vm, six)
            assert told[2] == (own if not has.public_ipv4 else str(seen.ways_out[0])), vm


def test_vms_reach_each_other_by_the_names_the_world_uses(standing: Wires) -> None:
    """Behind the same gateway too: the answer comes back the way the question went."""
    promised = promises({"north": standing.views["north"]})
    inside = [p for p in promised if ":" not in p.call.address]
    for caller in ("db", "git", "mail"):
        told = ask(standing.vm(caller), [p.call for p in inside if p.vm != caller])
        wanted = [p.vm for p in inside if p.vm != caller]
        assert [answer and answer["name"] for answer in told] == wanted, caller


def test_no_vm_reaches_a_bmc(standing: Wires) -> None:
    bmcs = [Call(f"10.{n}.0.11", 623) for n in (1, 2)]
    assert [answer["name"] for answer in ask(standing.internet, bmcs)] == ["bmcs", "bmcs"]
    mapped = [Call(str(nat64.PREFIX[int(IPv4Address(call.address))]), 623) for call in bmcs]
    for vm in ("db", "shell", "mail"):
        assert ask(standing.vm(vm), mapped) == [None, None], vm
        # What has a card of its own in the donor's network is the donor's to keep from there.
        assert vm == "mail" or ask(standing.vm(vm), bmcs) == [None, None], vm


# ── Between the sites ────────────────────────────────────────────────────────────────────────


def private_calls(wires: Wires, site: str) -> dict[str, list[Call]]:
    """VM → calls to a port that the world never sees, by both its inner addresses."""
    seen = wires.views[site]
    return {
        vm: [Call(address_of(has.private_ipv4), 5432), Call(str(seen.addresses6(vm)[0]), 5432)]
        for vm, has in seen.vms.items()
    }


@pytest.mark.parametrize("site", ["north", "south"])
def test_an_administrator_reaches_every_vm_through_the_mesh(standing: Wires, site: str) -> None:
    ana = standing.machines.all["ana"]
    begin_mesh(ana)
    (me,) = (m for m in mesh(standing.views[site].inventory) if m.name == "ana")
    for vm, calls in private_calls(standing, site).items():
        until(lambda calls=calls: all(ask(ana, calls)), f"ana does not reach {vm}")
        peers = [answer["peer"] for answer in ask(ana, calls)]
        # Whose way out is past the gateways answers them, or it would answer by that way.
        past = standing.views[site].vms[vm].public_ipv4 is not None
        four = private_gateway(standing.views[site].site) if past else me.address4
        assert peers == [str(four), str(me.address6)], vm


def test_vms_of_two_sites_reach_each_other_and_the_world_sees_none_of_it(
    standing: Wires,
) -> None:
    north, south = standing.views["north"], standing.views["south"]
    calls = private_calls(standing, "north")["db"]
    answers = ask(standing.vm("api"), calls)
    own = [address_of(south.vms["api"].private_ipv4), str(south.addresses6("api")[0])]
    assert [a and a["peer"] for a in answers] == own
    back = ask(standing.vm("db"), private_calls(standing, "south")["api"])
    own = [address_of(north.vms["db"].private_ipv4), str(north.addresses6("db")[0])]
    assert [a and a["peer"] for a in back] == own
    assert ask(standing.world, calls) == [None, None]


# ── Names and routers ────────────────────────────────────────────────────────────────────────


def dig(machine: Machine, server: object, name: str, kind: str) -> list[str]:
    words = ["dig", f"@{server}", "+short", "+tries=1", "+time=3", name, kind]
    return machine.run(*words, check=False).split()


def test_names_lead_where_the_vms_are(standing: Wires) -> None:
    """The resolver of a site, that of another through the mesh, and the donors' beyond."""
    north, south = standing.views["north"], standing.views["south"]
    db, resolver = standing.vm("db"), private_gateway(north.site)
    inner = address_of(north.vms["git"].private_ipv4)
    assert dig(db, resolver, "git.north.internal", "A") == [inner]
    assert dig(db, resolver, "git.north.internal", "AAAA") == [str(north.addresses6("git")[0])]
    assert dig(db, resolver, f"{IPv4Address(inner).reverse_pointer}", "PTR") == [
        "git.north.internal."
    ]
    there = address_of(south.vms["shop"].private_ipv4)
    until(lambda: dig(db, resolver, "shop.south.internal", "A") == [there], "no name through mesh")
    own = str(north.vms["git"].shared)
    until(lambda: dig(db, resolver, "git.wires.example.org", "A") == [own], "no name of the zone")
    assert dig(db, resolver, "mail.wires.example.org", "AAAA") == [str(north.addresses6("mail")[0])]


def test_who_lives_on_ipv6_alone_reaches_ipv4_by_name(standing: Wires) -> None:
    """A guest that heard nothing but router advertisements: DNS64 and NAT64 are all it has."""
    north, guest = standing.views["north"], standing.machines.all["north-guest"]
    address = str(north.prefixes[0].vms[0xABCDEF])
    guest.script(f"ip -6 addr replace {address}/64 dev net0 nodad")
    until(lambda: "fe80::1" in guest.run("ip", "-6", "route", "show", "default"), "no router")
    resolver = dns64_address(north)
    until(lambda: bool(dig(guest, resolver, "old.elsewhere.example", "AAAA")), "no name by DNS64")
    (translated,) = dig(guest, resolver, "old.elsewhere.example", "AAAA")
    assert translated == str(nat64.PREFIX[int(IPv4Address(WORLD4))])
    (answer,) = ask(guest, [Call(translated, 9000)])
    assert answer["peer"] == str(north.ways_out[0])
    # A VM asks the other resolver, and is not sent by a way that it does not need.
    assert (
        dig(standing.vm("db"), private_gateway(north.site), "old.elsewhere.example", "AAAA") == []
    )


# ── A gateway dies ───────────────────────────────────────────────────────────────────────────


def stop(gateway: Machine) -> None:
    stop_keepalived(gateway)


def kill(gateway: Machine) -> None:
    """As the kernel does when memory is short."""
    gateway.run("sh", "-c", "kill -KILL $(cat /run/keepalived.pid)")


def unplug(gateway: Machine) -> None:
    gateway.run("ip", "link", "set", "uplink", "down")


def cut_power(gateway: Machine) -> None:
    gateway.kill()


def test_a_dead_proxy_moves_the_site_and_dead_on_both_takes_nothing_else_away(
    standing: Wires,
) -> None:
    """Resolvers, forwards and the mesh go on where the site is, while no proxy lives at all."""
    seen = standing.views["north"]
    promised, vip = promises(standing.views), str(private_gateway(seen.site))
    until(lambda: broken(standing.world, promised) == [], "the promises are not kept before")
    (first,) = (g for g in standing.gateways["north"] if holds(g, vip))
    (second,) = (g for g in standing.gateways["north"] if g is not first)
    kill_proxy(first)
    until(lambda: holds(second, vip), "nobody takes over from a dead proxy")
    until(lambda: broken(standing.world, promised) == [], "connections stay away")
    kill_proxy(second)
    forwarded = [p for p in promised if p.call.talk == "plain"]
    assert forwarded != promised
    for _ in range(20):  # as long as a script would need to fail
        until(lambda: broken(standing.world, forwarded) == [], "forwards go with the proxy")
        assert holds(first, vip) or holds(second, vip)
    begin_proxy(first)
    until(lambda: holds(first, vip), "the site does not go to the one proxy that lives")
    begin_proxy(second)
    until(lambda: broken(standing.world, promised) == [], "connections stay away")


def kill_proxy(gateway: Machine) -> None:
    """Nothing starts it again."""
    gateway.run("sh", "-c", "kill -KILL $(pidof haproxy)")


def begin_proxy(gateway: Machine) -> None:
    systemctl(gateway, "start", "haproxy")


@pytest.mark.parametrize("death", [stop, kill, unplug, cut_power])
def test_a_gateway_dies_and_connections_come_back(
    standing: Wires, death: Callable[[Machine], None], record_property: Callable[..., None]
) -> None:
    """Everything that was promised, over both protocols, and the ways out, the mesh, the router."""
    seen, promised = standing.views["north"], promises(standing.views)
    vip = str(private_gateway(seen.site))
    until(lambda: broken(standing.world, promised) == [], "the promises are not kept before")
    pair = standing.gateways["north"]
    for gateway in pair:
        systemctl(gateway, "is-active", "keepalived")
    (first,) = (g for g in pair if holds(g, vip))
    (second,) = (g for g in pair if g is not first)
    death(first)
    taken = until(lambda: holds(second, vip), "nobody takes over")
    back = taken + until(lambda: broken(standing.world, promised) == [], "connections stay away")
    record_property("seconds until the addresses moved", round(taken, 1))
    record_property("seconds until all was reached again", round(back, 1))
    print(f"{death.__name__}: moved after {taken:.1f} s, all reached after {back:.1f} s")
    assert not holds(first, vip)
    test_every_vm_leaves_by_the_address_it_is_known_by(standing)
    ana = standing.machines.all["ana"]
    begin_mesh(ana)
    calls = private_calls(standing, "north")["db"]
    until(lambda: all(ask(ana, calls)), "the mesh does not find its new door")
    if first.alive:
        first.run("ip", "link", "set", "uplink", "up")
        if death in (stop, kill):
            begin_keepalived(first)
        # It comes back as the second of the two: nothing moves a second time.
        assert holds(second, vip)
