"""Out of darkness: orders that hold, circles that are found, and laws over made-up fleets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metal.cli.render.key_graph import graph_lines
from metal.install.cold_start import cold_start
from metal.install.key_graph import key_graph
from metal.model.fleet import Inventory

THUMBPRINT = "A" * 43
SITES = ("lisbon", "berlin", "genoa")


def fleet(servers, tang=(), vms=(), clusters=None):
    """`servers`: name → unlock; `tang`: name → home; `vms`: name → cluster or None."""
    tang, vms = dict(tang), dict(vms)
    clusters = {name: [name] for name in servers} if clusters is None else clusters
    subnets = {
        "bmc": "10.1.0.0/24",
        "management": "10.1.1.0/24",
        "gateway": "10.1.1.1",
        "private_ipv4": "10.2.0.0/16",
    }
    donor = {"name": "d", "contact": "c"}
    return Inventory.model_validate(
        {
            "fleet": {"name": "attic", "domain": "attic.example.org"},
            "administrators": {},
            "sites": {s: {"place": "p", "donor": donor, "subnets": subnets} for s in SITES},
            "servers": {
                name: {
                    "site": SITES[n % 3],
                    "rack": "r",
                    "profile": "p",
                    "address": f"10.1.1.{n + 10}",
                    "bmc": {"address": f"10.1.0.{n + 10}"},
                    "unlock": unlock,
                }
                for n, (name, unlock) in enumerate(servers.items())
            },
            "clusters": {c: {"servers": s, "ceph": len(s) > 1} for c, s in clusters.items()},
            "vms": {v: {"size": "s", "why": "w", "cluster": c} for v, c in vms.items()},
            "tang": {
                t: {"url": f"http://{t}.example.org", "thumbprint": THUMBPRINT, "runs_on": home}
                for t, home in tang.items()
            },
        }
    )


def by_tang(*names, threshold=1, also=()):
    return {"by": ["tang", *also], "tang": list(names), "threshold": threshold}


DROPBEAR, TPM = {"by": ["dropbear"]}, {"by": ["tpm2"]}


def waves(found):
    return [(wave.persons, wave.rounds) for wave in found.waves]


def test_without_any_help_people_unlock_all_in_one_go():
    found = cold_start(fleet({"a": DROPBEAR, "b": DROPBEAR}))
    assert waves(found) == [(("a", "b"), ())]
    assert (found.deadlocks, found.never) == ((), ())


def test_a_tang_server_outside_opens_all_by_themselves():
    found = cold_start(fleet({"a": by_tang("t"), "b": TPM}, {"t": "outside"}))
    assert waves(found) == [((), (("a", "b"),))]


def test_a_chain_comes_up_in_its_order():
    servers = {"c": by_tang("tb"), "b": by_tang("ta"), "a": TPM}
    found = cold_start(fleet(servers, {"ta": "a", "tb": "b"}))
    assert waves(found) == [((), (("a",), ("b",), ("c",)))]


def test_one_person_begins_where_it_brings_the_most_back():
    servers = {
        "x": DROPBEAR,
        "hub": DROPBEAR,
        "b": by_tang("t", also=["dropbear"]),
        "c": by_tang("t", also=["dropbear"]),
    }
    found = cold_start(fleet(servers, {"t": "hub"}))
    assert waves(found) == [(("hub",), (("b", "c"),)), (("x",), ())]
    assert found.deadlocks == ()


def test_all_sites_dark_is_found_and_named_and_a_person_breaks_it():
    servers = {name: by_tang(t, also=["dropbear"]) for name, t in zip("abc", "tuv", strict=True)}
    found = cold_start(fleet(servers, {"t": "b", "u": "c", "v": "a"}))
    (deadlock,) = found.deadlocks
    assert deadlock.all_dark
    assert deadlock.chain == ("a (Tang t on b)", "b (Tang u on c)", "c (Tang v on a)")
    assert waves(found) == [(("a",), (("c",), ("b",)))]


def test_a_circle_without_dropbear_never_opens():
    servers = {"a": by_tang("t"), "b": by_tang("u"), "c": TPM}
    found = cold_start(fleet(servers, {"t": "b", "u": "a"}))
    assert found.never == ("a", "b")
    assert not found.deadlocks[0].all_dark
    assert found.order == ("c",)


def test_a_circle_through_a_vm_and_its_cluster():
    servers = {n: by_tang("t", also=["dropbear"]) for n in ("a1", "a2", "a3")} | {"b": TPM}
    clusters = {"a": ["a1", "a2", "a3"], "b": ["b"]}
    found = cold_start(fleet(servers, {"t": "keys"}, {"keys": "a"}, clusters))
    assert found.deadlocks[0].servers == ("a1",)
    # Any two of three carry the VM: then the third opens itself.
    assert waves(found)[0] == ((), (("b",),))
    assert found.order[1:] == ("a1", "a2", "a3")


def test_a_vm_that_may_be_anywhere_counts_when_all_clusters_do():
    servers = {"a": by_tang("t"), "b": TPM, "c": DROPBEAR}
    found = cold_start(fleet(servers, {"t": "keys"}, {"keys": None}))
    assert found.never == ("a",)
    pinned = cold_start(fleet(servers, {"t": "keys"}, {"keys": "b"}))
    assert pinned.never == ()


def test_a_lost_site_locks_nobody_who_has_enough_others():
    servers = {"a": DROPBEAR, "b": DROPBEAR, "c": by_tang("ta", "tb"), "d": by_tang("ta")}
    inventory = fleet(servers, {"ta": "a", "tb": "b"})
    assert cold_start(inventory, up=["b"], lost=["a"]).order == ("c",)
    assert cold_start(inventory, up=["b"], lost=["a"]).never == ("d",)


def test_the_graph_says_what_each_trouble_means_and_prints_the_order():
    servers = {
        "alba1": by_tang("t1", "t2", threshold=1, also=["dropbear"]),
        "bora1": by_tang("t3", also=["dropbear"]),
        "cima1": DROPBEAR,
    }
    inventory = fleet(servers, {"t1": "bora1", "t2": "keys", "t3": "alba1"}, {"keys": "cima1"})
    graph = key_graph(inventory)
    alba1, bora1, cima1 = graph.servers
    assert (alba1.alone, alba1.site, alba1.burnt) == (
        "by itself",
        "by itself",
        {"berlin": "by itself", "genoa": "by itself"},
    )
    assert bora1.burnt == {"lisbon": "with a person", "genoa": "by itself"}
    assert (cima1.alone, cima1.site) == ("with a person", "with a person")
    assert (
        "\n".join(graph_lines(graph, 80))
        == """\
