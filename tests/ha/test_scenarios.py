"""The failure scenarios of pve-ha-manager: the same ends, the same order of events."""

import json
from pathlib import Path
from typing import Any

import pytest
from ha_rack import Rack

FILE = Path(__file__).resolve().parents[2] / "../shared/pve/ha-scenarios.json"
SCENARIOS = json.loads(FILE.read_text())["scenarios"] if FILE.exists() else []
ORDERED = ("state changed", "recover service", "Try to fence", "got agent lock", "no recovery node")
"""Of the events those whose order must be the same: states, fencing, recovery, starts."""
TOLERANCE = 20.0
"""Seconds, a round."""


def _ordered(events: Any) -> list[tuple[float, str, str]]:
    return [(at, who, what) for at, who, what in events if any(w in what for w in ORDERED)]


def test_there_are_scenarios() -> None:
    if not FILE.exists():
        pytest.skip("the recorded scenarios are not here")
    assert len(SCENARIOS) == 48


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s["name"])
def test_it_ends_as_proxmox_does(scenario: dict[str, Any]) -> None:
    rack = Rack(scenario).run()
    expected = dict(scenario["expected"])
    assert rack.now == expected.pop("end_time")
    assert rack.outcome() == expected
    mine, theirs = _ordered(rack.events), _ordered(scenario["key_events"])
    assert [event[1:] for event in mine] == [event[1:] for event in theirs]
    assert all(abs(m[0] - t[0]) <= TOLERANCE for m, t in zip(mine, theirs, strict=True))


# ── without the recorded ones: the figures that facts of Proxmox VE give ─────────────────────


def _three(commands: list[list[str]], services: dict[str, str]) -> Rack:
    """Three nodes switched on, then `commands`; service → its node."""
    return Rack(
        {
            "cmdlist": [[f"power node{n} on" for n in (1, 2, 3)], *commands],
            "hardware_status": {f"node{n}": {"power": "off", "network": "off"} for n in (1, 2, 3)},
            "service_config": {s: {"node": n, "state": "started"} for s, n in services.items()},
            "rules_config": None,
            "datacenter_cfg": None,
            "manager_status": None,
            "static_service_stats": None,
        }
    ).run()


def _since(rack: Rack, at: float, words: str) -> float:
    return next(t for t, _, what in rack.events if t >= at and words in what) - at


def test_a_lost_node_costs_two_minutes() -> None:
    rack = _three([["network node3 off"]], {"vm:101": "node3"})
    assert rack.outcome()["running_on"] == {"vm:101": "node1"}
    assert _since(rack, 120, "recover service") == 120


def test_its_watchdog_fires_before_anybody_takes_over() -> None:
    rack = _three([["network node3 off"]], {"vm:101": "node3"})
    assert _since(rack, 120, "watchdog") < _since(rack, 120, "recover service")


def test_losing_the_master_costs_a_minute_more() -> None:
    rack = _three([["network node1 off"]], {"vm:101": "node1"})
    assert 160 <= _since(rack, 120, "recover service") <= 182


def test_without_quorum_everybody_is_reset_and_nothing_moves() -> None:
    alone = [["network node1 off", "network node2 off", "network node3 off"]]
    rack = _three(alone, {"vm:101": "node1", "vm:102": "node2", "vm:103": "node3"})
    assert sum("stopped by poweroff (watchdog)" in what for _, _, what in rack.events) == 3
    assert not any("recover service" in what for _, _, what in rack.events)
