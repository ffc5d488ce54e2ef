"""What Prometheus is told: from the store alone, and nothing of what nobody knows."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from heal_fleet import inventory
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from metal.controller.fleet_state import VERDICTS, FleetState, read_state
from metal.controller.metering import Meter, MetricsDoor
from metal.controller.metrics import fleet_metrics
from metal.controller.post import POST
from metal.controller.workspace import Workspace
from metal.model.errors import BadInput, Unreachable
from metal.model.world import SeenCluster, SeenServer, SeenVm, World
from metal.operations.store import open_store

DOCS = Path(__file__).resolve().parents[2] / "docs/metrics.md"
WORLD = World(
    servers={
        "alba1": SeenServer(power="on", node="online"),
        "alba2": SeenServer(power="off", node="offline"),
        "alba3": SeenServer(),
    },
    clusters={"alba": SeenCluster(formed=True, quorate=True, ceph_osds=2)},
    vms={"mail": SeenVm(vmid=101, cluster="alba", server="alba1", state="running")},
    silent={"bmc alba3": "timed out after 5 s"},
)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path)
    with open_store("sqlite", tmp_path / "state") as store:
        made.__dict__.update(inventory=inventory(), store=store)
        yield made


def samples(text: str) -> dict[tuple[str, ...], float]:
    """(name, label values in the order of their names) → value."""
    return {
        (s.name, *(s.labels[label] for label in sorted(s.labels))): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def told(workspace: Workspace) -> dict[tuple[str, ...], float]:
    return samples(generate_latest(Meter(workspace).registry).decode())


def of(state: FleetState) -> dict[tuple[str, ...], float]:
    return {
        (s.name, *(s.labels[label] for label in sorted(s.labels))): s.value
        for family in fleet_metrics(inventory(), state)
        for s in family.samples
    }


def test_before_anybody_looked_nothing_is_said_of_servers(workspace: Workspace) -> None:
    found = told(workspace)
    assert found["metal_store_up",] == 1
    assert found["metal_watch_leading",] == 0
    assert not [key for key in found if key[0].startswith(("metal_server", "metal_cluster"))]
    assert ("metal_observation_age_seconds",) not in found


def test_what_was_seen_is_told_and_what_is_unknown_is_not(workspace: Workspace) -> None:
    workspace.store.looks.save(WORLD.model_dump_json())
    workspace.store.records.put(*VERDICTS, {"alba1": "healthy", "alba2": "dead", "gone": "dead"})
    workspace.store.sightings.put("utrecht", {"alba1": True, "alba2": False})
    found = told(workspace)
    assert found["metal_server_power", "alba1", "lisbon"] == 1
    assert found["metal_server_power", "alba2", "lisbon"] == 0
    assert ("metal_server_power", "alba3", "lisbon") not in found
    assert found["metal_server_node_online", "alba2", "lisbon"] == 0
    assert found["metal_server_state", "alba2", "lisbon", "dead"] == 1
    assert not [key for key in found if "gone" in key]
    assert found["metal_silent", "bmc"] == 1
    assert found["metal_silent", "cluster"] == 0
    assert found["metal_cluster_quorate", "alba"] == 1
    assert found["metal_cluster_ceph_osds_up", "alba"] == 2
    assert found["metal_vms", "alba", "running"] == 1
    assert found["metal_place_hosts_reached", "utrecht"] == 1


def test_what_was_seen_too_long_ago_is_not_what_is(workspace: Workspace) -> None:
    workspace.store.looks.save(WORLD.model_dump_json())
    workspace.store.records.put(*VERDICTS, {"alba2": "dead"})
    state = read_state(workspace)
    assert ("metal_server_state", "alba2", "lisbon", "dead") in of(state)
    later = of(replace(state, now=state.now + 61))
    assert later["metal_observation_age_seconds",] > 60
    assert not [key for key in later if key[0].startswith(("metal_server", "metal_cluster"))]
    assert not [key for key in later if key[0] == "metal_ipv4_free"]


@pytest.mark.parametrize(("memory", "survives"), [(1024, 1.0), (40_000, 0.0)])
def test_the_promise_of_survival_is_told(
    workspace: Workspace, memory: int, survives: float
) -> None:
    learned = {"memory_gib": 64, "threads": 32, "cores": 16}
    fleet = workspace.inventory.model_dump()
    fleet["servers"] = {n: {**s, "learned": learned} for n, s in fleet["servers"].items()}
    fleet["servers"] = {n: _given(s) for n, s in fleet["servers"].items()}
    workspace.__dict__["inventory"] = type(workspace.inventory).model_validate(_given(fleet))
    up = SeenServer(life="member", power="on", node="online")
    names = ("alba1", "alba2", "alba3")
    vms = {
        f"vm{n}": SeenVm(
            vmid=200 + n, cluster="alba", server=at, state="running", memory_mib=memory, vcpus=1
        )
        for n, at in enumerate(names)
    }
    seen = SeenCluster(formed=True, quorate=True, nodes=names)
    world = World(servers=dict.fromkeys(names, up), clusters={"alba": seen}, vms=vms)
    workspace.store.looks.save(world.model_dump_json())
    assert told(workspace)["metal_cluster_survives", "alba"] == survives


def _given(told: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in told.items() if value is not None}


def test_incidents_actions_and_the_leader_are_told(workspace: Workspace) -> None:
    store = workspace.store
    term = store.leading.seek(POST, "lisbon", 60)
    assert term
    incident, _ = store.incidents.open("server alba2", "dead")
    store.alarms.tell(incident.id, ["ops"], "alba2: dead", "…")
    over, _ = store.incidents.open("site lisbon", "site-trouble")
    store.incidents.close(over.id, "it is over")
    store.journal.open("recover", "recover:alba2", [], {"by": "watch"})
    store.journal.open("drain", "drain:alba1", [], {})
    found = told(workspace)
    assert (found["metal_watch_leading",], found["metal_watch_leader_term",]) == (1, 1)
    assert found["metal_incidents_total", "server"] == found["metal_incidents_total", "site"] == 1
    open_ones = [key for key in found if key[0] == "metal_incident_open_seconds"]
    assert open_ones == [("metal_incident_open_seconds", "1", "dead", "server alba2")]
    assert found["metal_actions_total", "recover"] == 1
    assert found["metal_actions_total", "drain"] == 0, "a person's own"
    assert found["metal_actions_last_hour",] == 1
    assert found["metal_operations_open", "drain", "running"] == 1
    assert found["metal_alarms_unsent",] == 1


def test_an_alarm_that_is_given_up_is_counted_as_lost(workspace: Workspace) -> None:
    store = workspace.store
    incident, _ = store.incidents.open("server alba2", "dead")
    store.alarms.tell(incident.id, ["ops"], "alba2: dead", "…")
    while store.alarms.unsent()[0]:
        (alarm,) = store.alarms.about(incident.id)
        store.alarms.not_sent(alarm, "no route")
    found = told(workspace)
    assert (found["metal_alarms_unsent",], found["metal_alarms_lost_total",]) == (0, 1)


def test_a_store_that_is_away_is_told_instead(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise Unreachable("the state database does not answer", where="database")

    monkeypatch.setattr(workspace.store.looks, "last", away)
    found = told(workspace)
    assert found["metal_store_up",] == 0
    assert ("metal_watch_leading",) not in found


def test_rounds_are_metered(workspace: Workspace) -> None:
    meter = Meter(workspace)
    with meter.round():
        pass
    with pytest.raises(Unreachable), meter.round():
        raise Unreachable("away", where="database")
    meter.leads(True)
    found = samples(generate_latest(meter.registry).decode())
    assert found["metal_watch_round_seconds_count",] == 1
    assert found["metal_watch_round_failures_total",] == 1
    assert found["metal_watch_leads",] == 1


def test_the_door_tells_and_changes_nothing(workspace: Workspace) -> None:
    with MetricsDoor(Meter(workspace), "0") as door:
        assert door.url.startswith("http://127.0.0.1:") and not door.open_to_all
        said = requests.get(door.url, timeout=30)
        assert said.headers["content-type"].startswith("text/plain; version=")
        assert samples(said.text)["metal_store_up",] == 1
        assert requests.get(door.url.removesuffix("/metrics"), timeout=30).status_code == 200
        assert requests.post(door.url, timeout=30).status_code == 405
        assert requests.get(door.url.replace("metrics", "preseed"), timeout=30).status_code == 404


@pytest.mark.parametrize("listen", ["", "x", "127.0.0.1:", "127.0.0.1:http", "70000", "::1"])
def test_what_is_no_address_is_refused(workspace: Workspace, listen: str) -> None:
    with pytest.raises(BadInput, match="--metrics"):
        MetricsDoor(Meter(workspace), listen)


def test_promtool_finds_the_names_good(workspace: Workspace) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: apt install prometheus")
    workspace.store.looks.save(WORLD.model_dump_json())
    text = generate_latest(Meter(workspace).registry)
    said = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_page_names_each_metric_and_no_other(workspace: Workspace) -> None:
    families = text_string_to_metric_families(generate_latest(Meter(workspace).registry).decode())
    ours = {
        f.name + ("_total" if f.type == "counter" else "")
        for f in families
        if f.name.startswith("metal_")
    }
    table = DOCS.read_text().split("## Alerts")[0]
    assert set(re.findall(r"^\| `(metal_\w+)", table, re.M)) == ours
