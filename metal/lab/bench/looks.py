"""One look at a hundred clusters: 300 nodes, 5,000 VMs, 20 ms before each answer."""

import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from metal.controller.look import look
from metal.controller.workspace import Workspace
from metal.lab.bench.clusters import NODES, PORT, TOKEN, address, cluster, node, running, vm
from metal.lab.bench.sweep import measured
from metal.model.life import Life

CLUSTERS, VMS, LATENCY = 100, 5000, 0.020
REPOSITORY = Path(__file__).resolve().parents[3]
HEAD = """\
[fleet]
name = "bench"
domain = "bench.example.org"

[administrators.ana]
name = "Ana"
keys = ["age1yku09hcld5wnzag9aws7d6dwtpjyse6qq4m2fgy2m2vku0gfrpsq9qlqmc"]
"""


def looks() -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        running(CLUSTERS, vms=VMS, latency=LATENCY) as (pin, told),
    ):
        folder = Path(name)
        _workspace(folder, pin)
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-m", "metal.lab.bench.looks", name]
        _, cpu, peak = measured(command, folder, environment)
        load, first, second, vms = map(float, (folder / "out").read_text().split())
    asked = Counter(told["counts"])
    title = f"{CLUSTERS} clusters, {CLUSTERS * NODES} nodes, {VMS} VMs"
    print(f"\n{title:<40} {'wall s':>8}")
    print(f"{'read the inventory':<40} {load:8.2f}")
    print(f"{'the first look':<40} {first:8.2f}")
    print(f"{'the next one':<40} {second:8.2f}")
    print(f"{'the whole process, MiB at its peak':<40} {peak:8.0f}")
    print(f"{'and its CPU seconds':<40} {cpu:8.1f}")
    print(f"{'calls of both looks':<40} {sum(asked.values()):8d}")
    assert vms == VMS, f"{vms} VMs were seen"


def _workspace(folder: Path, pin: str) -> None:
    lines = [HEAD]
    for c in range(CLUSTERS):
        lines.append(
            f'[sites.s{c}]\nplace = "s"\ndonor = {{ name = "d", contact = "c" }}\n'
            f'[sites.s{c}.subnets]\nbmc = "127.94.{c}.0/24"\nmanagement = "127.94.{c}.0/24"\n'
            f'gateway = "127.94.{c}.254"\nprivate_ipv4 = "10.{c}.0.0/16"\n'
        )
        for at in range(NODES):
            lines.append(
                f'[servers.{node(c, at)}]\nsite = "s{c}"\nrack = "R"\nprofile = "adopted"\n'
                f'address = "{address(c, at)}"\napi_port = {PORT}\n'
                f'power = {{ driver = "manual" }}\n'
                f"learned = {{ memory_gib = 256, threads = 64 }}\n"
            )
        names = ", ".join(f'"{node(c, at)}"' for at in range(NODES))
        lines.append(f"[clusters.{cluster(c)}]\nservers = [{names}]\n")
    lines += [
        f'[vms.{vm(n)}]\nsize = "small"\nwhy = "measured"\ncluster = "{cluster(n % CLUSTERS)}"\n'
        for n in range(VMS)
    ]
    (folder / "inventory.toml").write_text("\n".join(lines))
    workspace = Workspace(folder)
    for c in range(CLUSTERS):
        for at in range(NODES):
            workspace.store.servers.move(node(c, at), Life.MEMBER)
            workspace.store.servers.pin(node(c, at), pin)
        workspace.secrets.escrow(f"proxmox/{cluster(c)}", TOKEN, controller=True)
    workspace.store.close()


def timed(folder: str) -> None:
    """In a process of its own: seconds to read, to look, to look again, and VMs seen."""
    start = time.perf_counter()
    workspace = Workspace(Path(folder))
    assert workspace.inventory
    read = time.perf_counter()
    look(workspace)
    first = time.perf_counter()
    world = look(workspace)
    second = time.perf_counter()
    print(read - start, first - read, second - first, len(world.vms))


if __name__ == "__main__":
    timed(sys.argv[1])
