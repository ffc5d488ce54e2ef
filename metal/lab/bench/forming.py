"""Forming clusters of three with Ceph: calls, waits, and three clusters side by side.

The double takes as long as real nodes do, at SPEED times their pace, and so does the driver's
patience: what is measured is how much longer than the nodes themselves it takes.
"""

import re
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metal.cluster.flow import form
from metal.cluster.ports import ClusterPorts
from metal.drivers.proxmox import PROMPT, NodeAccess, Patience, Proxmox
from metal.lab.bench.clusters import NODES, PASSWORD, PORT, address, cluster, node, running
from metal.lab.proxmox.state import Pace
from metal.model.life import Status
from metal.model.plan import FormCluster, Osd, Risk
from metal.operations.run import perform
from metal.operations.store import Store, open_store

SPEED = 4.0
"""Of the nodes' own pace: much faster, and what an answer takes would seem to be a wait."""
DISKS = ("sdb", "sdc")
NODE = re.compile(r"\bc\d{3}n\d\b")
POLLS = ("GET nodes/*/tasks/*/status", "GET cluster/status")
"""What is asked again and again while something is waited for."""


@dataclass(frozen=True)
class Waited:
    """By this machine's monotonic clock."""

    what: str
    cluster: str
    began: float
    ended: float


@dataclass(frozen=True)
class Counted(Patience):
    """Notes what was waited for, and when that began and was over."""

    waits: list[Waited] = field(default_factory=list)

    def until(self, ready: Any, *, late: str, where: str = "", **more: Any) -> None:
        began, cluster = time.monotonic(), threading.current_thread().name
        super().until(ready, late=late, where=where, **more)
        what = NODE.sub("NODE", late)
        self.waits.append(Waited(what, cluster, began, time.monotonic()))


def _past(wait: Waited, ready: list[tuple[str, float]]) -> float:
    """Seconds that it ended after what it waited for was there.

    A cluster is formed one step after the other: what was waited for is the last that became
    ready on its nodes, or was so from the first."""
    moments = [at for name, at in ready if name.startswith(wait.cluster) and at <= wait.ended]
    return wait.ended - max([wait.began, *moments])


def forming() -> None:
    print(
        f"\n{f'forming, at {SPEED:g} times the pace':<40} {'wall s':>8} {'ratio':>6} {'calls':>6}"
    )
    one, calls, past = _formed(1)
    _line("one cluster of three, six OSDs", one, one, calls)
    three, more, beside = _formed(3)
    _line("three clusters side by side", three, one, more)
    floor = _floor(Pace()) / SPEED
    print(f"{'what the nodes themselves need':<40} {floor:8.1f} {floor / one:6.2f}")
    polls = sum(calls[kind] for kind in POLLS)
    print(f"\n{'one cluster':<40}")
    print(f"{'calls that are asked once':<40} {sum(calls.values()) - polls:8d}")
    print(f"{'asked while it is waited for':<40} {polls:8d}")
    _waits("waits of one cluster", past)
    _waits("waits of three clusters", beside)
    print(f"\n{'calls of one cluster':<40}")
    for kind, times in sorted(calls.items(), key=lambda c: (-c[1], c[0])):
        print(f"    {kind:<36} {times:8d}")


def _line(what: str, wall: float, base: float, calls: Counter[str]) -> None:
    print(f"{what:<40} {wall:8.1f} {wall / base:6.2f} {sum(calls.values()):6d}")


def _floor(pace: Pace) -> float:
    """Lab seconds that a cluster's own tasks take, one after the other."""
    create = pace.create + pace.quorate_after_create
    join = (NODES - 1) * (1 + pace.join + pace.membership)
    ceph = NODES * 2 * pace.ceph + NODES * len(DISKS) * pace.osd + pace.ceph
    return create + join + ceph


def _waits(title: str, past: dict[str, list[float]]) -> None:
    """The nodes' own seconds past the moment at which what is waited for was ready."""
    print(f"\n{title:<40} {'waits':>8} {'most s':>8} {'mean s':>8}")
    for what, seconds in sorted(past.items(), key=lambda kind: -max(kind[1])):
        mean = sum(seconds) / len(seconds)
        print(f"    {what:<36} {len(seconds):8d} {max(seconds):8.2f} {mean:8.2f}")


def _formed(clusters: int) -> tuple[float, Counter[str], dict[str, list[float]]]:
    patience = Counted(poll=PROMPT / SPEED)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_store("sqlite", Path(folder)) as store,
        running(clusters, speed=SPEED) as (pin, told),
        ThreadPoolExecutor(clusters) as pool,
    ):
        begun = threading.Barrier(clusters + 1)
        done = [pool.submit(_form, store, c, pin, patience, begun) for c in range(clusters)]
        begun.wait()
        start = time.perf_counter()
        for one in done:
            one.result()
        wall = time.perf_counter() - start
    past: dict[str, list[float]] = {}
    for wait in patience.waits:
        past.setdefault(wait.what, []).append(SPEED * _past(wait, told["ready"]))
    return wall, Counter(told["counts"]), past


def _form(store: Store, c: int, pin: str, patience: Patience, begun: threading.Barrier) -> None:
    servers = [node(c, at) for at in range(NODES)]
    access = {node(c, at): NodeAccess(address(c, at), PORT, pin) for at in range(NODES)}
    action = FormCluster(
        cluster=cluster(c),
        servers=tuple(servers),
        ceph=True,
        osds=tuple(Osd(server=s, device=d) for s in servers for d in DISKS),
        what="form",
        why="measured",
        risk=Risk.DISRUPTS,
    )
    hypervisor = Proxmox(
        access, cluster=cluster(c), password=lambda _node: PASSWORD, patience=patience
    )
    kept: list[str] = []
    ports = ClusterPorts(
        hypervisor,
        network="127.94.0.0/16",
        ensure_token=lambda: kept.append(hypervisor.make_token("bench", "bench")),
        every=patience.poll,
    )
    operation = store.journal.open("form", action.id, (action.id,), {})
    threading.current_thread().name = cluster(c)
    begun.wait()
    outcome = perform(store, operation, lambda run: form(run, action, ports))
    assert outcome.status is Status.DONE, outcome.error
