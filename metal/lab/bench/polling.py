"""One watcher over a thousand BMCs that speak Redfish over TLS, each round from look to verdict.

The BMCs are one process of their own (bmcs.py), on an address each; the watcher is another, with
everything of its own that a look needs: passwords from escrow, pinned certificates, paced turns.
Rounds begin every 10 s for a minute, in which all that is read seldom is read once or twice.
Clusters and hosts stay the storms' doubles: their API costs little beside (looks.py).
"""

import os
import random
import sys
import time
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from metal.controller.pace import Pace
from metal.controller.post import Post
from metal.controller.progress import silent
from metal.controller.watching import Watcher
from metal.controller.workspace import Workspace
from metal.drivers.age_files import identity_in
from metal.drivers.bmc import connect
from metal.enroll.door import secret_name
from metal.lab.bench.bmcs import PASSWORD, PORT, USER, address
from metal.lab.bench.sweep import REPOSITORY, measured, serving
from metal.lab.storms.fleet import fleet
from metal.lab.storms.laws import Laws
from metal.lab.storms.ports import Eyes, SimWorkspace
from metal.lab.storms.rack import Rack
from metal.model.fleet import Administrator, BmcAccess, Inventory
from metal.model.life import Life
from metal.operations.store import open_store

SITES, CLUSTERS, EVERY, ROUNDS = 34, 10, 10.0, 7
CORES, MIB = 1.0, 500.0
SECONDS = 0.02
"""A call."""


def polling(sites: int = SITES) -> None:
    """Prints the table."""
    servers = sites * CLUSTERS * 3
    with serving([SECONDS] * servers) as (folder, counts):
        command = [sys.executable, "-m", "metal.lab.bench.polling", str(folder), str(sites)]
        _, _, peak = measured(command, folder, {**os.environ, "PYTHONPATH": str(REPOSITORY)})
        told = (folder / "out").read_text().split()
    first, later, wall, healthy = map(float, told)
    title = f"one watcher, {servers} BMCs over TLS, {SECONDS * 1000:.0f} ms a call"
    print(f"\n{title:<54} {'CPU s':>8} {'wall s':>8}")
    print(f"{'the first round':<54} {first:8.2f}")
    print(f"{'each of the others; the longest of them':<54} {later:8.2f} {wall:8.2f}")
    print(f"{f'cores, with a round each {EVERY:g} s':<54} {later / EVERY:8.2f}")
    print(f"{'the watcher, MiB':<54} {peak:8.0f}")
    per_look = servers * (ROUNDS + 1)
    print(f"{'calls of one look':<54} {counts['calls'] / per_look:8.1f}")
    print(f"{'handshakes of one look':<54} {counts['handshakes'] / per_look:8.2f}")
    assert healthy == servers, f"{healthy:g} servers are healthy"
    assert later / EVERY < CORES and peak < MIB, "one core and 500 MB are what it may need"


class OverWires(SimWorkspace):
    """Its BMCs are asked as any workspace's are; all else is the rack's."""

    def bmc(self, server: str) -> Any:
        return Workspace.bmc(self, server)

    def crew(self, workers: int) -> Executor:
        return Workspace.crew(self, workers)


def timed(folder: Path, sites: int) -> None:
    """In a process of its own: CPU seconds of the first round and of each later one, the wall
    seconds of the longest of those, and how many servers are healthy."""
    inventory = _fleet(sites, folder)
    rack = Rack(inventory)
    with open_store("sqlite", folder / "state") as store:
        workspace = OverWires(
            folder, inventory, store, Eyes(rack, "s0", random.Random(1)), Laws(rack).fence
        )
        (folder / "state" / "pace").mkdir()
        workspace.__dict__["pace"] = Pace(folder / "state" / "pace")
        for name in inventory.servers:
            for life in (Life.ENROLLED, Life.INSTALLED, Life.MEMBER):
                store.servers.move(name, life)
            store.servers.pin(name, "ab" * 32)
            workspace.secrets.escrow(secret_name(name), PASSWORD, controller=True)
        watcher = Watcher(workspace, silent, place="here", every=EVERY)
        with Post(store, "here", 60.0) as post:
            begun = time.process_time()
            watcher.round(post)
            first, longest = time.process_time(), 0.0
            for _ in range(ROUNDS):
                at = time.perf_counter()
                report = watcher.round(post)
                took = time.perf_counter() - at
                longest = max(longest, took)
                time.sleep(max(0.0, EVERY - took))
            later = time.process_time() - first
        watcher.close()
    healthy = sum(d.state == "healthy" for d in report.diagnoses.values())
    print(first - begun, later / ROUNDS, longest, healthy)


def _fleet(sites: int, folder: Path) -> Inventory:
    """As the storms', with a BMC each on the loopback, and somebody who can read the escrow."""
    made = fleet({f"s{s}": [f"s{s}c{c}x" for c in range(CLUSTERS)] for s in range(sites)})
    pinned = connect(_access(0, None), USER, PASSWORD)
    servers = {
        name: about.model_copy(update={"bmc": _access(number, pinned.fingerprint)})
        for number, (name, about) in enumerate(made.servers.items())
    }
    pinned.close()
    somebody = Administrator(
        name="Somebody", keys=(str(identity_in(folder / "administrator.key").to_public()),)
    )
    return made.model_copy(update={"servers": servers, "administrators": {"somebody": somebody}})


def _access(number: int, fingerprint: str | None) -> BmcAccess:
    return BmcAccess(
        address=address(number), port=PORT, protocol="redfish", user=USER, fingerprint=fingerprint
    )


if __name__ == "__main__":
    timed(Path(sys.argv[1]), int(sys.argv[2]))
