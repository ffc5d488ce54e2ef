"""The life table: what it allows happens, nothing else, and every life can be lived."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metal.model.errors import Refused
from metal.model.life import TRANSITIONS, Life, check_transition, diagram

LIVES = st.sampled_from(list(Life))


@given(LIVES, LIVES)
def test_only_what_the_table_allows(before: Life, after: Life) -> None:
    if after == before or after in TRANSITIONS[before]:
        check_transition("alba1", before, after)
        return
    with pytest.raises(Refused) as caught:
        check_transition("alba1", before, after)
    assert caught.value.where == "alba1" and caught.value.exit_code == 3
    for possible in TRANSITIONS[before]:
        assert possible in caught.value.mend, "the message says what is possible instead"


def test_every_life_has_a_way_on() -> None:
    assert set(TRANSITIONS) == set(Life)
    assert all(TRANSITIONS[life] and life not in TRANSITIONS[life] for life in Life)


@given(LIVES)
def test_every_life_leads_to_every_other(start: Life) -> None:
    reached, edge = {start}, {start}
    while edge := {n for e in edge for n in TRANSITIONS[e]} - reached:
        reached |= edge
    assert reached == set(Life)


@given(st.lists(LIVES, max_size=12))
def test_a_walk_never_skips_enrolment_or_draining(wishes: list[Life]) -> None:
    """Whatever is asked for: enrolled before installed, drained before retired."""
    walk = [Life.FOUND]
    for wish in wishes:
        try:
            check_transition("s", walk[-1], wish)
        except Refused:
            continue
        walk.append(wish)
    steps = [(a, b) for a, b in pairwise(walk) if a != b]
    assert all(b in TRANSITIONS[a] for a, b in steps)
    assert (Life.FOUND, Life.INSTALLED) not in steps
    assert (Life.MEMBER, Life.RETIRED) not in steps
    for at, life in enumerate(walk):
        if life == Life.INSTALLED:
            assert Life.ENROLLED in walk[:at]


def test_the_documented_diagram_is_drawn_from_the_table() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "life.md"
    assert f"```mermaid\n{diagram()}\n```" in page.read_text()