What opens each disk
  alba1  1 of the Tang servers t1 (on bora1, berlin), t2 (VM keys, cima1,
         genoa); or a person, through dropbear
    rebooted alone: by itself; its site dark: by itself
  bora1  1 of the Tang servers t3 (on alba1, lisbon); or a person, through
         dropbear
    rebooted alone: by itself; its site dark: by itself; lisbon lost for ever:
    with a person
  cima1  a person, through dropbear
    rebooted alone: with a person; its site dark: with a person

When everything is dark
  1. somebody unlocks cima1; by themselves follow alba1; then bora1
  ALL SITES DARK: nothing comes back by itself: alba1 (Tang t1 on bora1) needs
    bora1 (Tang t3 on alba1) needs alba1 (Tang t1 on bora1)"""
    )


# ── laws ────────────────────────────────────────────────────────────────────────────────────

NAMES = [f"s{n}" for n in range(6)]
TANGS = [f"t{n}" for n in range(4)]


@st.composite
def fleets(draw):
    vms = draw(st.dictionaries(st.sampled_from(["v0", "v1"]), st.sampled_from(["k0", "k1", None])))
    homes = st.sampled_from([*NAMES, *vms, "outside"])
    tang = {name: draw(homes) for name in TANGS}
    servers = {}
    for name in NAMES:
        asked = draw(st.lists(st.sampled_from(TANGS), unique=True, min_size=1))
        ways = st.sets(st.sampled_from(["dropbear", "tang", "tpm2"]), min_size=1)
        by = sorted(draw(ways))
        threshold = draw(st.integers(1, len(asked)))
        servers[name] = {"by": by, "tang": asked, "threshold": threshold}
    return fleet(servers, tang, vms, {"k0": NAMES[:3], "k1": NAMES[3:5], "k2": NAMES[5:]})


def can_open(inventory, server, running):
    """The rule once more, told another way: by the names of what must run."""
    unlock = inventory.servers[server].unlock

    def alive(home):
        if home == "outside" or home in running:
            return True
        if home not in inventory.vms:
            return False
        pinned = inventory.vms[home].cluster
        hosts = [c for n, c in inventory.clusters.items() if pinned is None or n == pinned]
        for host in hosts:
            down = [s for s in host.servers if s not in running]
            allowed = (len(host.servers) - 1) // 2 if host.ceph else 0
            if len(down) > allowed:
                return False
        return True

    alive_tang = [t for t in unlock.tang if alive(inventory.tang[t].runs_on)]
    return "tpm2" in unlock.by or ("tang" in unlock.by and len(alive_tang) >= unlock.threshold)


@settings(max_examples=300)
@given(fleets())
def test_the_order_holds_and_leaves_out_nobody_who_can_be_opened(inventory):
    found = cold_start(inventory)
    running = set()
    for wave in found.waves:
        for name in wave.persons:
            assert "dropbear" in inventory.servers[name].unlock.by
        running |= set(wave.persons)
        for together in wave.rounds:
            assert all(can_open(inventory, name, running) for name in together)
            running |= set(together)
        # Nobody is made to unlock what opens itself.
        assert not [n for n in NAMES if n not in running and can_open(inventory, n, running)]
    assert sorted(found.order) == sorted(running)
    assert set(found.never) == set(NAMES) - running
    for name in found.never:
        assert "dropbear" not in inventory.servers[name].unlock.by


@settings(max_examples=300)
@given(fleets())
def test_every_server_that_waits_for_tang_in_vain_is_behind_a_deadlock_or_a_person(inventory):
    found = cold_start(inventory)
    alone = set()
    if found.waves and not found.waves[0].persons:
        alone = {name for together in found.waves[0].rounds for name in together}
    for deadlock in found.deadlocks:
        assert not alone & set(deadlock.servers)
        assert deadlock.all_dark == (not alone)
        for name in deadlock.servers:
            assert "tang" in inventory.servers[name].unlock.by
    waiting = {n for n in NAMES if n not in alone and inventory.servers[n].unlock.by == ("tang",)}
    if waiting and not any("dropbear" in s.unlock.by for s in inventory.servers.values()):
        assert found.deadlocks, "with no person about, only a circle can be why"


@settings(max_examples=200)
@given(fleets(), st.sampled_from(NAMES))
def test_a_tpm_more_never_makes_anyone_wait_longer(inventory, name):
    before = cold_start(inventory)
    server = inventory.servers[name]
    unlock = server.unlock.model_copy(update={"by": (*server.unlock.by, "tpm2")})
    more = {**inventory.servers, name: server.model_copy(update={"unlock": unlock})}
    after = cold_start(inventory.model_copy(update={"servers": more}))
    assert set(after.never) <= set(before.never)


@pytest.mark.parametrize("count", [10, 200])
def test_a_large_fleet_is_planned_at_once(count):
    names = [f"s{n}" for n in range(count)]
    servers = {n: by_tang(f"t{i}", also=["dropbear"]) for i, n in enumerate(names)}
    tang = {f"t{i}": names[(i + 1) % count] for i in range(count)}
    found = cold_start(fleet(servers, tang))
    assert len(found.order) == count
    assert len(found.deadlocks[0].servers) == count
