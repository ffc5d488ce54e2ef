"""Clusters of the Proxmox double in a process of their own: what forming and looks are timed on.

    python -m metal.lab.bench.clusters FOLDER CLUSTERS VMS LATENCY SPEED

VMS 0: installed nodes that are in no cluster yet. Else every cluster is formed and has its share
of the VMs, made by metal. Prints its certificate and, ended by SIGTERM, what it was asked how
often and when what became ready.
"""

import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metal.lab.clock import Clock
from metal.lab.proxmox import Datacenter
from metal.lab.web import self_signed

PORT = 18010
PASSWORD = "bench-root"
TOKEN = "metal@pve!bench=00000000-0000-0000-0000-00000000beef"
NODES = 3
POOL = "vms"
REPOSITORY = Path(__file__).resolve().parents[3]


def cluster(number: int) -> str:
    return f"c{number:03d}"


def node(number: int, at: int) -> str:
    return f"c{number:03d}n{at}"


def address(number: int, at: int) -> str:
    return f"127.94.{number}.{at + 1}"


def serve(folder: Path, clusters: int, vms: int, latency: float, speed: float) -> None:
    # One certificate for all: three hundred keys are not what is measured.
    certificate = self_signed(folder, "bench", "127.94.0.1")
    rest = 0.05 if clusters < 10 else 2.0
    datacenter = Datacenter(Clock(speed), folder, latency=latency, rest=rest)
    for c in range(clusters):
        for at in range(NODES):
            datacenter.add_node(
                node(c, at),
                address(c, at),
                memory_gib=256,
                threads=64,
                disks=["sda", "sdb", "sdc"],
                root_password_check=lambda given: given == PASSWORD,
                port=PORT,
                certificate=certificate,
            )
            datacenter.power_on(node(c, at))
        if vms:
            names = [node(c, at) for at in range(NODES)]
            datacenter.put_cluster(cluster(c), names, ceph=POOL)
            _populate(datacenter, c, range(c, vms, clusters))
    datacenter.start()
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    print(certificate.fingerprint, flush=True)
    over.wait()
    print(json.dumps({"counts": datacenter.counts, "ready": datacenter.ready}), flush=True)


def _populate(datacenter: Datacenter, c: int, numbers: range) -> None:
    from metal.lab.proxmox.state import Token

    first = datacenter.node_at(address(c, 0))
    assert first
    ident, _, value = TOKEN.partition("=")
    first.cluster.users["metal@pve"] = {"enable": 1}
    first.cluster.acl.append(
        {
            "path": "/",
            "ugid": "metal@pve",
            "type": "user",
            "roleid": "Administrator",
            "propagate": 1,
        }
    )
    first.cluster.tokens[ident] = Token(value, privsep=False)
    for number in numbers:
        vmid, name = 100 + number, vm(number)
        own = f"10.200.{number // 250}.{number % 250 + 1}/16"
        config = {"name": name, "memory": "2048", "cores": 2, "ipconfig0": f"ip={own}"}
        datacenter.put_guest(node(c, number % NODES), vmid, config)
        first.cluster.ha.resources[f"vm:{vmid}"] = {
            "sid": f"vm:{vmid}",
            "type": "vm",
            "state": "started",
            "comment": f"metal: {name} {own}",
        }
        if number % 3 == 0:
            first.cluster.ha.rules[f"metal-home-{vmid}"] = {
                "rule": f"metal-home-{vmid}",
                "type": "node-affinity",
                "nodes": [node(c, number % NODES)],
                "resources": [f"vm:{vmid}"],
            }


def vm(number: int) -> str:
    return f"vm{number:05d}"


@contextmanager
def running(
    clusters: int, *, vms: int = 0, latency: float = 0.0, speed: float = 1.0
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(the pin of every node's certificate, what is told at the end).

    counts: what was asked how often. ready: (node, when something on it became ready)."""
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        words = [folder, str(clusters), str(vms), str(latency), str(speed)]
        process = subprocess.Popen(
            [sys.executable, "-m", "metal.lab.bench.clusters", *words],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        try:
            yield process.stdout.readline().strip(), told
            process.send_signal(signal.SIGTERM)
            told |= json.loads(process.stdout.readline())
        finally:
            process.kill()
            process.communicate()


if __name__ == "__main__":
    _, where, clusters_, vms_, latency_, speed_ = sys.argv
    serve(Path(where), int(clusters_), int(vms_), float(latency_), float(speed_))
