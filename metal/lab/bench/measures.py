"""What things cost in one process: starting, planning, a step of an operation."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from metal.model.fleet import Disk, Inventory, Learned

REPOSITORY = Path(__file__).resolve().parents[3]
ROUNDS = 5


def processes() -> None:
    """Starting a command, against the bare interpreter."""
    print(f"{'process':<40} {'cpu s':>8} {'peak MiB':>9} {'ratio':>6}")
    base = 0.0
    for what, words in (
        ("python -c pass", ["-c", "pass"]),
        ("metal --help", ["-m", "metal", "--help"]),
        ("metal check", ["-m", "metal", "-C", str(REPOSITORY), "check"]),
    ):
        runs = [_process(words) for _ in range(ROUNDS)]
        seconds, peak = sum(r[0] for r in runs) / ROUNDS, max(r[1] for r in runs)
        base = base or seconds
        print(f"{what:<40} {seconds:8.3f} {peak:9.0f} {seconds / base:6.1f}")


def _process(words: list[str]) -> tuple[float, float]:
    child = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, _, usage = os.wait4(child.pid, 0)
    child.returncode = 0
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def planning() -> None:
    """One plan of the charity's fleet, and the judge's verdict on it."""
    from metal.controller.planning import plan_fleet
    from metal.inventory import load
    from metal.model.laws import judge
    from metal.model.life import Life
    from metal.model.world import SeenServer, World

    inventory = _enrolled(load(REPOSITORY))
    seen = SeenServer(life=Life.ENROLLED, power="off", health="ok")
    world = World(servers=dict.fromkeys(inventory.servers, seen))
    plan = plan_fleet(inventory, world)
    print(f"\n{'in one process':<40} {'cpu ms':>8}")
    _print(f"load an inventory of {len(inventory.vms)} VMs", lambda: load(REPOSITORY))
    _print(f"plan {len(plan.actions)} actions", lambda: plan_fleet(inventory, world))
    _print("judge them", lambda: judge(plan, inventory, world))


def _enrolled(inventory: Inventory) -> Inventory:
    """The inventory as it is once the lab's hardware was enrolled."""
    from metal.lab.hardware import hardware_for

    servers = dict(inventory.servers)
    for name, hardware in hardware_for(inventory).items():
        learned = Learned(
            memory_gib=int(hardware.memory_gib),
            threads=hardware.cpu.threads,
            macs=tuple(nic.mac for nic in hardware.nics),
            disks=tuple(
                Disk(name=d.name, size_gib=(d.size_bytes or 0) >> 30, serial=d.serial)
                for d in hardware.drives
            ),
        )
        servers[name] = servers[name].model_copy(update={"learned": learned})
    return inventory.model_copy(update={"servers": servers})


def journal() -> None:
    """A durable step on SQLite (each waits for the disk twice), against a bare fsync."""
    from metal.operations.run import Run, perform
    from metal.operations.store import open_store

    with tempfile.TemporaryDirectory() as folder:
        store = open_store("sqlite", Path(folder))
        operation = store.journal.open("bench", "steps", ("steps",), {})

        def steps(run: Run) -> None:
            for number in range(200):
                run.step(f"step {number}", lambda: None)

        begun = time.perf_counter()
        perform(store, operation, steps)
        step = (time.perf_counter() - begun) / 200
        store.close()
        begun = time.perf_counter()
        with (Path(folder) / "plain").open("wb") as file:
            for _ in range(200):
                file.write(b"x" * 200)
                file.flush()
                os.fsync(file.fileno())
        plain = (time.perf_counter() - begun) / 200
    print(f"\n{'on this disk':<40} {'wall ms':>8} {'ratio':>6}")
    print(f"{'write 200 bytes and fsync':<40} {plain * 1000:8.2f} {1:6.1f}")
    print(f"{'one step of an operation':<40} {step * 1000:8.2f} {step / plain:6.1f}")


def _print(what: str, act: Callable[[], object]) -> None:
    best = min(_cpu(act) for _ in range(ROUNDS))
    print(f"{what:<40} {best * 1000:8.1f}")


def _cpu(act: Callable[[], object]) -> float:
    before = time.process_time()
    for _ in range(5):
        act()
    return (time.process_time() - before) / 5
