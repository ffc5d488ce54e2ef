"""Recorded machines told in other makers' manners: the same machine, so the same facts."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from metal.cli.render.facts import facts_document
from metal.drivers.redfish_answer import Answer
from metal.drivers.redfish_facts import read_facts
from metal.drivers.redfish_tree import Tree
from metal.lab.redfish_offline import OfflineSession

TREES = Path(__file__).resolve().parents[2] / "../shared/bmc/redfish"
NAMES = sorted(p.parent.name for p in TREES.glob("*/tree.json"))
pytestmark = pytest.mark.skipif(not NAMES, reason="no recorded machines beside the repository")
Change = Callable[[Any, str], Any]


class Paged(OfflineSession):
    """Collections come in pages of two."""

    def _send(self, method: str, path: str, *args: Any, **kwargs: Any) -> Answer:
        answer = super()._send(method, path, *args, **kwargs)
        members = answer.body.get("Members")
        if method != "GET" or not isinstance(members, list) or len(members) <= 2:
            return answer
        skip = int(parse_qs(urlsplit(path).query).get("$skip", ["0"])[0])
        body = answer.body | {"Members": members[skip : skip + 2]}
        if skip + 2 < len(members):
            body["Members@odata.nextLink"] = f"{path.partition('?')[0]}?$skip={skip + 2}"
        return Answer(200, body, {})


def bare_paths(value: Any, key: str) -> Any:
    if key == "Members" and isinstance(value, list):
        return [v["@odata.id"] if set(v) == {"@odata.id"} else v for v in value]
    return value


def slashes(value: Any, key: str) -> Any:
    return f"{value.rstrip('/')}/" if key == "@odata.id" and "#" not in value else value


def whole_addresses(value: Any, key: str) -> Any:
    return f"https://bmc.example.org:443{value}" if key == "@odata.id" else value


def hrefs(value: Any, key: str) -> Any:
    links = isinstance(value, dict) and set(value) == {"@odata.id"}
    return {"href": value["@odata.id"]} if links else value


def numbers_as_texts(value: Any, key: str) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def macs_without_colons(value: Any, key: str) -> Any:
    return value.replace(":", "") if isinstance(value, str) and "MAC" in key.upper() else value


def no_links_between(value: Any, key: str) -> Any:
    if key == "Links" and isinstance(value, dict):
        return {k: v for k, v in value.items() if k not in ("ManagedBy", "Chassis")}
    return value


def counts_of_zero(value: Any, key: str) -> Any:
    return 0 if key.endswith("@odata.count") else value


def capitals(value: Any, key: str) -> Any:
    worded = key in ("PowerState", "Health", "HealthRollup") and isinstance(value, str)
    return value.upper() if worded else value


def no_lists_of_one(value: Any, key: str) -> Any:
    sole = isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict)
    return value[0] if sole else value


MANNERS: tuple[Change, ...] = (
    bare_paths,
    slashes,
    whole_addresses,
    hrefs,
    numbers_as_texts,
    macs_without_colons,
    no_links_between,
    counts_of_zero,
    capitals,
    no_lists_of_one,
)


def changed(value: Any, change: Change, key: str = "") -> Any:
    value = change(value, key)
    if isinstance(value, dict):
        return {k: changed(v, change, k) for k, v in value.items()}
    if isinstance(value, list):
        return [changed(v, change, key) for v in value]
    return value


def recorded(name: str) -> dict[str, Any]:
    whole = json.loads((TREES / name / "tree.json").read_text())
    return {path.rstrip("/"): body for path, body in whole.items()}


def document(tree: dict[str, Any], session: type[OfflineSession] = OfflineSession) -> Any:
    return facts_document(read_facts(Tree(session(tree)), "198.51.100.1"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("manner", MANNERS, ids=lambda m: m.__name__)
def test_another_manner_tells_the_same(name: str, manner: Change) -> None:
    tree = recorded(name)
    assert document({p: changed(deepcopy(b), manner) for p, b in tree.items()}) == document(tree)


@pytest.mark.parametrize("name", NAMES)
def test_in_pages_it_is_the_same(name: str) -> None:
    tree = recorded(name)
    assert document(tree, Paged) == document(tree)


@pytest.mark.parametrize("name", NAMES)
def test_supplies_of_the_newer_place_are_the_same(name: str) -> None:
    """PowerSubsystem instead of Power."""
    tree, newer = recorded(name), deepcopy(recorded(name))
    for path, body in recorded(name).items():
        if not (isinstance(body.get("PowerSupplies"), list) and body["PowerSupplies"]):
            continue
        chassis = path.rpartition("/")[0]
        place = f"{chassis}/PowerSubsystem"
        links = [f"{place}/PowerSupplies/{i}" for i in range(len(body["PowerSupplies"]))]
        del newer[path]["PowerSupplies"]
        newer[chassis]["PowerSubsystem"] = {"@odata.id": place}
        newer[place] = {"PowerSupplies": {"@odata.id": f"{place}/PowerSupplies"}}
        newer[f"{place}/PowerSupplies"] = {"Members": [{"@odata.id": link} for link in links]}
        newer |= dict(zip(links, body["PowerSupplies"], strict=True))
    assert document(newer)["psus"] == document(tree)["psus"]
