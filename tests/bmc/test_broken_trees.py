"""Recorded machines with parts of them broken: facts come, or a MetalError, never anything else."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metal.cli.render.facts import facts_document
from metal.drivers import redfish_boot, redfish_log, redfish_media
from metal.drivers.redfish_accounts import AccountBook
from metal.drivers.redfish_exposure import read_exposure
from metal.drivers.redfish_facts import read_facts
from metal.drivers.redfish_tree import Tree
from metal.lab.redfish_offline import OfflineSession
from metal.model.errors import MetalError

from .lawful import assert_lawful

TREES = Path(__file__).resolve().parents[2] / "../shared/bmc/redfish"
NAMES = sorted(p.parent.name for p in TREES.glob("*/tree.json"))
pytestmark = pytest.mark.skipif(not NAMES, reason="no recorded machines beside the repository")
ODD: list[Any] = [
    None, 0, -1, "", "x", "7", [], {}, [None], [[]], [{}], ["a"], [0], {"a": 1}, True, 3.5,
    float("inf"), float("nan"), "0x10", "\x00\ud83d",
    {"@odata.id": None}, {"@odata.id": []}, {"@odata.id": "/nope"},
    "https://elsewhere.example.org/redfish/v1/Systems",
]  # fmt: skip
CORE = ("/redfish/v1", "/redfish/v1/Systems")
"""Without these, and the systems themselves, nothing can be told."""


def document(session: OfflineSession) -> dict[str, Any]:
    return facts_document(read_facts(Tree(session), "198.51.100.1"))


@cache
def machine(name: str) -> tuple[dict[str, Any], tuple[str, ...], dict[str, Any]]:
    """The tree, the paths of it that matter, and what it says when nothing is broken."""
    whole = json.loads((TREES / name / "tree.json").read_text())
    tree = {path.rstrip("/"): body for path, body in whole.items()}
    session = OfflineSession(tree)
    told = document(session)
    return tree, tuple(sorted(set(session.asked) & set(tree))), told


def places(body: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value in it."""
    pairs = body.items() if isinstance(body, dict) else enumerate(body)
    inner = [(body, key) for key, _ in pairs]
    nested = body.values() if isinstance(body, dict) else body
    return inner + [p for v in nested if isinstance(v, dict | list) for p in places(v)]


def broken(tree: dict[str, Any], paths: tuple[str, ...], random: Random) -> dict[str, Any]:
    """A copy in which some nodes are gone, or something else."""
    tree = dict(tree)
    for _ in range(random.randint(1, 25)):
        path = random.choice(paths)
        body = tree.get(path)
        if not isinstance(body, dict) or random.random() < 0.08:
            tree[path] = random.choice(ODD)
            continue
        tree[path] = body = json.loads(json.dumps(body))
        found = places(body)
        if found:
            holder, key = random.choice(found)
            holder[key] = random.choice([*ODD, [holder[key]], str(holder[key]), {"x": holder[key]}])
    return tree


@settings(max_examples=150)
@given(st.sampled_from(NAMES or [""]), st.integers(0, 2**32))
def test_whatever_is_broken_nothing_but_a_metal_error_comes(name: str, seed: int) -> None:
    tree, paths, _ = machine(name)
    session = OfflineSession(broken(tree, paths, Random(seed)))
    try:
        read = Tree(session)
    except MetalError:
        return
    for look in (
        lambda: assert_lawful(facts_document(read_facts(read, "198.51.100.1"))),
        lambda: redfish_boot.boot_once(read),
        lambda: redfish_log.read_log(read),
        lambda: redfish_media.ensure_no_media(read, 0.01),
        lambda: AccountBook(read).accounts(),
        lambda: read_exposure(read),
    ):
        try:
            look()
        except MetalError as error:
            assert str(error)


@pytest.mark.parametrize("name", NAMES)
def test_one_broken_resource_loses_nothing_else(name: str) -> None:
    """Each resource in turn answers 500: what the others tell stays, or is named."""
    tree, paths, told = machine(name)
    for path in paths:
        if path in CORE or path.rpartition("/")[0] in CORE[1:]:
            continue
        got = document(OfflineSession(tree | {path: "broken"}))
        for key in ("vendor", "model", "serial", "uuid", "power_state", "bios_version"):
            assert got[key] == told[key], (path, key)
        changed = {k for k in told if got[k] != told[k]} - {"unknown", "notes"}
        emptied = [k for k in changed if told[k] and got[k] is None]
        assert set(emptied) <= set(got["unknown"]), path
