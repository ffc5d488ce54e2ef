"""Where the VMs of a server go that must be emptied."""

from collections.abc import Callable

from metal.model.fleet import Inventory
from metal.model.laws import judge
from metal.model.life import Life
from metal.model.plan import DrainServer, MigrateVm, Plan, Risk, fingerprint
from metal.model.world import SeenServer, SeenVm, World
from metal.schedule.balance import balance
from metal.schedule.moves import drain_moves
from metal.schedule.plan import plan_vms

MakeFleet = Callable[..., Inventory]
Formed = Callable[..., World]
Applied = Callable[..., World]


def on(server: str, vmid: int, *, state: str = "running") -> SeenVm:
    return SeenVm.model_validate(
        {"vmid": vmid, "cluster": server[:-1], "server": server, "state": state}
    )


def test_any_server_of_the_charity_can_be_emptied(
    charity: Inventory, formed: Formed, applied: Applied
) -> None:
    world = formed(charity)
    actions, _ = plan_vms(charity, world, frozenset(charity.clusters), {})
    world = applied(world, actions)
    for server in charity.servers:
        here = {vm for vm, seen in world.vms.items() if seen.server == server}
        drain = drain_moves(charity, world, server)
        if server == "duna1":
            assert {s.vm for s in drain.stranded} == here
            continue
        assert drain.stranded == ()
        assert {m.vm for m in drain.moves} == here
        priorities = [charity.vms[m.vm].priority for m in drain.moves]
        assert priorities == sorted(priorities, reverse=True)
        assert all(m.source == server != m.target for m in drain.moves)
        action = DrainServer(
            what=f"empty {server}",
            why="a test",
            risk=Risk.DISRUPTS,
            server=server,
            cluster=drain.moves[0].cluster,
            moves=drain.moves,
        )
        plan = Plan(fingerprint=fingerprint(charity, world), actions=(action,))
        assert judge(plan, charity, world) == []


