"""The law of steps: a plan of several moves may be stopped after each of them."""

from small_fleet import breaches, fleet, move, running, seen, vm

from metal.model.fleet import Vm
from metal.model.plan import MigrateVm
from metal.model.world import SeenVm


def after(move: MigrateVm, *before: MigrateVm) -> MigrateVm:
    return move.model_copy(update={"needs": tuple(b.id for b in before)})


def large(gib: float, **wishes: object) -> Vm:
    return vm(memory_gib=gib, **wishes)


def test_moves_of_a_cluster_wait_for_each_other() -> None:
    world = running(a=seen("rio1", 101), b=seen("rio1", 102))
    inventory = fleet({"a": vm(), "b": vm()})
    first, second = move("a", 101, "rio1", "rio2"), move("b", 102, "rio1", "rio3")
    assert breaches(inventory, world, first, after(second, first)) == []
    assert [b.law for b in breaches(inventory, world, first, second)] == ["steps"]


def test_the_order_decides_whether_there_is_room() -> None:
    """rio1 and rio2 change what they hold: whoever moves into a full server is too early."""
    vms = {"a": large(10), "b": large(6), "c": large(4)}
    there = {"a": seen("rio1", 101), "b": seen("rio2", 102), "c": seen("rio2", 103)}
    b, a = move("b", 102, "rio2", "rio3"), move("a", 101, "rio1", "rio2")
    assert breaches(fleet(vms), running(**there), b, after(a, b)) == []
    early = breaches(fleet(vms), running(**there), a, after(b, a))
    assert [(x.law, x.subject) for x in early] == [("steps", "rio2")]
    assert "after move 1 of 2 (a to rio2)" in early[0].what


def test_replicas_do_not_meet_on_the_way() -> None:
    vms = {"a": vm(apart="db"), "b": vm(apart="db")}
    there: dict[str, SeenVm] = {"a": seen("rio1", 101), "b": seen("rio2", 102)}
    a, b = move("a", 101, "rio1", "rio2"), move("b", 102, "rio2", "rio3")
    assert breaches(fleet(vms), running(**there), b, after(a, b)) == []
    met = breaches(fleet(vms), running(**there), a, after(b, a))
    assert ("steps", "a") in {(x.law, x.subject) for x in met}


def test_no_step_makes_a_death_fatal() -> None:
    """16 GiB each. Once small is on rio2, big finds no 10 GiB in one piece until other has left."""
    vms = {"big": large(10), "small": large(2), "other": large(6), "last": large(8)}
    there = {
        "big": seen("rio1", 101),
        "small": seen("rio1", 102),
        "other": seen("rio2", 103),
        "last": seen("rio3", 104),
    }
    small, other = move("small", 102, "rio1", "rio2"), move("other", 103, "rio2", "rio3")
    assert breaches(fleet(vms), running(**there), other, after(small, other)) == []
    fatal = breaches(fleet(vms), running(**there), small, after(other, small))
    assert [(b.law, b.subject) for b in fatal] == [("steps", "rio1")]


def test_a_death_that_was_fatal_before_forbids_nothing() -> None:
    vms = {"a": large(14), "b": large(14), "c": large(14), "d": large(1)}
    there = {
        "a": seen("rio1", 101),
        "b": seen("rio2", 102),
        "c": seen("rio3", 103),
        "d": seen("rio3", 104),
    }
    assert breaches(fleet(vms), running(**there), move("d", 104, "rio3", "rio2")) == []
