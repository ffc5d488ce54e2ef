"""One BMC with several servers, and BMCs with none: a chassis of nodes, a switch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metal.controller.enrolling import enroll
from metal.controller.progress import silent
from metal.controller.targets import targets_of
from metal.enroll.door import Credential
from metal.inventory import load
from metal.lab.machine import Machine
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.redfish_tree import ROOT, machine_tree

TREES = Path(__file__).resolve().parents[2].parent / "shared" / "bmc" / "redfish"
FACTORY = Credential("ADMIN", "factory-Pa55word")


def serve(fleet: Any, number: int, tree: dict[str, Any]) -> RedfishBmc:
    """A recorded tree at 127.77.0.NUMBER: read-only."""
    bmc = RedfishBmc(
        Machine("m", fleet.redfish(250).machine.hardware),
        f"127.77.0.{number}",
        0,
        fleet.certificate,
        {FACTORY.user: FACTORY.password},
        tree=tree,
    )
    fleet.bmcs.append(bmc)
    return bmc.start()


def chassis_of_two(fleet: Any) -> dict[str, Any]:
    """Two nodes that have the chassis' serial in common, as Cray and Supermicro build them."""
    machine = fleet.redfish(251).machine
    tree = machine_tree(machine, {})
    first = f"{ROOT}/Systems/1"
    copies = {}
    for path, body in tree.items():
        if path == first or path.startswith(f"{first}/"):
            text = json.dumps(body).replace("Systems/1", "Systems/2")
            text = text.replace("02:00:5E:00:77", "02:00:5E:00:78")
            copies[path.replace("Systems/1", "Systems/2", 1)] = json.loads(text)
    copies[f"{ROOT}/Systems/2"] |= {"Id": "2", "UUID": "4c4c4544-0042-4a10-8036-b4c04f4daaaa"}
    tree |= copies
    tree[f"{ROOT}/Systems"]["Members"].append({"@odata.id": f"{ROOT}/Systems/2"})
    return tree


def test_each_node_is_a_server_of_its_own(fleet: Any, at: Callable[[Any], str]) -> None:
    bmc = serve(fleet, 11, chassis_of_two(fleet))
    results = enroll(None, targets_of(None, [at(bmc)]), (FACTORY,), dry_run=True, progress=silent)
    assert [r.facts.node for r in results if r.facts] == ["1", "2"]
    assert {r.facts.uuid for r in results if r.facts} == {
        "4c4c4544-0042-4a10-8036-b4c04f4d00fb",
        "4c4c4544-0042-4a10-8036-b4c04f4daaaa",
    }
    assert bmc.sessions == {} and bmc.failed_logins == 0


def test_nodes_share_their_bmc_and_its_password(fleet: Any, at: Callable[[Any], str]) -> None:
    """The second one finds the password set already: it is one account."""
    tree = chassis_of_two(fleet)
    bmc = fleet.redfish(11)
    original = bmc._resource

    def resource(path: str, *more: Any) -> Any:
        own = path.startswith((f"{ROOT}/AccountService", f"{ROOT}/SessionService"))
        return original(path, *more) if own else tree.get(path)

    bmc._resource = resource
    workspace = fleet.workspace
    results = enroll(workspace, targets_of(workspace, [at(bmc)]), (FACTORY,), progress=silent)
    workspace.store.close()
    assert [r.error for r in results] == [None, None]
    one, two = (r.server for r in results)
    inventory = load(fleet.folder)
    assert [inventory.servers[n].bmc.node for n in (one, two)] == ["1", "2"]
    assert inventory.behind(one) == (one, two)
    assert fleet.password(one) == fleet.password(two)
    assert bmc.works("metal", fleet.password(one)) and bmc.failed_logins == 0


def test_a_bmc_without_a_server_is_refused_alone(fleet: Any, at: Callable[[Any], str]) -> None:
    tree = {
        ROOT: {
            "Systems": {"@odata.id": f"{ROOT}/Systems"},
            "Chassis": {"@odata.id": f"{ROOT}/Chassis"},
            "Links": {"Sessions": {"@odata.id": f"{ROOT}/SessionService/Sessions"}},
        },
        f"{ROOT}/Systems": {"Members": []},
        f"{ROOT}/Chassis": {"Members": [{"@odata.id": f"{ROOT}/Chassis/1"}]},
        f"{ROOT}/Chassis/1": {"Id": "1", "Name": "Ethernet switch", "ChassisType": "Module"},
    }
    switch, server = serve(fleet, 11, tree), fleet.redfish(12)
    results = enroll(
        None, targets_of(None, [at(switch), at(server)]), (FACTORY,), dry_run=True, progress=silent
    )
    assert [r.ok for r in results] == [False, True]
    assert results[0].exit_code == 3 and "no server behind it" in str(results[0].error)


@pytest.mark.skipif(not TREES.exists(), reason="no recorded machines beside the repository")
def test_a_recorded_chassis(fleet: Any, at: Callable[[Any], str]) -> None:
    tree = json.loads((TREES / "cray-ex425-1" / "tree.json").read_text())
    wanted = json.loads((TREES / "cray-ex425-1" / "expected.json").read_text())
    bmc = serve(fleet, 11, tree)
    results = enroll(None, targets_of(None, [at(bmc)]), (FACTORY,), dry_run=True, progress=silent)
    assert all(r.ok for r in results), [r.error for r in results]
    assert len(results) == len(wanted.get("systems", results))
    assert len({r.facts.node for r in results if r.facts}) == len(results) > 1