def test_two_left_cannot_stand_in_for_each_other_which_a_warning_says(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    fleet = make_fleet({"a": [4, 4, 4]}, {f"vm{n}": {"memory_gib": 2} for n in range(3)})
    seen = {f"vm{n}": on(f"a{n + 1}", 100 + n) for n in range(3)}
    drain = drain_moves(fleet, formed(fleet, seen), "a1")
    assert [m.vm for m in drain.moves] == ["vm0"]
    assert "cannot be survived" in drain.warnings[0]


def test_packing_beats_spreading_when_memory_is_short(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    # Spread, the small one would go to the freer server and take the large one's place.
    vms = {"small": {"priority": 90, "memory_gib": 2}, "large": {"priority": 10, "memory_gib": 6}}
    fleet = make_fleet({"a": [8, 6, 2]}, vms)
    seen = {"small": on("a1", 100), "large": on("a1", 101)}
    drain = drain_moves(fleet, formed(fleet, seen), "a1")
    assert {m.vm: m.target for m in drain.moves} == {"small": "a3", "large": "a2"}


def test_who_has_nowhere_to_go_is_named_and_the_rest_moves(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    vms = {"first": {"priority": 90, "memory_gib": 3}, "last": {"priority": 10, "memory_gib": 3}}
    fleet = make_fleet({"a": [8, 4]}, vms)
    world = formed(fleet, {"first": on("a1", 100), "last": on("a1", 101)})
    drain = drain_moves(fleet, world, "a1")
    assert [m.vm for m in drain.moves] == ["first"]
    assert drain.stranded[0].vm == "last"
    assert "a2" in drain.stranded[0].why


def test_replicas_stay_apart_and_targets_are_online(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet({"a": [8, 8, 8]}, {"db1": {"apart": "db"}, "db2": {"apart": "db"}})
    world = formed(fleet, {"db1": on("a1", 100), "db2": on("a2", 101)})
    assert drain_moves(fleet, world, "a1").moves[0].target == "a3"
    offline = {**world.servers, "a3": SeenServer(life=Life.MEMBER, node="offline")}
    worse = world.model_copy(update={"servers": offline})
    drain = drain_moves(fleet, worse, "a1")
    assert drain.moves == ()
    assert "'db'" in drain.stranded[0].why


def test_unmanaged_vms_are_left_and_said(make_fleet: MakeFleet, formed: Formed) -> None:
    fleet = make_fleet({"a": [8, 8]}, {"vm": {}})
    drain = drain_moves(fleet, formed(fleet, {"stranger": on("a1", 100)}), "a1")
    assert drain.moves == ()
    assert drain.stranded == ()
    assert "stranger" in drain.warnings[0]


def test_who_stays_must_have_a_place_when_the_emptied_server_dies(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    """A VM that the inventory lacks stays, and only a2 could restart it: nothing fills that."""
    fleet = make_fleet({"a": [16, 9, 8, 8]}, {"web": {"memory_gib": 4}})
    stranger = on("a1", 100).model_copy(update={"memory_mib": 9 * 1024, "vcpus": 1, "disk_gib": 1})
    drain = drain_moves(fleet, formed(fleet, {"stranger": stranger, "web": on("a1", 101)}), "a1")
    assert [m.target for m in drain.moves] == ["a3"]
    (said,) = drain.warnings
    assert "stranger on a1 is not in the inventory" in said
    vast = stranger.model_copy(update={"memory_mib": 10 * 1024})
    drain = drain_moves(fleet, formed(fleet, {"stranger": vast, "web": on("a1", 101)}), "a1")
    assert "the death of a1, which keeps stranger, cannot be survived" in drain.warnings[1]


def test_moving_a_vm_that_does_not_run_says_that_it_disrupts(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    fleet = make_fleet({"a": [8, 8]}, {"up": {}, "down": {}})
    seen = {"up": on("a1", 100), "down": on("a1", 101, state="stopped")}
    moves = {m.vm: m.risk for m in drain_moves(fleet, formed(fleet, seen), "a1").moves}
    assert moves == {"up": Risk.SAFE, "down": Risk.DISRUPTS}


def test_what_is_together_moves_together_and_what_sleeps_may_stay(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    vms = {
        "app": {"together": ("cache",), "memory_gib": 3},
        "cache": {"memory_gib": 3},
        "old": {"memory_gib": 9},
    }
    fleet = make_fleet({"a": [16, 5, 6]}, vms)
    seen = {"app": on("a1", 100), "cache": on("a1", 101), "old": on("a1", 102, state="stopped")}
    drain = drain_moves(fleet, formed(fleet, seen), "a1")
    assert {m.vm: m.target for m in drain.moves} == {"app": "a3", "cache": "a3"}
    assert drain.stranded == ()
    assert "old is stopped and has no place elsewhere" in drain.warnings[0]


def test_a_vm_with_its_servers_own_processor_moves_between_equals(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    def fleet(*names: str | None) -> Inventory:
        made = make_fleet({"a": [16, 16]}, {"vm": {"cpu": "host"}, "any": {}})
        servers = dict(made.servers)
        for name, cpu in zip(made.servers, names, strict=True):
            learned = made.servers[name].learned
            assert learned
            known = learned.model_copy(update={"cpu": cpu})
            servers[name] = made.servers[name].model_copy(update={"learned": known})
        return made.model_copy(update={"servers": servers})

    for names, moves in ((("X", "X"), 2), (("X", "Y"), 1), ((None, None), 1)):
        inventory = fleet(*names)
        world = formed(inventory, {"vm": on("a1", 100), "any": on("a1", 101)})
        drain = drain_moves(inventory, world, "a1")
        assert len(drain.moves) == moves
        assert all("own processor" in s.why for s in drain.stranded)
        action = MigrateVm(
            what="w", why="w", risk=Risk.SAFE, vm="vm", vmid=100, cluster="a",
            source="a1", target="a2",
        )  # fmt: skip
        plan = Plan(fingerprint="", actions=(action,))
        laws = {b.law for b in judge(plan, inventory, world)}
        assert ("processor" in laws) == (moves == 1)


def test_of_a_cluster_that_was_given_back_nothing_is_asked(
    make_fleet: MakeFleet, formed: Formed
) -> None:
    """A VM that still stands in an old world stays where that says."""
    fleet = make_fleet({"a": [8, 8], "b": [8, 8]}, {"v": {}})
    world = formed(fleet, {"v": on("a1", 100)})
    gone = {s: SeenServer(life=Life.RETIRED) for s in ("a1", "a2")}
    world = world.model_copy(update={"servers": world.servers | gone})
    drain = drain_moves(fleet, world, "a1")
    assert (drain.moves, [(s.vm, s.why) for s in drain.stranded]) == ((), [("v", "a1 is retired")])
    (clustered,) = (e for e in balance(fleet, world, 9).clusters if e.cluster == "a")
    assert (clustered.before, clustered.why) == (0, "all its servers are retired")
