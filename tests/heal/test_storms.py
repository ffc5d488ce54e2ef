"""Storms: seeds of failures over a fleet, checked by the world and not by metal.

`python -m metal.lab.storms --runs 100` has more of them; METAL_SEED=N replays one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from metal.lab.storms.fleet import fleet
from metal.lab.storms.laws import PROMISED, Broken, Laws
from metal.lab.storms.rack import Rack
from metal.lab.storms.storm import DAY, Storm
from metal.model.fleet import Inventory


@pytest.mark.parametrize("seed", [2, 3])
def test_no_law_is_broken_in_a_storm(tmp_path: Path, seed: int) -> None:
    report = Storm(tmp_path, seed, days=0.4, every=DAY / 12).run()
    assert report.broken == ""
    assert report.faults > 0


def test_a_seed_always_makes_the_same_storm(tmp_path: Path) -> None:
    logs = [Storm(tmp_path / name, 5, days=0.05, every=DAY / 100).run().log for name in "ab"]
    assert logs[0] == logs[1] != []


def test_one_lost_answer_in_a_hundred_alarms_nobody(tmp_path: Path) -> None:
    """Half an hour of looks, none leapt over."""
    storm = Storm(tmp_path, 1, days=1, every=0, lost=0.01, skip=False)
    while storm.rack.now < 1800:
        storm._tick()
    assert storm.store.incidents.list() == []
    assert storm.laws.fenced == 0
    storm.close()


@pytest.mark.parametrize("rounds", [2, 5, 8])
@pytest.mark.parametrize("seconds", [3600.0, -3600.0, 30 * 3600.0, -30 * 3600.0])
def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, seconds: float, rounds: int) -> None:
    """So many rounds after a server hung: while it is suspect, or while it is recovered."""
    storm = Storm(tmp_path, 1, days=1, every=0, lost=0, skip=False)
    storm._tick()
    storm.rack.boxes["alba1"].hung = True
    for _ in range(rounds):
        storm._tick()
    storm._ahead += seconds
    while storm.rack.now < 400:
        storm._tick()  # raises where a law breaks
    assert storm.laws.fenced == 1
    assert [o.kind for o in storm.store.journal.list() if o.kind == "recover"] == ["recover"]
    assert not storm.store.journal.list(open_only=True)
    assert all(len(storm.rack.copies(vm)) == 1 for vm in storm.inventory.vms)
    storm.close()


def test_without_ha_metal_itself_restarts_what_a_dead_server_ran(tmp_path: Path) -> None:
    storm = Storm(tmp_path, 1, days=1, every=0, lost=0, skip=False)
    storm._tick()
    lost = sorted(storm.rack.boxes["brio1"].running)
    storm.rack.cut("brio1", "a test")
    while storm.rack.now < 120:
        storm._tick()
    assert lost and all(storm.rack.copies(vm) in (["brio2"], ["brio3"]) for vm in lost)
    storm.close()


def test_who_takes_over_between_a_restart_and_the_return_starts_what_fell(tmp_path: Path) -> None:
    """It never saw the server away: the leader before it did, and is gone."""
    storm = Storm(tmp_path, 1, days=1, every=0, lost=0, skip=False)
    storm._tick()
    lost = sorted(storm.rack.boxes["duna1"].running)
    storm.rack.reset("duna1", "it restarts", boots=25)
    storm._tick()
    leader = next(g for g in storm.guards if g.post and g.post.term)
    leader.watcher, leader.away_until = None, 1e9
    storm._tick()
    storm._tick()
    assert not any(storm.rack.copies(vm) for vm in lost), "it is back, and nobody leads yet"
    while storm.rack.now < 150:
        storm._tick()
    assert [storm.rack.copies(vm) for vm in lost] == [["duna1"]] * len(lost)
    assert storm.laws.fenced == 0
    storm.close()


def test_what_nobody_could_restart_was_not_promised(tmp_path: Path) -> None:
    rack = Rack(fleet())
    laws = Laws(rack, lambda _cluster: False)
    rack.cut("brio1", "a test")
    laws.look()
    rack.now += PROMISED + 1
    laws.look()
    kept = Laws(rack)
    kept.look()
    rack.now += PROMISED + 1
    with pytest.raises(Broken, match="has been down"):
        kept.look()


@pytest.fixture
def world() -> tuple[Rack, Laws]:
    rack = Rack(fleet())
    return rack, Laws(rack)


def test_the_world_notices_a_vm_that_runs_twice(world: tuple[Rack, Laws]) -> None:
    rack, laws = world
    laws.look()
    rack.boxes["alba2"].running.add("alba-1")
    with pytest.raises(Broken, match="alba-1 runs on alba1 and alba2 at once"):
        laws.look()


def test_the_world_notices_that_a_healthy_server_is_fenced(world: tuple[Rack, Laws]) -> None:
    rack, laws = world
    with pytest.raises(Broken, match="alba1 was switched off while it was well"):
        laws.fence("alba1")
    rack.boxes["alba1"].hung = True
    laws.fence("alba1")
    assert laws.fenced == 1


def test_the_world_notices_a_vm_that_stays_down(world: tuple[Rack, Laws]) -> None:
    rack, laws = world
    rack.boxes["alba1"].running.discard("alba-1")
    laws.look()
    rack.now += PROMISED + 1
    with pytest.raises(Broken, match="alba-1 has been down"):
        laws.look()


def test_without_its_cluster_nothing_was_promised(world: tuple[Rack, Laws]) -> None:
    rack, laws = world
    for name in ("alba1", "alba2"):
        rack.cut(name, "a test")
    for _ in range(5):
        rack.now += PROMISED
        laws.look()


def test_proxmox_alone_recovers_what_ran_on_a_dead_server(world: tuple[Rack, Laws]) -> None:
    rack, laws = world
    rack.advance(60)
    rack.cut("alba1", "a test")
    while rack.now < 400:
        rack.advance(10)
        laws.look()
    assert all(len(rack.copies(vm)) == 1 for vm in rack.clusters["alba"].vmids)
    assert 120 <= laws.longest <= 190


def test_a_server_that_is_renamed_in_mid_recovery_is_told_and_stops_nothing(tmp_path: Path) -> None:
    """By hand, in inventory.toml, and the watcher is started anew. It is gone on with once the
    server is called as before."""
    storm = Storm(tmp_path, 1, days=1, every=0, lost=0, skip=False, watchers=1)
    storm._tick()
    storm.rack.boxes["alba1"].hung = True
    while not storm.store.journal.list(open_only=True):
        storm._tick()

    def called(inventory: Inventory) -> None:
        storm.inventory, storm.guards[0].watcher = inventory, None

    before = storm.inventory
    alba = before.clusters["alba"]
    members = tuple(name for name in alba.servers if name != "alba1")
    servers = {name: about for name, about in before.servers.items() if name != "alba1"}
    shrunk = before.clusters | {"alba": alba.model_copy(update={"servers": members})}
    called(before.model_copy(update={"servers": servers, "clusters": shrunk}))
    for _ in range(3):
        storm._tick()
    [incident] = storm.store.incidents.list(open_only=True)
    notes = storm.store.incidents.show(incident.id).notes
    said = [note.text for note in notes if "FAILED" in note.text]
    assert len(said) == 1 and "the inventory has no server alba1 any more" in said[0]
    called(before)
    while storm.rack.now < 600:
        storm._tick()
    assert not storm.store.journal.list(open_only=True) and storm.laws.fenced == 1
    assert all(len(storm.rack.copies(vm)) == 1 for vm in before.vms)
    storm.close()
