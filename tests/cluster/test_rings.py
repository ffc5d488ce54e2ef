"""corosync's links change while it runs: what is written, and what becomes of it."""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metal.cluster.rings import RingPorts, change_rings
from metal.drivers.commands import Result
from metal.drivers.proxmox import networks
from metal.drivers.proxmox.corosync import RingShell
from metal.lab.proxmox.shell import Shell
from metal.model.life import Status
from metal.model.plan import Risk, SetRings
from metal.network.engines.corosync import changed, parse, render, rings_of
from metal.operations.run import Outcome, perform
from metal.operations.store import Store, open_store

NODES = ("alba1", "alba2", "alba3")
REAL = """\
logging {
  debug: off
  to_syslog: yes
}

nodelist {
  node {
    name: alba1
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 10.1.1.11
  }
  node {
    name: alba2
    nodeid: 2
    quorum_votes: 1
    ring0_addr: 10.1.1.12
  }
}

quorum {
  provider: corosync_votequorum
}

totem {
  cluster_name: alba
  config_version: 2
  interface {
    linknumber: 0
  }
  ip_version: ipv4-6
  link_mode: passive
  secauth: on
  version: 2
}

"""
"""As Proxmox VE writes it."""


def test_a_link_is_added_and_preferred() -> None:
    wanted = {"alba1": ("10.8.0.1", "10.1.1.11"), "alba2": ("10.8.0.2", "10.1.1.12")}
    (text,) = changed(REAL, wanted)
    assert rings_of(parse(text))["alba2"] == {0: "10.1.1.12", 1: "10.8.0.2"}
    assert "config_version: 3" in text
    first, second = parse(text).sections("totem")[0].sections("interface")
    assert (first.get("knet_link_priority"), second.get("knet_link_priority")) == ("1", "2")


def test_what_nobody_changes_is_written_as_proxmox_has_it() -> None:
    assert render(parse(REAL)).split() == REAL.split()


ADDRESSES = st.lists(st.integers(1, 6), min_size=1, max_size=4, unique=True)


@given(ADDRESSES, ADDRESSES)
def test_a_link_that_works_is_there_all_the_while(before: list[int], after: list[int]) -> None:
    """From any links to any others: an address never changes in place, versions grow by one, and
    from each text to the next a link stays as it is."""
    text = REAL
    for host in (11, 12):
        lines = "".join(f"    ring{n}_addr: 10.{net}.1.{host}\n" for n, net in enumerate(before))
        text = text.replace(f"    ring0_addr: 10.1.1.{host}\n", lines, 1)
    wanted = {
        node: [f"10.{net}.1.{host}" for net in after]
        for node, host in (("alba1", 11), ("alba2", 12))
    }
    texts = [text, *changed(text, wanted)]
    for one, next_ in pairwise(texts):
        old, new = rings_of(parse(one))["alba1"], rings_of(parse(next_))["alba1"]
        both = old.keys() & new.keys()
        assert both and all(old[n] == new[n] for n in both)
        versions = [int(parse(t).sections("totem")[0].get("config_version")) for t in (one, next_)]
        assert versions[1] == versions[0] + 1
    assert set(rings_of(parse(texts[-1]))["alba2"].values()) == set(wanted["alba2"])
    assert changed(texts[-1], wanted) == []


CFGTOOL = """\
Local node ID 1, transport knet
nodeid: 2 reachable
   LINK: 0 udp (10.1.1.11->10.1.1.12) enabled connected mtu: 1397
@
"""


class Told:
    """A node whose corosync tells this."""

    where = "alba1"

    def __init__(self, more: str = "") -> None:
        self._told = CFGTOOL.replace("@", more)

    def run(self, argv: Any, *, stdin: bytes = b"", timeout: float = 60) -> Result:
        assert argv == ("corosync-cfgtool", "-n")
        return Result(0, self._told.encode(), "")


def test_a_link_counts_once_corosync_has_it_and_it_gets_through() -> None:
    """Before it was told to read its file again it has the old links, and all of them get through:
    that proves nothing."""
    (text,) = changed(
        REAL, {"alba1": ("10.8.0.1", "10.1.1.11"), "alba2": ("10.8.0.2", "10.1.1.12")}
    )
    line = "   LINK: 1 udp (10.8.0.1->10.8.0.2) enabled {} mtu: 0"
    assert RingShell(Told()).lost_links(text) == ("10.8.0.1->10.8.0.2",)
    assert RingShell(Told(line.format("disconnected"))).lost_links(text) == ("10.8.0.1->10.8.0.2",)
    assert RingShell(Told(line.format("connected"))).lost_links(text) == ()
    assert RingShell(Told()).lost_links(REAL) == ()
    still = RingShell(Told(line.format("connected"))).lost_links(REAL)
    assert still == ("10.8.0.1->10.8.0.2",)


# ── on the double ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store("sqlite", tmp_path / "state") as opened:
        yield opened


def wanted(lab: Any, *nets: int) -> dict[str, tuple[str, ...]]:
    return {
        name: (*(f"10.{net}.0.{number}" for net in nets), lab.access[name].address)
        for number, name in enumerate(NODES, 1)
    }


def change(
    lab: Any, store: Store, rings: dict[str, tuple[str, ...]], *, seconds: float = 60
) -> Outcome:
    driver = lab.driver()
    action = SetRings(cluster="alba", rings=rings, what="a", why="b", risk=Risk.DISRUPTS)
    ports = RingPorts(
        shell=lambda server: RingShell(Shell(lab.datacenter, server)),
        doubts=lambda: driver.condition().doubts(),
        every=0.05,
        trial=300 * seconds,  # at the pace of this lab
        monotonic=lambda: 300 * time.monotonic(),
    )
    operation = store.journal.open("rings", action.id, ["cluster alba"], {})
    return perform(store, operation, lambda run: change_rings(run, action, ports))


def seen(lab: Any) -> dict[str, tuple[str, ...]]:
    rings: dict[str, tuple[str, ...]] = networks.rings(lab.driver()._api)
    return rings


def test_a_ring_is_added_and_moved_and_removed(lab: Any, store: Store) -> None:
    lab.form()
    for nets in ((8,), (9,), ()):
        outcome = change(lab, store, wanted(lab, *nets))
        assert (outcome.error, outcome.status) == ("", Status.DONE)
        rings = wanted(lab, *nets)
        assert {n: set(at) for n, at in seen(lab).items()} == {n: set(rings[n]) for n in NODES}


def test_a_ring_that_does_not_get_through_is_taken_back(lab: Any, store: Store) -> None:
    lab.form()
    before = seen(lab)
    lab.datacenter.unreached = {"10.8.0.2"}
    outcome = change(lab, store, wanted(lab, 8), seconds=3)
    assert outcome.status is Status.FAILED
    assert "taken the old one back" in outcome.error
    assert seen(lab) == before
    with lab.datacenter.present() as nodes:
        assert not any(nodes[name].trials.files for name in NODES)
    lab.datacenter.unreached = set()
    assert change(lab, store, wanted(lab, 8)).status is Status.DONE


def test_links_are_not_touched_while_a_node_is_down(lab: Any, store: Store) -> None:
    lab.form()
    lab.datacenter.power_off("alba3")
    assert "alba3 is offline" in change(lab, store, wanted(lab, 8)).error
