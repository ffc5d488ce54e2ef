"""The five fleets of examples/: each plans, survives and has its addresses as its text promises."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from metal.check_certificate import problems
from metal.controller.planning import plan_fleet
from metal.controller.workspace import Workspace
from metal.controller.worlds import read_world
from metal.model.fleet import Inventory
from metal.model.laws import judge
from metal.model.life import Life
from metal.model.world import SeenCluster, SeenServer, World
from metal.network.addresses import plan_addresses
from metal.network.tree import render_tree
from metal.network.view import views
from metal.schedule.after import carried_out
from metal.schedule.prove import prove
from metal.schedule.withdraw import relocate

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@dataclass(frozen=True)
class Figures:
    servers: int
    clusters: int
    vms: int
    addresses: int
    """Public IPv4 ones that its VMs are reached by."""
    restarts: int
    """Servers whose death is survived by restarting their VMs elsewhere."""
    waiting: tuple[str, ...] = ()
    """VMs that a single server's death takes away until it is back."""


FIGURES = {
    "charity": Figures(servers=10, clusters=4, vms=43, addresses=12, restarts=9),
    "fediverse": Figures(servers=4, clusters=1, vms=16, addresses=3, restarts=4),
    "two-machines": Figures(
        servers=2,
        clusters=2,
        vms=10,
        addresses=1,
        restarts=0,
        waiting=(
            *("backup", "monitor", "staging-blog", "staging-cloud", "staging-git", "staging-mail"),
            *("blog", "cloud", "git", "mail"),
        ),
    ),
    "mesh": Figures(servers=5, clusters=5, vms=8, addresses=5, restarts=0, waiting=("watcher",)),
    "leaving": Figures(
        servers=4,
        clusters=2,
        vms=5,
        addresses=0,
        restarts=3,
        waiting=("kube1", "kube2", "kube3", "kube4", "services"),
    ),
}


@cache
def fleet(name: str) -> tuple[Inventory, World]:
    return Workspace(EXAMPLES / name).inventory, read_world(EXAMPLES / name / "running.json")


def empty(inventory: Inventory) -> World:
    """Every cluster formed, no VM made yet."""
    seen = {s: server.has_bmc for s, server in inventory.servers.items()}
    return World(
        servers={
            s: SeenServer(
                life=Life.MEMBER,
                power="on" if told else "unknown",
                health="ok" if told else "unknown",
                node="online",
            )
            for s, told in seen.items()
        },
        clusters={
            name: SeenCluster(formed=True, quorate=True, nodes=cluster.servers)
            for name, cluster in inventory.clusters.items()
        },
    )


def test_every_example_has_its_figures_here() -> None:
    assert {d.name for d in EXAMPLES.iterdir() if d.is_dir()} == set(FIGURES)


@pytest.mark.parametrize("name", [n for n in FIGURES if n != "leaving"])
def test_all_its_vms_find_a_place_and_the_recorded_world_is_that_plan_done(name: str) -> None:
    inventory, running = fleet(name)
    start = empty(inventory)
    plan = plan_fleet(inventory, start)
    assert plan.warnings == ()
    assert not judge(plan, inventory, start)
    assert carried_out(inventory, start, plan) == running


@pytest.mark.parametrize("name", FIGURES)
def test_its_recorded_world_is_as_its_inventory_wants_it(name: str) -> None:
    inventory, running = fleet(name)
    plan = plan_fleet(inventory, running)
    assert (plan.actions, plan.warnings) == ((), ())


@pytest.mark.parametrize("name", FIGURES)
def test_its_figures(name: str) -> None:
    inventory, running = fleet(name)
    proof = prove(inventory, running)
    failures = [f for cluster in proof.clusters.values() for f in cluster.failures.values()]
    homes = {vm: at.cluster for vm, at in running.vms.items() if inventory.chosen(vm)}
    current = {vm: at.addresses for vm, at in running.vms.items()}
    given = plan_addresses(inventory, homes, current).given.values()
    own = {a.public_ipv4.partition("/")[0] for a in given if a.public_ipv4}
    assert proof.safe
    assert not list(problems(proof.model_dump(mode="json"), running.model_dump(mode="json")))
    assert FIGURES[name] == Figures(
        servers=len(inventory.servers),
        clusters=len(inventory.clusters),
        vms=len(running.vms),
        addresses=len(own | {a.shared for a in given if a.shared}),
        restarts=sum(f.verdict == "survivable" for f in failures),
        waiting=tuple(vm for f in failures for vm in f.waits if f.verdict == "alone"),
    )


@pytest.mark.parametrize(
    ("name", "site", "moved"), [("charity", "genoa", 10), ("leaving", "sponsor", 5)]
)
def test_a_site_that_is_given_up_leaves_nobody_without_a_home(
    name: str, site: str, moved: int
) -> None:
    inventory, running = fleet(name)
    assert inventory.sites[site].donor.until is not None
    found = relocate(inventory, running, site)
    assert (len(found.homes), found.stranded, found.unmanaged) == (moved, (), ())


def test_every_place_of_the_mesh_sends_the_web_to_its_own_ingress() -> None:
    inventory, running = fleet("mesh")
    homes = {vm: at.cluster for vm, at in running.vms.items()}
    addresses = plan_addresses(inventory, homes, {})
    tree = render_tree(views(inventory, homes, addresses, dict.fromkeys(homes, 100)))
    for site, place in inventory.sites.items():
        rules = tree.files[f"{site}/gateway1/etc/nftables.conf"].text
        ingress = place.subnets.metallb[0].partition("-")[0]
        for port in (80, 443):
            public = place.ipv4_pool[0]
            assert f"ip daddr {public} tcp dport {port} dnat to {ingress} " in rules
            assert f"ip daddr {ingress} tcp dport {port} ct status dnat accept" in rules
        assert ingress in tree.files[f"{site}/metallb.yaml"].text
