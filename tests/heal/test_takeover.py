"""How soon another watcher leads, whenever and however the leader falls: by clocks of our own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metal.controller.post import POST, Post
from metal.model.watch import WatchPolicy
from metal.operations.database import Clock
from metal.operations.owner import Owner
from metal.operations.store import Store, open_store

LEASE = WatchPolicy().lease_seconds
SOON = 15.0
"""Seconds within which another watcher must lead."""


class Time:
    now = 1_000_000.0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    clock = Clock(wall=lambda: Time.now, monotonic=lambda: Time.now)
    return open_store("sqlite", tmp_path_factory.mktemp("state"), clock=clock)


def watcher(store: Store, place: str) -> Post:
    return Post(store, place, LEASE, Owner(place, place, "pid:[1]", 1, 1))


@settings(max_examples=30)
@given(falls=st.floats(0, LEASE / 3), phase=st.floats(0, LEASE / 3))
def test_another_leads_within_fifteen_seconds(store: Store, falls: float, phase: float) -> None:
    """Everybody seeks the post each third of a lease; `phase` is how their turns lie."""
    if post := store.leading.who(POST):
        Time.now = post.until + 1  # what an earlier example left
    first, second = watcher(store, "lisbon"), watcher(store, "utrecht")
    first.seek()
    assert first.term and not (second.seek() or second.term)
    fallen = Time.now = Time.now + falls
    Time.now += phase
    second.seek()
    while not second.term:
        Time.now += LEASE / 3
        second.seek()
    assert Time.now - fallen <= SOON
    assert first.term is None, "by its own clock, whatever it could ask"
