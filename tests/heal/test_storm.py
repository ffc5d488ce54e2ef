"""When not to act, and signs of what is about to fail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metal.heal.past import History
from metal.heal.signs import signs
from metal.heal.storm import flapping, restrain
from metal.model.plan import DrainServer, RecoverServer, Risk
from metal.model.watch import WatchPolicy


def recovery(server: str) -> RecoverServer:
    return RecoverServer(server=server, cluster="c", vms={}, what="w", why="y", risk=Risk.SAFE)


def emptying(server: str) -> DrainServer:
    return DrainServer(server=server, cluster="c", moves=(), what="w", why="y", risk=Risk.DISRUPTS)


def test_recoveries_come_before_what_still_runs() -> None:
    actions = [emptying("a"), recovery("b"), emptying("c")]
    kept, why = restrain(actions, History(), WatchPolicy(actions_an_hour=2))
    assert [a.server for a in kept] == ["b", "a"]
    assert "3 servers in trouble within an hour" in why
    assert "nothing is done about c" in why


def test_what_was_done_an_hour_ago_counts_no_more() -> None:
    policy = WatchPolicy(actions_an_hour=1)
    assert restrain([recovery("a")], History(acted=(3599.0,)), policy)[0] == ()
    assert restrain([recovery("a")], History(acted=(3600.0,)), policy) == ((recovery("a"),), "")


@given(
    acted=st.lists(st.floats(0, 7200), max_size=8),
    names=st.lists(st.sampled_from("abcdefgh"), unique=True),
    limit=st.integers(0, 5),
)
def test_never_more_than_the_limit_within_an_hour(
    acted: list[float], names: list[str], limit: int
) -> None:
    actions = [recovery(n) if n < "d" else emptying(n) for n in names]
    kept, why = restrain(actions, History(acted=tuple(acted)), WatchPolicy(actions_an_hour=limit))
    before = sum(ago < 3600 for ago in acted)
    assert len(kept) + before <= max(limit, before)
    assert bool(why) == (len(kept) < len(actions))
    for left in set(names) - {a.server for a in kept}:
        assert left in why


def test_a_server_that_failed_too_often_is_kept_out() -> None:
    policy = WatchPolicy(flaps=3)
    assert not flapping("a", History(failures={"a": 2}), policy)
    assert flapping("a", History(failures={"a": 3}), policy)
    assert not flapping("b", History(failures={"a": 3}), policy)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("PSU 2: power supply failure detected", "power supply"),
        ("PS1 Status: power supply AC lost", "power supply"),
        ("PSU.Slot.1 input lost", "power supply"),
        ("PS Redundancy: redundancy lost", "redundancy"),
        ("DIMM A3: uncorrectable ECC", "memory"),
        ("CPU1 Temp above upper critical (95 C)", "temperature"),
        ("FAN 3: lower critical (0 RPM)", "fan"),
        ("Fan 3 failed", "fan"),
        ("Disk 0.1.4: predictive failure", "drive"),
        ("Drive Slot 3: failed", "drive"),
        ("PS2 Status: predictive failure", "power supply"),
        ("Fan 3: failure predicted", "fan"),
        ("DIMM_A1: failure predicted", "memory"),
        ("Slot 1: failure predicted", "drive"),
        ("4 slow ops, oldest one blocked for 32 sec, osd.2 has slow ops", "slow disk"),
    ],
)
def test_signs_are_told_from_what_bmcs_say(said: str, kind: str) -> None:
    assert signs([said]) == (kind,)


@pytest.mark.parametrize(
    "said",
    [
        "inlet 31 C",
        "chassis intrusion",
        "BMC firmware is out of date",
        "PSU 2: ok",
        "Fan 3: 5400 RPM",
        "the battery of the clock is low",
    ],
)
def test_what_announces_no_failure_is_no_sign(said: str) -> None:
    assert signs([said]) == ()
