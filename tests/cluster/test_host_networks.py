"""Hosts get their network, and what the cluster makes of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metal.cluster.flow import form
from metal.cluster.host_networks import NetworkPorts, give_networks
from metal.cluster.ports import ClusterPorts
from metal.controller.hosting import ceph_networks, rings
from metal.drivers.proxmox.network_trial import NetworkShell
from metal.inventory import load
from metal.inventory.defaults import defaults
from metal.lab.proxmox.debian import INTERFACES
from metal.lab.proxmox.shell import Shell
from metal.model.errors import Refused
from metal.model.life import Status
from metal.model.links import Link
from metal.model.plan import FormCluster, Osd, Risk
from metal.operations.run import Outcome, perform
from metal.operations.store import Store, open_store

NODES = ("alba1", "alba2", "alba3")
BOND = {"management": Link(cards=("eno1", "eno2"), bond="active-backup")}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store("sqlite", tmp_path / "state") as opened:
        yield opened


def shell_of(lab: Any, server: str) -> NetworkShell:
    return NetworkShell(Shell(lab.datacenter, server))


def give(lab: Any, store: Store, links: Any, *, fresh: tuple[str, ...] = ()) -> Outcome:
    ports = NetworkPorts(
        shell=lambda server: shell_of(lab, server),
        links=lambda _server: links,
        address=lambda server: lab.access[server].address,
        render=lambda server, wanted: f"{server}: {sorted(wanted)} {wanted['management'].cards}\n",
        every=0.02,
        trial=20,
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
    outcome = give(lab, store, BOND)
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
