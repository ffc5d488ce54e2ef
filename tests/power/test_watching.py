"""Watching a server that only a person can prove off: the others are watched meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from metal.controller import healing
from metal.controller.progress import silent
from metal.controller.watching import watch_once
from metal.model.life import Life, Status
from metal.model.plan import RecoverServer, Risk
from metal.model.world import SeenCluster


class Lost:
    """A cluster of others that sees alba3 no more; nothing ran there."""

    silent: dict[str, str] = {}

    def look(self) -> tuple[SeenCluster, dict[str, str], dict[str, Any]]:
        return SeenCluster(formed=True, quorate=True), {"alba3": "offline"}, {}

    def ha_managed(self) -> frozenset[int]:
        return frozenset()


def test_a_round_ends_while_a_person_is_asked_and_the_next_finds_the_answer(
    rack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing, "ANSWER_SECONDS", 0.3)
    workspace = rack.workspace
    monkeypatch.setattr(workspace, "hypervisor", lambda _cluster: Lost())
    store = workspace.store
    for life in (Life.ENROLLED, Life.INSTALLED, Life.MEMBER):
        store.servers.move("alba3", life)
    action = RecoverServer(
        server="alba3", cluster="alba3", vms={}, what="recover", why="it hangs", risk=Risk.DISRUPTS
    )
    params = {"action": action.model_dump(mode="json")}
    store.journal.open("recover", action.id, ["server alba3"], params)

    for _ in range(2):
        report = watch_once(workspace, act=True, progress=silent)
        assert "alba3 waits for a person at the rack: `metal power waiting`" in report.holds
        assert report.failed == {}
    (asked,) = store.requests.waiting()
    assert asked.why == "its VMs are restarted elsewhere once it is off: it hangs"
    assert store.servers.get("alba3").status is not Status.HELD

    store.requests.answer(asked.id, "done", "ana")
    watch_once(workspace, act=True, progress=silent)
    record = store.servers.get("alba3")
    assert record.status is Status.HELD
    assert record.note.startswith("fenced: off, off, off read back from a person at the rack")
    assert store.requests.waiting() == []
    store.close()
