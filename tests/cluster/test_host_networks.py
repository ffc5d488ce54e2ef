"""Hosts get their network, and what the cluster makes of it."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from metal.cluster.flow import form
from metal.cluster.host_networks import NetworkPorts, change_network, give_networks
from metal.cluster.networks import left_networks, plan_networks, plan_rings, wanted_ports
from metal.cluster.ports import ClusterPorts
from metal.controller.hosting import ceph_networks, rings
from metal.drivers.proxmox import Known
from metal.drivers.proxmox.network_trial import NetworkShell
from metal.drivers.proxmox.networks import _port, seen
from metal.inventory import load
from metal.inventory.defaults import defaults
from metal.lab.proxmox import interfaces
from metal.lab.proxmox.debian import INTERFACES
from metal.lab.proxmox.shell import Shell
from metal.model.errors import Refused
from metal.model.life import Life, Status
from metal.model.links import Link, Place, Port, Role, differences
from metal.model.plan import FormCluster, Osd, Risk, SetNetwork
from metal.model.world import SeenCluster, SeenServer, World
from metal.network.engines.hosts import host_ports, render_host_interfaces
from metal.operations.run import Outcome, perform
from metal.operations.store import Store, open_store

MANAGEMENT = {"address": "10.11.1.11/24", "gateway": "10.11.1.1"}
NODES = ("alba1", "alba2", "alba3")
HOSTS: dict[str, dict[Role, Place]] = {
    name: {role: Place.model_validate(place) for role, place in roles.items()}  # type: ignore[misc]
    for name, roles in {
        "one-card": {"management": MANAGEMENT | {"link": {"cards": ["eno1"]}}},
        "bonds": {
            "management": MANAGEMENT
            | {"link": {"cards": ["eno1", "eno2"], "bond": "active-backup"}},
            "ceph": {
                "link": {"cards": ["ens1f0", "ens1f1"], "bond": "802.3ad", "mtu": 9000},
                "address": "10.11.9.11/24",
            },
            "corosync": {"link": {"cards": ["eno3"]}, "address": "10.11.8.11/24"},
        },
        "tagged": {
            "management": {
                "link": {"cards": ["eno1", "eno2"], "bond": "802.3ad", "vlan": 30},
                "address": "2001:db8:1::11/64",
                "gateway": "2001:db8:1::1",
            },
            "corosync": {"link": {"cards": ["eno3"], "vlan": 32}, "address": "10.11.8.11/24"},
        },
    }.items()
}
BOND = {"management": Link(cards=("eno1", "eno2"), bond="active-backup")}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store("sqlite", tmp_path / "state") as opened:
        yield opened


def shell_of(lab: Any, server: str) -> NetworkShell:
    return NetworkShell(Shell(lab.datacenter, server))


def give(
    lab: Any, store: Store, links: Any, *, fresh: tuple[str, ...] = (), seconds: float = 60
) -> Outcome:
    ports = NetworkPorts(
        shell=lambda server: shell_of(lab, server),
        links=lambda _server: links,
        address=lambda server: lab.access[server].address,
        render=lambda server, wanted: f"{server}: {sorted(wanted)} {wanted['management'].cards}\n",
        every=0.02,
        trial=300 * seconds,  # at the pace of this lab
    )
    operation = store.journal.open("form", "alba", ["cluster alba"], {})
    return perform(store, operation, lambda run: give_networks(run, NODES, fresh, ports))


def test_each_is_tried_and_kept(lab: Any, store: Store) -> None:
    assert give(lab, store, BOND).status is Status.DONE
    assert lab.events("network tried") == list(NODES)
    assert not lab.events("network taken back")
    assert give(lab, store, BOND).status is Status.DONE
    assert lab.events("network tried") == list(NODES), "what is as it should be is not touched"


def test_one_that_is_lost_takes_its_old_network_back(lab: Any, store: Store) -> None:
    """And the others are not touched."""
    with lab.datacenter.present() as nodes:
        nodes["alba1"].miswired = True
    outcome = give(lab, store, BOND, seconds=3)
    assert outcome.status is Status.FAILED
    assert "has taken the old one back" in outcome.error
    assert lab.events("network tried") == ["alba1"]
    assert lab.events("network taken back") == ["alba1"]
    with lab.datacenter.present() as nodes:
        nodes["alba1"].miswired = False  # somebody put the cable where it belongs
    assert give(lab, store, BOND).status is Status.DONE
    assert lab.events("network tried") == ["alba1", *NODES]


def test_a_card_that_is_not_there_is_told_before_anything_changes(lab: Any, store: Store) -> None:
    outcome = give(lab, store, {"management": Link(cards=("enp7s0",))})
    assert "it has no card enp7s0" in outcome.error
    assert not lab.events("network tried")
    with pytest.raises(Refused):
        shell_of(lab, "alba1").try_network("text", ["enp7s0"], 5)


def test_a_fresh_host_gets_the_bridge_on_the_card_it_is_reached_by(lab: Any, store: Store) -> None:
    assert give(lab, store, {}, fresh=("alba2",)).status is Status.DONE
    with lab.datacenter.present() as nodes:
        texts = {name: nodes[name].trials.files.get(INTERFACES, "") for name in NODES}
    assert texts == {"alba1": "", "alba2": "alba2: ['management'] ('eno1',)\n", "alba3": ""}


# ── the cluster ─────────────────────────────────────────────────────────────────────────────────


def test_corosync_and_ceph_go_where_the_cards_are(lab: Any, store: Store) -> None:
    action = FormCluster(
        cluster="alba",
        servers=NODES,
        ceph=True,
        osds=tuple(Osd(server=server, device="sdb") for server in NODES),
        what="a",
        why="b",
        risk=Risk.SAFE,
    )
    ports = ClusterPorts(
        hypervisor=lab.driver(),
        network="10.9.0.0/24",
        replication="10.7.0.0/24",
        rings={name: (f"10.8.0.{n}", lab.access[name].address) for n, name in enumerate(NODES, 1)},
        every=0.02,
    )
    operation = store.journal.open("form", "alba", ["cluster alba"], {})
    outcome = perform(store, operation, lambda run: form(run, action, ports))
    assert (outcome.error, outcome.status) == ("", Status.DONE)
    with lab.datacenter.present() as nodes:
        cluster = nodes["alba1"].cluster
        assert cluster.rings["alba3"] == {"0": "10.8.0.3", "1": lab.access["alba3"].address}
        settings = cluster.ceph.settings
    assert (settings["network"], settings["cluster-network"]) == ("10.9.0.0/24", "10.7.0.0/24")


def test_a_join_without_all_links_is_refused_by_the_double(lab: Any) -> None:
    driver = lab.driver()
    driver.ensure_created("alba", "alba1", ("10.8.0.1", lab.access["alba1"].address))
    with pytest.raises(Exception, match="link 1"):
        driver.ensure_joined("alba2", "alba1", ("10.8.0.2",))


def test_the_inventory_says_which_networks() -> None:
    inventory = load(defaults())
    assert rings(inventory, "alba") == {}
    assert ceph_networks(inventory, "alba") == ("10.11.1.0/24", "")
    lisbon = inventory.sites["lisbon"]
    subnets = {"ceph": "10.11.9.0/24", "replication": "10.11.7.0/24", "corosync": "10.11.8.0/24"}
    text = (defaults() / "inventory.toml").read_text()
    text = text.replace(
        'management = "10.11.1.0/24"',
        "\n".join(['management = "10.11.1.0/24"', *(f'{k} = "{v}"' for k, v in subnets.items())]),
    )
    cards = {"management": "eno1", "ceph": "ens1f0", "replication": "ens1f1", "corosync": "eno2"}
    links = "\n".join(f'links.{role} = {{ cards = ["{card}"] }}' for role, card in cards.items())
    for server in lisbon_servers(inventory):
        text = text.replace(f"[servers.{server}]\n", f"[servers.{server}]\n{links}\n")
    inventory = load(defaults(), text)
    assert lisbon.subnets.ceph is None
    assert rings(inventory, "alba")["alba2"] == ("10.11.8.12", "10.11.1.12")
    assert ceph_networks(inventory, "alba") == ("10.11.9.0/24", "10.11.7.0/24")
    places = inventory.places("alba2", inventory.links("alba2"))
    assert str(places["management"].gateway) == "10.11.1.1"
    assert str(places["replication"].address) == "10.11.7.12/24"


def lisbon_servers(inventory: Any) -> list[str]:
    return [name for name, server in inventory.servers.items() if server.site == "lisbon"]


# ── of a cluster that is formed ─────────────────────────────────────────────────────────────────


def test_two_networks_that_are_alike_have_no_differences() -> None:
    """What Proxmox tells of a rendered file is what was meant, whatever the links are."""
    for places in HOSTS.values():
        text = render_host_interfaces("alba1", places)
        seen = [_port(row) for row in interfaces.rows(text)]
        wanted = [port for ports in host_ports(places).values() for port in ports]
        assert differences(seen, wanted) == ()


def lab_seconds() -> float:
    """At the pace of the double."""
    return 300 * time.monotonic()


class Cluster:
    """Three members of a cluster that is formed, each with the network that the inventory says."""

    def __init__(self, lab: Any, store: Store, inventory: Any) -> None:
        self.lab, self.store, self.inventory = lab, store, inventory
        self.driver = lab.form()
        for name in NODES:
            shell_of(lab, name).try_network(self.rendered(name), (), 9000)
            shell_of(lab, name).keep_network(self.rendered(name))
        self.tried: list[str] = lab.events("network tried")
        self.lost, self.noticed, self.seconds = False, 0.0, 60.0
        """Its new network leads to it, and not to its cluster."""

    def rendered(self, name: str) -> str:
        return render_host_interfaces(name, self.inventory.places(name, self.inventory.links(name)))

    def plan(self) -> list[SetNetwork]:
        known = Known(linked=frozenset(NODES))
        seen = self.lab.driver(cluster="alba", known=known).look()[0]
        member = SeenServer(life=Life.MEMBER, node="online")
        world = World(servers=dict.fromkeys(NODES, member), clusters={"alba": seen})
        return plan_networks(self.inventory, world)

    def doubts(self) -> tuple[str, ...]:
        tried = self.lab.events("network tried") != self.tried
        lost = self.lost and tried and lab_seconds() > self.noticed
        return ("alba1 is offline",) if lost else self.driver.condition().doubts()

    def change(self, action: SetNetwork) -> Outcome:
        ports = NetworkPorts(
            shell=lambda server: shell_of(self.lab, server),
            links=self.inventory.links,
            address=lambda server: str(self.inventory.servers[server].address),
            render=lambda server, _links: self.rendered(server),
            doubts=self.doubts,
            settle=300,
            monotonic=lab_seconds,
            every=0.02,
            trial=300 * self.seconds,  # at the pace of this lab
        )
        operation = self.store.journal.open("network", action.id, ["cluster alba"], {})
        return perform(self.store, operation, lambda run: change_network(run, action, ports))


@pytest.fixture
def formed(lab: Any, store: Store) -> Cluster:
    return Cluster(lab, store, with_links("eno1", "eno3"))


def with_links(management: str, corosync: str) -> Any:
    text = (defaults() / "inventory.toml").read_text()
    text = text.replace(
        'management = "10.11.1.0/24"',
        'management = "10.11.1.0/24"\ncorosync = "10.11.8.0/24"',
    )
    links = (
        f'links.management = {{ cards = ["{management}"] }}\n'
        f'links.corosync = {{ cards = ["{corosync}"] }}'
    )
    for server in NODES:
        text = text.replace(f"[servers.{server}]\n", f"[servers.{server}]\n{links}\n")
    return load(defaults(), text)


def test_a_formed_host_as_the_inventory_says_is_left_alone(formed: Cluster) -> None:
    assert formed.plan() == []


def test_changed_links_are_planned_one_host_after_the_other(formed: Cluster) -> None:
    formed.inventory = with_links("eno2", "eno3")
    actions = formed.plan()
    assert [a.id for a in actions] == [f"network:{name}" for name in NODES]
    assert [a.needs for a in actions] == [(), ("network:alba1",), ("network:alba2",)]
    assert "vmbr0 (on eno1, 10.11.1.11/24" in actions[0].why
    for action in actions:
        assert formed.change(action).status is Status.DONE
    assert formed.plan() == []


def test_links_that_are_gone_are_told_and_change_nothing() -> None:
    inventory = load(defaults())
    member = SeenServer(life=Life.MEMBER, node="online")
    bridge = Port(name="vmbr0", kind="bridge", on=("eno1",), address="10.11.1.11/24")
    ports = {
        "alba1": wanted_ports(with_links("eno1", "eno3"), "alba1"),
        "alba2": (bridge, Port(name="eno1", kind="eth")),
    }
    seen = SeenCluster(formed=True, quorate=True, nodes=NODES, networks=ports)
    world = World(servers=dict.fromkeys(NODES, member), clusters={"alba": seen})
    assert plan_networks(inventory, world) == []
    (told,) = left_networks(inventory, world)
    assert told.startswith("alba1 has no `links` in inventory.toml any more, and keeps")
    assert [*left_networks(with_links("eno1", "eno3"), world)] == []


def test_changed_links_of_corosync_are_planned_after_the_hosts_networks() -> None:
    inventory = with_links("eno2", "eno3")
    ports = {name: wanted_ports(with_links("eno1", "eno3"), name) for name in NODES}
    alone = {name: (f"10.11.1.1{n}",) for n, name in enumerate(NODES, 1)}
    member = SeenServer(life=Life.MEMBER, node="online")
    seen = SeenCluster(formed=True, quorate=True, nodes=NODES, networks=ports, rings=alone)
    world = World(servers=dict.fromkeys(NODES, member), clusters={"alba": seen})
    networks = plan_networks(inventory, world)
    (action,) = plan_rings(inventory, world, (), networks)
    assert action.rings["alba2"] == ("10.11.8.12", "10.11.1.12")
    assert action.needs == tuple(f"network:{name}" for name in NODES)
    done = seen.model_copy(update={"rings": {n: at[::-1] for n, at in action.rings.items()}})
    assert plan_rings(inventory, World(clusters={"alba": done}), (), ()) == []


def test_a_host_that_is_lost_by_its_new_network_takes_the_old_one_back(formed: Cluster) -> None:
    formed.inventory = with_links("eno2", "eno3")
    with formed.lab.datacenter.present() as nodes:
        nodes["alba1"].miswired = True
    formed.seconds = 3
    outcome = formed.change(formed.plan()[0])
    assert outcome.status is Status.FAILED
    assert "taken the old one back" in outcome.error
    assert formed.lab.events("network taken back") == ["alba1"]
    assert [a.server for a in formed.plan()] == list(NODES)


def test_no_host_is_touched_while_another_is_not_well(formed: Cluster) -> None:
    formed.inventory = with_links("eno2", "eno3")
    first, *_ = formed.plan()
    formed.lab.datacenter.power_off("alba3")
    outcome = formed.change(first)
    assert "alba3 is offline" in outcome.error
    assert formed.lab.events("network tried") == formed.tried


@pytest.mark.parametrize("unnoticed", [0, 240])
def test_a_host_that_is_reached_and_lost_to_its_cluster_is_not_kept(
    formed: Cluster, unnoticed: int
) -> None:
    """SSH gets through over its new network, and corosync does not."""
    formed.inventory = with_links("eno2", "eno3")
    action, *_ = formed.plan()
    formed.lost, formed.noticed, formed.seconds = True, lab_seconds() + unnoticed, 3
    outcome = formed.change(action)
    assert "taken the old one back" in outcome.error
    assert formed.lab.events("network taken back") == ["alba1"]
    formed.lost, formed.seconds = False, 60
    assert formed.change(action).status is Status.DONE


def test_differences_are_named() -> None:
    one = [port for ports in host_ports(HOSTS["one-card"]).values() for port in ports]
    two = [port for ports in host_ports(HOSTS["bonds"]).values() for port in ports]
    assert differences(one, two) == (
        "there is no bond0 (on eno1+eno2, active-backup)",
        "there is no bond1 (on ens1f0+ens1f1, 802.3ad, 10.11.9.11/24, mtu 9000)",
        "there is no eno3 (10.11.8.11/24)",
        "vmbr0 (on eno1, 10.11.1.11/24, by 10.11.1.1) is to be "
        "vmbr0 (on bond0, 10.11.1.11/24, by 10.11.1.1)",
    )
    assert "bond0 is there, and is not wanted" in differences(two, one)


@pytest.mark.parametrize("odd", [{"mtu": "large"}, {"iface": None}, {"cidr": "dhcp"}])
def test_a_node_whose_network_is_not_understood_is_unknown_and_breaks_no_look(
    odd: dict[str, Any],
) -> None:
    sound = {"iface": "eno1", "type": "eth", "cidr": "10.11.1.11/24", "gateway": "10.11.1.1"}
    rows = {"alba1": [sound], "alba2": [sound, sound | odd]}
    api: Any = SimpleNamespace(get=lambda path: rows[path.split("/")[1]])
    assert list(seen(api, ["alba1", "alba2"])) == ["alba1"]
