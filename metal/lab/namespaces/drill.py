"""What a fault of the trio costs: until each of its guests writes, durably, somewhere else.

A real `metal watch --act` heals, in a process of its own; what happened is read from the guests'
own consoles, whatever metal believes.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from metal.controller.post import POST
from metal.controller.workspace import Workspace
from metal.lab.namespaces.counting import counts
from metal.lab.namespaces.trio import Trio
from metal.lab.namespaces.workspace import LAB
from metal.model.base import Frozen
from metal.model.errors import Failed
from metal.operations.incidents import Incident

POLL = 0.05


class Moved(Frozen):
    """One guest. A number is written once, and by one copy, if nothing ran twice."""

    to: str
    seconds: float
    """From the fault to its first durable write there."""
    last: int
    """The last number that it said it wrote where it was."""
    first: int
    """The first that it wrote where it is. One more may have been durable than it came to say."""
    up: float
    """Its kernel's age at that write: more than it could have since a restart if it moved live."""


class Drilled(Frozen):
    server: str
    fault: str
    noticed: float
    """Seconds from the fault to the incident's first signal."""
    vms: dict[str, Moved]

    @property
    def seconds(self) -> float:
        """Until the last guest wrote elsewhere."""
        return max((vm.seconds for vm in self.vms.values()), default=0.0)


class Drill:
    """In the workspace `folder` of a trio whose VMs run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.trio = folder, Trio.of(folder / LAB)
        self.workspace = Workspace(folder)

    def close(self) -> None:
        self.workspace.store.close()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While the block lasts a watcher leads."""
        log = (self.folder / "watch.log").open("ab")
        words = [sys.executable, "-m", "metal", "-C", str(self.folder), "watch", "--act"]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        looks, leading = self.workspace.store.looks, self.workspace.store.leading
        began = time.time()

        def looked() -> bool:
            last = looks.last()
            leader = leading.who(POST)
            mine = leader is not None and f"pid {process.pid} " in leader.process
            return mine and last is not None and last[0] > began

        try:
            self.until(looked, 60, "the watcher does not look")
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)

    def fail(self, server: str, fault: str, *, seconds: float = 120) -> Drilled:
        """Let `fault` happen to it; returns once each of its VMs has written elsewhere."""
        there = self.vms_of(server)
        marks = self.marks(there, server)
        at = time.time()
        self.trio.break_(server, fault)
        return self.see(server, fault, at, marks, seconds=seconds)

    def see(
        self, server: str, fault: str, at: float, marks: Mapping[str, int], *, seconds: float = 120
    ) -> Drilled:
        """What became of the VMs since `at`; `marks`: VM → its last number on `server` then."""
        moved: dict[str, Moved] = {}

        def all_moved() -> bool:
            for vm in marks.keys() - moved.keys():
                if found := self._elsewhere(vm, server, at, marks[vm]):
                    moved[vm] = found
            return len(moved) == len(marks)

        self.until(all_moved, seconds, f"not all VMs of {server} write elsewhere")
        journal = self.workspace.store.journal
        self.until(lambda: not journal.list(open_only=True), seconds, "the healing does not end")
        incident = self.incident(server)
        noticed = incident.began - at if incident else 0.0
        return Drilled(server=server, fault=fault, noticed=noticed, vms=moved)

    def _elsewhere(self, vm: str, server: str, at: float, mark: int) -> Moved | None:
        for name, other in self.trio.servers.items():
            new = [c for c in counts(other.console(vm)) if c.number > mark]
            if name == server or not new:
                continue
            there = [c.number for c in counts(self.trio.servers[server].console(vm))]
            return Moved(
                to=name,
                seconds=time.time() - at,
                last=max(there),
                first=new[0].number,
                up=new[0].up,
            )
        return None

    def vms_of(self, server: str) -> list[str]:
        """What really runs there."""
        found: list[str] = self.trio.truth()["servers"][server]["vms"]
        return found

    def marks(self, vms: list[str], server: str) -> dict[str, int]:
        """VM → the last number that it wrote there, once each has begun to count."""
        consoles = {vm: self.trio.servers[server].console(vm) for vm in vms}
        self.until(lambda: all(counts(c) for c in consoles.values()), 120, "a guest does not count")
        return {vm: counts(console)[-1].number for vm, console in consoles.items()}

    def incident(self, server: str) -> Incident | None:
        """Its newest."""
        found = self.workspace.store.incidents.list()
        mine = [incident for incident in found if incident.subject == f"server {server}"]
        return mine[-1] if mine else None

    def until(self, reached: Callable[[], bool], seconds: float, late: str) -> None:
        deadline = time.monotonic() + seconds
        while not reached():
            if time.monotonic() > deadline:
                raise Failed(
                    f"{late} within {seconds:g} s",
                    where=str(self.folder),
                    mend="see watch.log there, and `metal incident list`",
                )
            time.sleep(POLL)
