"""Machines with parts of them broken: facts come, or a MetalError, never anything else.

Recorded ones, and a small one in which each value matters, so that more of them are hit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metal.cli import main
from metal.cli.render.facts import facts_document
from metal.drivers import redfish_boot, redfish_log, redfish_media
from metal.drivers.redfish_accounts import AccountBook
from metal.drivers.redfish_exposure import read_exposure
from metal.drivers.redfish_facts import read_facts
from metal.drivers.redfish_health import read_health
from metal.drivers.redfish_tree import Tree
from metal.drivers.redfish_watts import watts
from metal.lab.recorded import recorded_bmc
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.redfish_offline import OfflineSession
from metal.model.errors import MetalError

from .lawful import assert_lawful
from .quirks.conftest import CHASSIS, MANAGER, SYSTEM, Machine

TREES = Path(__file__).resolve().parents[2] / "../shared/bmc/redfish"
NAMES = sorted(p.parent.name for p in TREES.glob("*/tree.json"))
SMALL = "small"
LOGIN = ("ADMIN", "only-for-this-test")
ODD: list[Any] = [
    None, 0, -1, "", "x", "7", [], {}, [None], [[]], [{}], ["a"], [0], {"a": 1}, True, 3.5,
    float("inf"), float("nan"), "0x10", "\x00\ud83d",
    {"@odata.id": None}, {"@odata.id": []}, {"@odata.id": "/nope"},
    "https://elsewhere.example.org/redfish/v1/Systems", {"@odata.id": "/redfish/v1/Systems/1#/x"},
    {"@odata.id": "#0"}, "0", "0 GB", "64 GB", "9" * 400, 1e308, -1e308, 10**400, "NaN", "\u202e",
    False, "Absent", {"": ""}, [{"@odata.id": "/redfish/v1"}], "00:00:00:00:00:00",
]  # fmt: skip
CORE = ("/redfish/v1", "/redfish/v1/Systems")
"""Without these, and the systems themselves, nothing can be told."""


def document(session: OfflineSession) -> dict[str, Any]:
    return facts_document(read_facts(Tree(session), "198.51.100.1"))


def small() -> Machine:
    """A server of a few parts, each in another place."""
    made = Machine()
    to = {"Chassis": [{"@odata.id": CHASSIS}], "ManagedBy": [{"@odata.id": MANAGER}]}
    made[SYSTEM] |= {
        "MemorySummary": {"TotalSystemMemoryGiB": 48},
        "ProcessorSummary": {"Count": 1, "CoreCount": 16, "LogicalProcessorCount": 32},
        "Links": to,
    }  # fmt: skip
    made.below(SYSTEM, "Memory", {n: {"CapacityMiB": 16384} for n in "123"})
    cpu = {"ProcessorType": "CPU", "Model": "AMD EPYC 7302", "TotalCores": 16, "TotalThreads": 32}
    made.below(SYSTEM, "Processors", {"1": cpu})
    disk = {"Name": "Disk 0", "SerialNumber": "S0", "CapacityBytes": 10**12, "MediaType": "SSD"}
    blocks = {"CapacityLogicalBlocks": 10**9, "BlockSizeBytes": 512, "RotationSpeedRPM": 7200}
    made[f"{SYSTEM}/D1"] = blocks | {"Id": "1", "PredictedMediaLifeLeftPercent": 50}
    made.below(SYSTEM, "Storage", {"1": {"Drives": [disk, {"@odata.id": f"{SYSTEM}/D1"}]}})
    made.below(SYSTEM, "SimpleStorage", {"1": {"Devices": [disk]}})
    given = {"Address": "169.254.0.1", "AddressOrigin": "DHCP"}
    made.below(SYSTEM, "EthernetInterfaces", {
        "1": {"MACAddress": "02:00:5e:00:00:01"},
        "2": {"MACAddress": "02:00:5e:00:00:02", "IPv4Addresses": [given]},
    })  # fmt: skip
    made.below(CHASSIS, "NetworkAdapters", {"A": {}})
    port = {"AssociatedNetworkAddresses": ["02:00:5e:00:00:03"]}
    made.below(f"{CHASSIS}/NetworkAdapters/A", "NetworkPorts", {"1": port})
    made[CHASSIS]["Power"] = {"@odata.id": f"{CHASSIS}/Power"}
    made[f"{CHASSIS}/Power"] = {"PowerControl": [{"PowerConsumedWatts": 200}]}
    made.below(CHASSIS, "PowerSubsystem", {})
    made.below(f"{CHASSIS}/PowerSubsystem", "PowerSupplies", {"1": {"PowerCapacityWatts": 500}})
    insert = {"Actions": {"#VirtualMedia.InsertMedia": {"target": "/x"}}}
    made.below(MANAGER, "VirtualMedia", {"CD": insert})
    made.below(MANAGER, "EthernetInterfaces", {"1": {"MACAddress": "02:00:5e:00:00:09"}})
    made.below(MANAGER, "LogServices", {"SEL": {"Name": "SEL"}})
    return made


@cache
def machine(name: str) -> tuple[dict[str, Any], tuple[str, ...], dict[str, Any]]:
    """The tree, the paths of it that matter, and what it says when nothing is broken."""
    whole = small() if name == SMALL else json.loads((TREES / name / "tree.json").read_text())
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
    """A copy in which some nodes are gone, twice there, or something else."""
    tree = dict(tree)
    for _ in range(random.randint(1, 25)):
        path = random.choice(paths)
        body = tree.get(path)
        if random.random() < 0.04:
            tree.pop(path, None)
        elif not isinstance(body, dict) or random.random() < 0.08:
            tree[path] = random.choice(ODD)
        else:
            tree[path] = body = json.loads(json.dumps(body))
            if found := places(body):
                _break(*random.choice(found), random)
    return tree


def _break(holder: Any, key: Any, random: Random) -> None:
    how = random.random()
    if how < 0.2:
        del holder[key]
    elif how < 0.3 and isinstance(holder, list):
        holder += list(holder)
    else:
        was = holder[key]
        holder[key] = random.choice([*ODD, [was], str(was), {"x": was}])


@settings(max_examples=150)
@given(st.sampled_from([SMALL, *NAMES, SMALL]), st.integers(0, 2**32))
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
        lambda: read_health(read),
        lambda: watts(read, read.system()),
    ):
        try:
            look()
        except MetalError as error:
            assert str(error)


@pytest.mark.parametrize("name", [SMALL, *NAMES])
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


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedfishBmc]:
    """A BMC that serves whatever tree it is given."""
    user, password = LOGIN
    bmc = recorded_bmc(
        {}, tmp_path_factory.mktemp("bmc"), address="127.0.0.1", port=0, user=user,
        password=password,
    )  # fmt: skip
    yield bmc.start()
    bmc.stop()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_a_dry_run_ends_in_a_server_or_a_refusal(
    seed: int,
    served: RedfishBmc,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The whole command over HTTPS: facts with nulls and reasons, or why there are none."""
    tree, paths, _ = machine(SMALL)
    served.tree = {
        path: body if isinstance(body, dict) else {"error": {"code": str(body)[:9]}}
        for path, body in broken(tree, paths, Random(seed)).items()
    }
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METAL_BMC_USER", LOGIN[0])
    monkeypatch.setenv("METAL_BMC_PASSWORD", LOGIN[1])
    capsys.readouterr()
    code = main(["enroll", "--dry-run", "-o", "json", f"127.0.0.1:{served.port}"])
    out, err = capsys.readouterr()
    assert "Traceback" not in err and "defect" not in err
    for document in json.loads(out):
        if "refused" in document:
            assert document["refused"] and document["exit_code"] in (1, 3, 4)
        else:
            assert_lawful(document)
    assert code in (0, 1, 3, 4)
    assert list(tmp_path.iterdir()) == []
