"""A rolling upgrade: one server after the other, and no further at the first doubt.

A server is emptied, upgraded, restarted, and back among the others, with Ceph healthy, before the
next one is touched. What stops is told with how it stands; the same command goes on from there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from metal.cluster.doubts import no_doubt
from metal.drivers.ports import Ages, Shell
from metal.model.errors import Refused
from metal.operations.run import Run

VERSION = 1
TRIES = 4
Move = dict[str, Any]
"""vm, vmid, source, target."""


@dataclass(frozen=True)
class UpgradePorts:
    """For one cluster."""

    ages: Ages
    shell: Callable[[str], Shell]
    """Server → root's shell there."""
    left: Callable[[str], list[str]]
    """VMs that HA manages and that still run on a server."""
    moves: Callable[[str], list[Move]]
    """Where the other VMs of a server go, in order; Refused when one has nowhere to go."""
    away: Callable[[str], None]
    """Records that a server is out on purpose: nobody heals it meanwhile."""
    back: Callable[[str], None]
    rehearse: Callable[[str], None] = lambda _server: None
    """Refused when the server would not come back from a restart."""
    unlock: Callable[[str], object] = lambda _server: None
    """Gives its disk the key where it waits for one and the controller holds it."""
    every: float = 1.0
    moving: float = 3600.0
    """Seconds for HA to empty a server."""
    boot: float = 1800.0
    """Seconds for a server to restart, its disks unlocked by whoever does that."""
    healing: float = 7200.0
    """Seconds for Ceph to be healthy again."""


def refuse(cluster: str, servers: Sequence[str], ages: Ages, shell: Callable[[str], Shell]) -> None:
    """Before anything is begun: Refused while its cluster is not well, an error where a server does
    not let us in."""
    if doubts := ages.condition().doubts():
        raise Refused(
            f"not begun: {'; '.join(doubts)}",
            where=cluster,
            mend="mend that first: a server is taken out only while all others are well",
        )
    for server in servers:
        shell(server).answers()


def upgrade(run: Run, servers: Sequence[str], ports: UpgradePorts) -> dict[str, Any]:
    for server in servers:  # before anything is set aside: all of them, or none is begun
        run.step(f"{server} lets us in", partial(_lets_us_in, ports, server), tries=TRIES)
    for number, server in enumerate(servers):
        _Server(run, server, ports, number / len(servers)).upgrade()
    return {"versions": run.step("ask for versions", lambda: ports.ages.condition().versions)}


def _lets_us_in(ports: UpgradePorts, server: str) -> None:
    ports.shell(server).answers()


class _Server:
    def __init__(self, run: Run, name: str, ports: UpgradePorts, fraction: float) -> None:
        self._run, self._name, self._ports, self._fraction = run, name, ports, fraction

    def upgrade(self) -> None:
        name, ports, ages = self._name, self._ports, self._ports.ages
        self._step("see that all is well", self._no_doubt)
        ceph = self._step("ask whether there is Ceph", lambda: ages.condition().ceph is not None)
        self._step("set it aside", lambda: ports.away(name))
        self._step("let HA empty it", partial(self._maintenance, on=True))
        self._wait("HA has emptied it", self._emptied, ports.moving, "HA did not empty it")
        moves = self._step("find a place for the rest", lambda: ports.moves(name))
        for move in moves:
            there = partial(ages.ensure_migrated, move["vmid"], move["target"])
            self._step(f"move {move['vm']} to {move['target']}", there)
        if ceph:
            self._step("tell Ceph it comes back", partial(ages.ensure_no_data_moves, on=True))
        self._step("upgrade its packages", lambda: ports.shell(name).upgrade())
        before = self._step("note when it booted", lambda: ages.booted(name))
        self._step("restart it", partial(self._restart, before))
        late = "it did not come back; its disk may wait to be unlocked"
        self._wait("it is back", partial(self._returned, before), ports.boot, late)
        if ceph:
            self._step("let Ceph care again", partial(ages.ensure_no_data_moves, on=False))
        late = "all is not well again"
        self._wait("all is well again", self._well, ports.healing, late)
        self._step("give it back to HA", partial(self._maintenance, on=False))
        for move in reversed(moves):
            home = partial(ages.ensure_migrated, move["vmid"], name)
            self._step(f"move {move['vm']} back", home)
        self._step("take it in again", lambda: ports.back(name))

    def _step(self, what: str, act: Callable[[], Any]) -> Any:
        self._run.progress(self._fraction, f"{self._name}: {what}")
        return self._run.step(f"{self._name}: {what}", act, tries=TRIES, backoff=self._ports.every)

    def _wait(self, what: str, ready: Callable[[], bool | None], seconds: float, late: str) -> None:
        self._run.progress(self._fraction, f"{self._name}: {what}")
        self._run.wait(
            f"{self._name}: {what}",
            ready,
            seconds=seconds,
            every=self._ports.every,
            late=f"{self._name}: {late}. No other server was touched",
        )

    def _no_doubt(self) -> None:
        no_doubt(
            self._ports.ages.condition().doubts,
            where=self._name,
            what="not begun",
            mend="a server is taken out only while all others are well",
        )

    def _maintenance(self, *, on: bool) -> None:
        self._ports.shell(self._name).ensure_maintenance(self._name, on=on)

    def _emptied(self) -> bool | None:
        return True if not self._ports.left(self._name) else None

    def _restart(self, before: int) -> None:
        """Once: a server that booted since is not restarted again. With the kernel that came,
        its initramfs is another, too."""
        if self._ports.ages.booted(self._name) <= before + CLOCK:
            self._ports.rehearse(self._name)
            self._ports.ages.reboot(self._name)

    def _returned(self, before: int) -> bool | None:
        if not self._ports.ages.condition().nodes.get(self._name):
            self._ports.unlock(self._name)
            return None
        return True if self._ports.ages.booted(self._name) > before + CLOCK else None

    def _well(self) -> bool | None:
        return True if not self._ports.ages.condition().doubts() else None


CLOCK = 5
"""Seconds by which two readings of one boot may differ."""
