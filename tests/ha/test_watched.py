"""The failure scenarios of pve-ha-manager with `metal watch --act` on top: they end no worse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from ha_rack import Rack
from ha_watch import Watched

FILE = Path(__file__).resolve().parents[2] / "../shared/pve/ha-scenarios.json"
FAST = Path("/dev/shm")
SCENARIOS = json.loads(FILE.read_text())["scenarios"] if FILE.exists() else []
GOOD = ("started", "freeze", "stopped", "request_stop", "ignored")


def test_there_are_scenarios() -> None:
    if not FILE.exists():
        pytest.skip("the recorded scenarios are not here")
    assert len(SCENARIOS) == 48


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where that can be: a scenario commits some hundred times."""
    with TemporaryDirectory(prefix="metal-ha-", dir=FAST if FAST.is_dir() else None) as made:
        yield Path(made)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s["name"])
def test_it_ends_no_worse(scenario: dict[str, Any], folder: Path) -> None:
    """What runs without metal runs with it, after no more rounds; no service ever runs twice and
    no node in the quorum is switched off (the rack sees to both)."""
    alone, watched = Rack(scenario).run(), Watched(scenario, folder).run()
    before, after = alone.outcome(), watched.outcome()
    assert set(before["running_on"]) <= set(after["running_on"]), watched.fenced
    worse = {s for s, state in after["states"].items() if state not in GOOD}
    assert worse <= {s for s, state in before["states"].items() if state not in GOOD}
    later = {s: (n, alone.down.get(s, 0)) for s, n in watched.down.items()}
    assert all(mine <= theirs + 1 for mine, theirs in later.values()), later
