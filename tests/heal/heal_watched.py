"""A cluster's model with a real watcher over it, one server of which is going to be sick."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from metal.controller.post import Post
from metal.controller.progress import silent
from metal.controller.watching import Watcher, WatchReport
from metal.lab.machine import Machine
from metal.lab.storms.fleet import fleet
from metal.lab.storms.laws import Laws
from metal.lab.storms.ports import AtOnce, Eyes, Leave, SimBmc, SimWorkspace
from metal.lab.storms.rack import Rack
from metal.model.facts import LogEntry, LogMark, LogNews
from metal.model.life import Life
from metal.operations.database import Clock
from metal.operations.owner import Owner
from metal.operations.store import open_store

EPOCH, TICK = 1_800_000_000.0, 10.0
SICK = "alba1"
MINUTE = 8
"""Rounds in which every log is read, and what it said confirmed."""


class Logging(SimBmc):
    """Its log is told by a real driver."""

    def log_news(self, mark: LogMark | None) -> LogNews:
        self._ask()
        found: LogNews = self.driver.log_news(mark)
        return found

    driver: Any = None


class Watched:
    """The cluster alba, its VMs, the watcher, and the log of alba1."""

    def __init__(self, folder: Path, driver: Any, machine: Machine) -> None:
        self.inventory = fleet({"lisbon": ("alba",)})
        self.rack, self.machine, self.driver = Rack(self.inventory), machine, driver
        clock = Clock(lambda: EPOCH + self.rack.now, lambda: self.rack.now)
        self.store = open_store("sqlite", folder, clock=clock)
        for name in self.inventory.servers:
            for life in (Life.ENROLLED, Life.INSTALLED, Life.MEMBER):
                self.store.servers.move(name, life)
            self.store.servers.pin(name, "ab" * 32)
        self.workspace = SimWorkspace(
            folder, self.inventory, self.store, Eyes(self.rack, "lisbon", random.Random(1)),
            Laws(self.rack).fence,
        )  # fmt: skip
        self.workspace.bmc = self._bmc  # type: ignore[method-assign]
        self.post = Post(self.store, "here", 3600.0, Owner("here", "here", "pid:[1]", 1, 1))
        self.rack.advance(600)
        self.begin()

    def begin(self) -> None:
        """A watcher of its own memory."""
        self.watcher = Watcher(
            self.workspace, silent, place="here", every=TICK, pool=AtOnce(), stop=Leave
        )

    def _bmc(self, server: str) -> Any:
        bmc = Logging(self.workspace.eyes, server, lambda name: pytest.fail(f"{name} was fenced"))
        bmc.driver = self.driver if server == SICK else Quiet()
        return bmc

    def rounds(self, count: int) -> WatchReport:
        for _ in range(count):
            self.post.seek()
            report = self.watcher.round(self.post)
            self.rack.advance(TICK)
        return report

    def log(self, text: str, count: int = 1) -> None:
        for _ in range(count):
            level: Any = "critical" if "Uncorrectable" in text else "warning"
            self.machine.events.append(LogEntry(at=None, severity=level, text=text))

    def moved(self) -> list[str]:
        return [who for _, who, what in self.rack.log if what.startswith("migrated from")]

    def there(self) -> set[str]:
        return set(self.rack.boxes[SICK].running)


class Quiet:
    def log_news(self, mark: LogMark | None) -> LogNews:
        return LogNews()
