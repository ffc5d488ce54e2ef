"""Forming clusters of three with Ceph: calls, waits, and three clusters side by side.

The double takes as long as real nodes do, at SPEED times their pace, and so does the driver's
patience: what is measured is how much longer than the nodes themselves it takes.
"""

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
from metal.drivers.proxmox import NodeAccess, Patience, Proxmox
from metal.lab.bench.clusters import NODES, PASSWORD, PORT, address, cluster, node, running
from metal.lab.proxmox.state import Pace
from metal.model.life import Status
from metal.model.plan import FormCluster, Osd, Risk
from metal.operations.run import perform
from metal.operations.store import Store, open_store

SPEED = 20.0
DISKS = ("sdb", "sdc")
POLLS = ("GET nodes/*/tasks/*/status", "GET cluster/status")
"""What is asked again and again while something is waited for."""


@dataclass(frozen=True)
class Counted(Patience):
    """Notes how often something was waited for, and how often it was asked meanwhile."""

    waits: Counter[str] = field(default_factory=Counter)

    def until(self, ready: Any, **more: Any) -> None:
        self.waits["waits"] += 1
        super().until(ready, **more)


def forming() -> None:
    print(
        f"\n{f'forming, at {SPEED:g} times the pace':<40} {'wall s':>8} {'ratio':>6} {'calls':>6}"
    )
    one, calls, waits = _formed(1)
    _line("one cluster of three, six OSDs", one, one, calls)
    three, more, _ = _formed(3)
    _line("three clusters side by side", three, one, more)
    floor = _floor(Pace()) / SPEED
    print(f"{'what the nodes themselves need':<40} {floor:8.1f} {floor / one:6.2f}")
    polls = sum(calls[kind] for kind in POLLS)
    over = (one - floor) * SPEED / max(1, waits)
    print(f"\n{'one cluster':<40}")
    print(f"{'calls that are asked once':<40} {sum(calls.values()) - polls:8d}")
    print(f"{'asked while it is waited for':<40} {polls:8d}")
    print(f"{'waits':<40} {waits:8d}")
    print(f"{'seconds past the moment, on average':<40} {over:8.2f}")
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


def _formed(clusters: int) -> tuple[float, Counter[str], int]:
    patience = Counted(poll=1 / SPEED)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_store("sqlite", Path(folder)) as store,
        running(clusters, speed=SPEED) as (pin, counts),
        ThreadPoolExecutor(clusters) as pool,
    ):
        begun = threading.Barrier(clusters + 1)
        done = [pool.submit(_form, store, c, pin, patience, begun) for c in range(clusters)]
        begun.wait()
        start = time.perf_counter()
        for one in done:
            one.result()
        wall = time.perf_counter() - start
    return wall, Counter(counts), patience.waits["waits"]


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
    begun.wait()
    outcome = perform(store, operation, lambda run: form(run, action, ports))
    assert outcome.status is Status.DONE, outcome.error
