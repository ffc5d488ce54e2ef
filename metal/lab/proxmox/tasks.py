"""Long calls: they answer a UPID at once, and end later on the lab's clock.

A task's work is a generator: `yield seconds` lets lab time pass, TaskError is its failure, and
what it returns is its exit status ("OK" if nothing).
"""

from __future__ import annotations

import itertools
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from metal.lab.proxmox.errors import ApiError, TaskError

if TYPE_CHECKING:
    from metal.lab.proxmox.datacenter import Datacenter
    from metal.lab.proxmox.state import Node

Work = Generator[float, None, str | None]
_pids = itertools.count(0x1F40, 7)


@dataclass
class Task:
    upid: str
    node: str
    pid: int
    pstart: int
    kind: str
    ident: str
    user: str
    started: float
    work: Work
    life: int
    """The node's life it was begun in."""
    ended: float | None = None
    exit_status: str = ""
    log: list[str] = field(default_factory=list)

    def status(self) -> dict[str, object]:
        """As /nodes/{node}/tasks/{upid}/status."""
        answer: dict[str, object] = {
            "upid": self.upid,
            "node": self.node,
            "pid": self.pid,
            "pstart": self.pstart,
            "starttime": int(self.started),
            "type": self.kind,
            "id": self.ident,
            "user": self.user,
            "status": "running" if self.ended is None else "stopped",
        }
        if self.ended is not None:
            answer["exitstatus"] = self.exit_status
        return answer

    def entry(self) -> dict[str, object]:
        """As in the list of tasks."""
        answer = self.status()
        if self.ended is not None:
            answer |= {"endtime": int(self.ended), "status": self.exit_status}
        else:
            answer.pop("status")
        return answer


def begin(dc: Datacenter, node: Node, kind: str, ident: str, user: str, work: Work) -> Task:
    """Start `work` on `node`; what it does before its first yield is done when this returns."""
    pid, now = next(_pids), dc.epoch()
    pstart = int(node.up_since * 100) & 0xFFFFFFFF
    upid = f"UPID:{node.name}:{pid:08X}:{pstart:08X}:{int(now):08X}:{kind}:{ident}:{user}:"
    task = Task(upid, node.name, pid, pstart, kind, ident, user, now, work, node.lives)
    node.tasks[upid] = task
    _go_on(dc, node, task)
    return task


def _go_on(dc: Datacenter, node: Node, task: Task) -> None:
    if task.ended is not None:
        return
    try:
        seconds = next(task.work)
    except StopIteration as end:
        _end(dc, task, end.value or "OK")
    except (TaskError, ApiError) as error:
        _end(dc, task, str(error))
    else:
        dc.timeline.after(seconds, lambda: _go_on(dc, node, task))


def _end(dc: Datacenter, task: Task, status: str) -> None:
    warning = dc.warnings.pop(task.kind, None) if status == "OK" else None
    if warning:
        status = "WARNINGS: 1"
        task.log += [f"WARN: {warning}", "TASK WARNINGS: 1"]
    else:
        task.log.append("TASK OK" if status == "OK" else f"TASK ERROR: {status}")
    task.ended, task.exit_status = dc.epoch(), status
    dc.note_ready(task.node, dc.timeline.now)
    if status != "OK":
        dc.event(task.node, f"{task.kind} {task.ident}: {status}")


def interrupt(dc: Datacenter, node: Node) -> None:
    """The power is gone: nothing of what ran goes on."""
    for task in node.tasks.values():
        if task.ended is None:
            task.work.close()
            task.ended, task.exit_status = dc.epoch(), "unexpected status"
