"""The recorded machines told in other ways that mean the same: the facts are the same.

What other firmware of the same makers does: other ids, one member a page, members in place of
links, counts that are wrong, numbers as texts. Breaking them is test_broken_trees.py's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metal.cli.render.facts import facts_document
from metal.drivers.redfish_facts import read_facts
from metal.drivers.redfish_tree import Tree
from metal.lab.redfish_offline import OfflineSession

Resources = dict[str, Any]
TREES = Path(__file__).resolve().parents[2] / "../shared/bmc/redfish"
NAMES = sorted(p.parent.name for p in TREES.glob("*/tree.json"))
ROOT = "/redfish/v1"
MAC = re.compile(r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
pytestmark = pytest.mark.skipif(not NAMES, reason="no recorded machines beside the repository")


def each_value(body: Any, change: Callable[[str, Any], Any]) -> Any:
    if isinstance(body, dict):
        return {key: each_value(change(key, value), change) for key, value in body.items()}
    return [each_value(item, change) for item in body] if isinstance(body, list) else body


def numbers_as_texts(key: str, value: Any) -> Any:
    return str(value) if type(value) in (int, float) else value


def wrong_counts(key: str, value: Any) -> Any:
    return 0 if key.endswith("@odata.count") else value


def slashes(key: str, value: Any) -> Any:
    plain = key == "@odata.id" and isinstance(value, str) and "#" not in value
    return value.rstrip("/") + "/" if plain else value


def shouted_states(key: str, value: Any) -> Any:
    shouted = key in ("State", "PowerState", "MediaType") and isinstance(value, str)
    return value.upper() if shouted else value


def macs_with_dashes(key: str, value: Any) -> Any:
    is_mac = isinstance(value, str) and MAC.fullmatch(value)
    return value.upper().replace(":", "-") if is_mac else value


VALUES = (numbers_as_texts, wrong_counts, slashes, shouted_states, macs_with_dashes)


def nameless(tree: Resources) -> Resources:
    """Bodies without their own path, type and tag."""
    own = ("@odata.id", "@odata.type", "@odata.context", "@odata.etag")
    return {p: {k: v for k, v in b.items() if k not in own} for p, b in tree.items()}


def renamed(tree: Resources) -> Resources:
    text = json.dumps(tree)
    for part in ("Systems", "Chassis", "Managers"):
        links = (m["@odata.id"] for m in tree.get(f"{ROOT}/{part}", {}).get("Members", ()))
        ids = {link.rstrip("/").rpartition("/")[2] for link in links}
        for number, id in enumerate(sorted(ids, key=len, reverse=True)):
            own = rf'({ROOT}/{part}/){re.escape(id)}(?=["/#])'
            text = re.sub(own, rf"\g<1>Other.{part}.{number}", text)
    again: Resources = json.loads(text)
    return again


def one_a_page(tree: Resources, key: str = "Members@odata.nextLink") -> Resources:
    paged = dict(tree)
    for path, body in tree.items():
        members = body.get("Members")
        for number, member in enumerate(members if isinstance(members, list) else ()):
            more = {key: f"{path}/page{number + 1}"} if number + 1 < len(members) else {}
            paged[f"{path}/page{number}" if number else path] = body | {"Members": [member]} | more
    return paged


def pages_by_another_name(tree: Resources) -> Resources:
    return one_a_page(tree, "@odata.nextLink")


def in_place(tree: Resources) -> Resources:
    """Members stand in the collection instead of their links."""

    def whole(member: Any) -> Any:
        return tree.get(str(member.get("@odata.id")).rstrip("/"), member)

    return {
        path: body | {"Members": [whole(m) for m in members]}
        if isinstance(members := body.get("Members"), list)
        else body
        for path, body in tree.items()
    }


def without_links(tree: Resources) -> Resources:
    """Systems do not say what they sit in, nor who manages them."""
    system = re.compile(rf"{ROOT}/Systems/[^/]+")
    return {
        path: {k: v for k, v in body.items() if k != "Links" or not system.fullmatch(path)}
        for path, body in tree.items()
    }


def sizes_in_gib(tree: Resources) -> Resources:
    def gib(key: str, value: Any) -> Any:
        in_mib = key == "CapacityMiB" and isinstance(value, int) and value % 1024 == 0
        return value // 1024 if in_mib else value

    return {path: each_value(body, gib) for path, body in tree.items()}


WHOLE = (
    nameless,
    renamed,
    one_a_page,
    pages_by_another_name,
    in_place,
    without_links,
    sizes_in_gib,
)


def recorded(name: str) -> Resources:
    tree = json.loads((TREES / name / "tree.json").read_text())
    return {path.rstrip("/"): body for path, body in tree.items()}


def facts(tree: Resources) -> dict[str, Any]:
    document = facts_document(read_facts(Tree(OfflineSession(tree)), "198.51.100.1"))
    return {key: value for key, value in document.items() if key not in ("node", "notes")}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("change", VALUES, ids=lambda c: c.__name__)
def test_values_told_otherwise(name: str, change: Callable[[str, Any], Any]) -> None:
    tree = recorded(name)
    told = {path: each_value(body, change) for path, body in tree.items()}
    assert facts(told) == facts(tree)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("change", WHOLE, ids=lambda c: c.__name__)
def test_resources_put_otherwise(name: str, change: Callable[[Resources], Resources]) -> None:
    tree = recorded(name)
    assert facts(change(tree)) == facts(tree)
