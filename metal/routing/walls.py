"""Close a site's VMs by Proxmox's firewall, each proven before the next is touched.

No timer of Proxmox's takes it back: all that is to be let in is let in before anything is closed,
and what was answered before must be answered afterwards, or it is undone from here. Whoever is
killed in between leaves a VM that lets its services in, and goes on by giving it all once more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Protocol

from metal.model.errors import Failed, Unreachable
from metal.model.walls import CLOSED, WallOptions, WallRule
from metal.operations.run import Run
from metal.routing.order import Call
from metal.routing.wall_order import WallOrder, WallsOrder

VERSION = 1
TRIES = 3
SETTLED = 25.0
"""Seconds after which a change is in force: every node's pve-firewall looks each ten."""
A_WEEK = 7 * 86400.0
"""No answer from a cluster is no reason to leave it half done: who has no patience stops it."""


class Walls(Protocol):
    """The firewall of one cluster. Every call may be repeated."""

    def ensure_datacenter(self, *, on: bool) -> None: ...
    def ensure_opened(self, vmid: int, rules: Sequence[WallRule]) -> None: ...
    def ensure_wall_options(self, vmid: int, options: WallOptions) -> None: ...
    def ensure_only(self, vmid: int, comments: Sequence[str]) -> None: ...


@dataclass(frozen=True)
class WallPorts:
    """For the clusters of one site."""

    walls: Callable[[str], Walls]
    silent: Callable[[Sequence[Call]], tuple[Call, ...]]
    """Those that nobody answers, as seen from here."""
    every: float = 1.0
    settled: float = SETTLED
    clock: Callable[[], float] = monotonic


def apply_walls(run: Run, order: WallsOrder, ports: WallPorts) -> dict[str, list[str]]:
    """VM → what is other now."""
    for one in order.walls:
        opened = partial(ports.walls(one.cluster).ensure_opened, one.vmid, one.rules)
        run.step(f"{one.vm}: what it serves is let in", opened, tries=TRIES)
    stages = [_cluster(name, order, ports) for name in order.clusters]
    stages += [_vm(one, ports) for one in order.walls]
    for number, stage in enumerate(stages):
        run.progress(0.1 + 0.9 * number / len(stages), f"{stage.what}: trying")
        trying = _Trying(run, stage, order.trial, ports)
        run.wait(
            f"{stage.what}: answered as before", trying.proven, seconds=A_WEEK, every=ports.every
        )
    for one in order.walls:
        only = partial(ports.walls(one.cluster).ensure_only, one.vmid, one.kept)
        run.step(f"{one.vm}: no other rules of ours", only, tries=TRIES)
    return {one.vm: list(one.changes()) for one in order.walls}


@dataclass(frozen=True)
class _Stage:
    """What is given at once, and how it is undone."""

    what: str
    calls: tuple[Call, ...]
    give: Callable[[], None]
    undo: Callable[[], None]


def _cluster(name: str, order: WallsOrder, ports: WallPorts) -> _Stage:
    ensure = ports.walls(name).ensure_datacenter
    return _Stage(name, order.calls, partial(ensure, on=True), partial(ensure, on=False))


def _vm(one: WallOrder, ports: WallPorts) -> _Stage:
    walls = ports.walls(one.cluster)

    def give() -> None:
        walls.ensure_opened(one.vmid, one.rules)
        walls.ensure_wall_options(one.vmid, CLOSED)

    def undo() -> None:
        walls.ensure_wall_options(one.vmid, one.before.options)
        walls.ensure_only(one.vmid, [rule.comment for rule in one.before.rules])

    return _Stage(one.vm, one.calls, give, undo)


class _Trying:
    """One stage; each process gives it anew, whatever became of it before."""

    def __init__(self, run: Run, stage: _Stage, trial: float, ports: WallPorts) -> None:
        self._run, self._stage, self._ports = run, stage, ports
        self._trial = max(trial, 2 * ports.settled)
        self._since: float | None = None

    def proven(self) -> bool | None:
        """True once it is answered as before; None while it is not; Failed when it was undone."""
        try:
            return self._asked()
        except Unreachable as error:
            self._run.say(f"{self._stage.what}: {error.what}; it is asked again")
            raise

    def _asked(self) -> bool | None:
        if self._since is None:
            self._stage.give()
            self._since = self._ports.clock()
        if not self._stage.calls:
            return True
        if (passed := self._ports.clock() - self._since) < self._ports.settled:
            return None
        silent = self._ports.silent(self._stage.calls)
        if silent and passed >= self._trial:
            self._stage.undo()
            raise Failed(
                f"no answer from {', '.join(map(str, silent[:4]))}: its firewall is as it was",
                where=self._stage.what,
                mend="say in `serves` what it serves, or see which rule of a person's is before "
                "ours; then the same command begins anew",
            )
        return None if silent else True
