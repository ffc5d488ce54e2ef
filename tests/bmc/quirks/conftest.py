"""Trees of machines that nobody recorded for us: only what makes each of them odd is in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from metal.cli.render.facts import facts_document
from metal.drivers.redfish_facts import read_facts
from metal.drivers.redfish_tree import Tree
from metal.lab.redfish_offline import OfflineSession

from ..lawful import assert_lawful

ROOT = "/redfish/v1"
SYSTEM, CHASSIS, MANAGER = f"{ROOT}/Systems/1", f"{ROOT}/Chassis/1", f"{ROOT}/Managers/1"
Body = dict[str, Any]
Look = Callable[..., Body]


class Machine(dict[str, Any]):
    """path → body. A server with a name, and nothing else until it is put there."""

    def __init__(self) -> None:
        super().__init__()
        services = ("Systems", "Chassis", "Managers")
        self[ROOT] = {s: {"@odata.id": f"{ROOT}/{s}"} for s in services}
        for path in (SYSTEM, CHASSIS, MANAGER):
            self.collect(path.rpartition("/")[0], {"1": {"Id": "1"}})
        self[SYSTEM] |= {
            "Manufacturer": "Dell Inc.",
            "Model": "PowerEdge R000",
            "SerialNumber": "SN42X7",
            "UUID": "4c4c4544-0058-4b10-8051-b8c04f324c32",
            "PowerState": "On",
            "Boot": {"BootSourceOverrideTarget": "None"},
            "Actions": {"#ComputerSystem.Reset": {"target": f"{SYSTEM}/Actions/Reset"}},
        }

    def collect(self, path: str, members: dict[str, Body]) -> dict[str, str]:
        """A collection of such members; a link to it."""
        self[path] = {"Members": [{"@odata.id": f"{path}/{id}"} for id in members]}
        for id, body in members.items():
            self[f"{path}/{id}"] = {"@odata.id": f"{path}/{id}", "Id": id} | body
        return {"@odata.id": path}

    def below(self, owner: str, name: str, members: dict[str, Body]) -> None:
        """A collection that `owner` links to."""
        self[owner][name] = self.collect(f"{owner}/{name}", members)


@pytest.fixture
def made() -> Machine:
    return Machine()


@pytest.fixture
def look() -> Look:
    """The document that `metal enroll --dry-run -o json` prints of such a tree."""

    def look(tree: Machine, node: str | None = None) -> Body:
        document = facts_document(read_facts(Tree(OfflineSession(tree), node), "198.51.100.1"))
        assert_lawful(document)
        return document

    return look


@pytest.fixture
def nodes() -> Callable[[Machine], tuple[str, ...]]:
    return lambda tree: Tree(OfflineSession(tree)).nodes()
