"""One value of a machine changed: what it says is lost, with a reason, and nothing else.

test_broken_trees.py breaks much at once and asks only that nothing worse comes than an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from metal.lab.redfish_offline import OfflineSession
from metal.model.errors import MetalError

from .lawful import assert_lawful
from .test_broken_trees import NAMES, SMALL, document, machine

Place = tuple[str, tuple[Any, ...]]
"""(path of a resource, the keys that lead to a value in it)."""
GONE = object()
NOWHERE = {"@odata.id": "/redfish/v1/Nowhere"}
OTHERS = (GONE, None, "", [], {}, "x", 0, -1, True, NOWHERE, [NOWHERE])
ABOVE_PARTS = 4
"""Slashes in the path of a system, chassis or manager: without one of those all is another."""


def places(tree: dict[str, Any], paths: tuple[str, ...]) -> list[Place]:
    """Every value that was read, links' addresses left out: those are moved as a whole."""
    return [(path, keys) for path in paths for keys in _within(tree[path])]


def _within(body: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = body.items() if isinstance(body, dict) else enumerate(body)
    for key, value in pairs:
        if not str(key).startswith("@odata."):
            yield (*above, key)
            if isinstance(value, dict | list):
                yield from _within(value, (*above, key))


def value_at(body: Any, keys: tuple[Any, ...]) -> Any:
    for key in keys:
        body = body[key]
    return body


def with_value(tree: dict[str, Any], place: Place, value: Any) -> dict[str, Any]:
    """A copy of the tree in which that one is there instead; GONE: none."""
    path, keys = place
    body = json.loads(json.dumps(tree[path]))
    holder = value_at(body, keys[:-1])
    if value is GONE:
        del holder[keys[-1]]
    else:
        holder[keys[-1]] = value
    return tree | {path: body}


def told(tree: dict[str, Any]) -> dict[str, Any] | None:
    """The facts; None where it is no server any more."""
    try:
        found = document(OfflineSession(tree))
    except MetalError:
        return None
    assert_lawful(found)
    return found


def facts_of(found: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in found.items() if k not in ("unknown", "notes", "node")}


def changed(found: dict[str, Any], whole: dict[str, Any]) -> set[str]:
    return {key for key, value in facts_of(whole).items() if found[key] != value}


def doubled(value: Any) -> Any:
    return value + value if isinstance(value, list) else GONE


def with_more(value: Any) -> Any:
    return value | {"Extra": {"Size": 7}} if isinstance(value, dict) else GONE


SAME: tuple[Callable[[Any], Any], ...] = (doubled, with_more)
"""Changes that mean nothing; GONE where they do not fit."""


@st.composite
def a_place(draw: st.DrawFn) -> tuple[str, Place]:
    name = draw(st.sampled_from([SMALL, *NAMES]))
    tree, paths, _ = machine(name)
    seed = draw(st.integers(0, 2**32))
    return name, Random(seed).choice(places(tree, paths))


@given(a_place())
def test_null_is_the_same_as_not_there(at: tuple[str, Place]) -> None:
    name, place = at
    tree, _, _ = machine(name)
    if isinstance(place[1][-1], str) and len(tree[place[0]]) > 1:  # nothing at all is no answer
        assert told(with_value(tree, place, None)) == told(with_value(tree, place, GONE))


@given(a_place(), st.sampled_from(SAME))
def test_what_means_nothing_changes_nothing(
    at: tuple[str, Place], change: Callable[[Any], Any]
) -> None:
    name, place = at
    tree, _, whole = machine(name)
    value = change(value_at(tree[place[0]], place[1]))
    if value is not GONE:
        assert told(with_value(tree, place, value)) == whole


@given(a_place(), st.sampled_from(OTHERS))
def test_one_value_that_is_wrong_costs_only_what_it_says(at: tuple[str, Place], other: Any) -> None:
    name, (path, keys) = at
    tree, _, whole = machine(name)
    if found := told(with_value(tree, (path, keys), other)):
        assert changed(found, whole) <= at_most(name, path, keys), (path, keys)


def at_most(name: str, path: str, keys: tuple[Any, ...]) -> set[str]:
    """What is lost without the value, without what it stands in, or without its resource."""
    tree, _, whole = machine(name)
    less = [with_value(tree, (path, keys[: n + 1]), GONE) for n in range(len(keys))]
    if path.count("/") > ABOVE_PARTS:
        less.append(tree | {path: "broken"})
    return {key for found in map(told, less) if found for key in changed(found, whole)}
