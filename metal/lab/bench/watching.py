"""One watcher over a thousand servers and 3,000 VMs, each round from look to verdict.

What BMCs and clusters answer comes from the storms' doubles in the same process: measured is what
the watcher itself does, without the network and without TLS.
"""

import os
import random
import sys
import tempfile
import time
from pathlib import Path

from metal.controller.post import Post
from metal.controller.progress import silent
from metal.controller.watching import Watcher
from metal.lab.bench.sweep import measured
from metal.lab.storms.fleet import fleet
from metal.lab.storms.laws import Laws
from metal.lab.storms.ports import AtOnce, Eyes, SimWorkspace
from metal.lab.storms.rack import Rack
from metal.lab.storms.storm import Storm
from metal.model.life import Life
from metal.operations.store import open_store

SITES, CLUSTERS, EVERY, ROUNDS = 34, 10, 10.0, 6
SERVERS = SITES * CLUSTERS * 3
CORES, MIB, LOST = 1.0, 500.0, 0.01
"""What a watcher may need, and how many of its questions get no answer."""
REPOSITORY = Path(__file__).resolve().parents[3]


def watching() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-m", "metal.lab.bench.watching", name]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        _, _, peak = measured(command, folder, environment)
        first, later, healthy = map(float, (folder / "out").read_text().split())
    print(f"\n{f'one watcher, {SERVERS} servers, {ROUNDS} rounds':<46} {'CPU s':>8}")
    print(f"{'the first round':<46} {first:8.2f}")
    print(f"{'each of the others':<46} {later:8.2f}")
    print(f"{f'cores, with a round each {EVERY:g} s':<46} {later / EVERY:8.2f}")
    print(f"{'the whole process with its doubles, MiB':<46} {peak:8.0f}")
    assert healthy == SERVERS, f"{healthy:g} servers are healthy"
    assert later / EVERY < CORES and peak < MIB, "one core and 500 MB are what it may need"


def calm() -> None:
    """A day without a fault, no second of it leapt over."""
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as name:
        storm = Storm(Path(name), 1, days=1, every=0, lost=LOST, skip=False)
        report = storm.run(calm=0)
        eyes = [guard.eyes for guard in storm.guards]
    lost, asked = sum(e.missed for e in eyes), sum(e.asked for e in eyes)
    print(f"\n{f'a day, {len(storm.rack.boxes)} servers, {len(eyes)} watchers':<46}")
    print(f"{'rounds of watching':<46} {report.rounds:8d}")
    print(f"{'questions':<46} {asked:8d}")
    print(f"{'of them without an answer':<46} {lost:8d}")
    print(f"{'incidents, which are what alarms tell of':<46} {report.incidents:8d}")
    print(f"{'servers switched off':<46} {report.fenced:8d}")
    print(f"{'CPU s':<46} {time.process_time() - begun:8.0f}")
    assert not report.broken, report.broken
    assert (report.incidents, report.fenced) == (0, 0) and lost


def timed(folder: Path) -> None:
    """In a process of its own: CPU seconds of the first round and of each later one; healthy."""
    inventory = fleet({f"s{s}": [f"s{s}c{c}x" for c in range(CLUSTERS)] for s in range(SITES)})
    rack = Rack(inventory)
    with open_store("sqlite", folder / "state") as store:
        for name in inventory.servers:
            for life in (Life.ENROLLED, Life.INSTALLED, Life.MEMBER):
                store.servers.move(name, life)
            store.servers.pin(name, "ab" * 32)
        eyes = Eyes(rack, "s0", random.Random(1))
        workspace = SimWorkspace(folder, inventory, store, eyes, Laws(rack).fence)
        watcher = Watcher(workspace, silent, place="here", every=EVERY, pool=AtOnce())
        with Post(store, "here", 60.0) as post:
            begun = time.process_time()
            watcher.round(post)
            first = time.process_time()
            for _ in range(ROUNDS):
                report = watcher.round(post)
            later = (time.process_time() - first) / ROUNDS
        watcher.close()
    healthy = sum(d.state == "healthy" for d in report.diagnoses.values())
    print(first - begun, later, healthy)


if __name__ == "__main__":
    timed(Path(sys.argv[1]))
