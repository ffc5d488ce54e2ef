"""A plan's fingerprint: equal worlds give equal ones, a change that a planner may read another."""

from pathlib import Path
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from metal.inventory import load
from metal.model.life import Life, Status
from metal.model.plan import fingerprint
from metal.model.world import SeenCluster, SeenServer, SeenVm, World

INVENTORY = load(Path(__file__).resolve().parents[2])
NAMES = st.sampled_from(["alba1", "alba2", "bora1", "duna1"])
TEXT = st.text(max_size=5)
SERVERS = st.builds(
    SeenServer,
    life=st.sampled_from(list(Life)),
    status=st.sampled_from(list(Status)),
    note=TEXT,
    power=st.sampled_from(["on", "off", "unknown"]),
    health=st.sampled_from(["ok", "warning", "critical", "unknown"]),
    reasons=st.lists(TEXT, max_size=2).map(tuple),
    node=st.sampled_from(["online", "offline", "unknown"]),
)
CLUSTERS = st.builds(
    SeenCluster,
    formed=st.sampled_from([None, True, False]),
    quorate=st.sampled_from([None, True, False]),
    nodes=st.lists(NAMES, max_size=2).map(tuple),
    ceph_osds=st.none() | st.integers(0, 9),
)
VMS = st.builds(
    SeenVm,
    vmid=st.integers(100, 103),
    cluster=st.sampled_from(["alba", "bora"]),
    server=NAMES,
    state=st.sampled_from(["running", "stopped", "unknown"]),
    addresses=st.lists(TEXT, max_size=2).map(tuple),
)
WORLDS = st.builds(
    World,
    servers=st.dictionaries(NAMES, SERVERS, max_size=3),
    clusters=st.dictionaries(st.sampled_from(["alba", "bora"]), CLUSTERS, max_size=2),
    vms=st.dictionaries(st.sampled_from(["www", "git"]), VMS, max_size=2),
    silent=st.dictionaries(st.sampled_from(["bmc alba1", "cluster bora"]), TEXT, max_size=2),
)


def meaning(world: World) -> dict[str, Any]:
    """What a planner may read: all but the words of complaints, which flicker."""
    data = world.model_dump(mode="json")
    for server in data["servers"].values():
        del server["reasons"], server["note"]
    return data | {"silent": sorted(data["silent"])}


@given(WORLDS)
def test_equal_worlds_equal_fingerprints_in_whatever_order(world: World) -> None:
    turned = world.model_copy(
        update={
            "servers": dict(reversed(world.servers.items())),
            "vms": dict(reversed(world.vms.items())),
            "silent": dict(reversed(world.silent.items())),
        }
    )
    again = World.model_validate_json(turned.model_dump_json())
    assert fingerprint(INVENTORY, world) == fingerprint(INVENTORY, again)


@given(WORLDS, WORLDS)
def test_the_same_fingerprint_if_and_only_if_the_same_meaning(one: World, other: World) -> None:
    same = fingerprint(INVENTORY, one) == fingerprint(INVENTORY, other)
    assert same == (meaning(one) == meaning(other))


@given(WORLDS, st.data())
def test_any_one_change_of_a_state_shows(world: World, data: st.DataObject) -> None:
    assume(world.servers)
    name = data.draw(st.sampled_from(sorted(world.servers)))
    key, value = data.draw(
        st.one_of(
            st.tuples(st.just("life"), st.sampled_from(list(Life))),
            st.tuples(st.just("power"), st.sampled_from(["on", "off", "unknown"])),
            st.tuples(st.just("node"), st.sampled_from(["online", "offline", "unknown"])),
        )
    )
    server = world.servers[name]
    assume(getattr(server, key) != value)
    changed = world.model_copy(
        update={"servers": world.servers | {name: server.model_copy(update={key: value})}}
    )
    assert fingerprint(INVENTORY, world) != fingerprint(INVENTORY, changed)


def test_the_inventory_counts() -> None:
    world = World()
    vm = INVENTORY.vms["www"].model_copy(update={"priority": 1})
    other = INVENTORY.model_copy(update={"vms": INVENTORY.vms | {"www": vm}})
    assert fingerprint(INVENTORY, world) != fingerprint(other, world)
    assert len(fingerprint(INVENTORY, world)) == 64
