"""`metal enroll --dry-run` of many BMCs at once, against one, and against plain calls.

The BMCs are one process of their own (bmcs.py) that answers every call after the same time; the
command is another, as a person starts it. What bounds a sweep is how many connections may be open:
64 of them carry 64 calls at once, so 200 BMCs that are all equally slow take 200/64 as long as one.
"""

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metal.drivers.connections import MOST
from metal.lab.bench.bmcs import PASSWORD, PORT, SESSIONS, USER, address

REPOSITORY = Path(__file__).resolve().parents[3]
RECORDED = REPOSITORY.parent / "shared" / "bmc" / "redfish"
BMCS = 200
SECONDS = 0.2
"""A call."""
SLOW, QUICK = 0.5, 0.02
"""A call of the one slow BMC, and of those beside it."""


@dataclass(frozen=True)
class Ran:
    """One command."""

    wall: float
    cpu: float
    """Seconds, user and system."""
    peak: float
    """MiB."""
    counts: dict[str, Any]
    """What the BMCs saw, see bmcs.Counts."""


def sweep() -> None:
    """Prints the table; less than two minutes."""
    alone = _metal([SECONDS])
    many = _metal([SECONDS] * BMCS)
    wide = _metal([SECONDS] * BMCS, connections=BMCS)
    one_expands = _metal([SECONDS], kinds=["expands"])
    all_expand = _metal([SECONDS] * BMCS, kinds=["expands"])
    calls = alone.counts["calls"]
    plain = _plain([SECONDS] * BMCS, calls)
    slow_alone = _metal([SLOW])
    mixed = _metal([QUICK] * (BMCS - 1) + [SLOW])
    print(
        f"\n{f'{BMCS} BMCs, {SECONDS * 1000:.0f} ms a call':<40} {'wall s':>8} {'cpu s':>7} ",
        end="",
    )
    print(f"{'peak MiB':>9} {'open':>5} {'calls':>6} {'ratio':>6}")
    _line("one BMC", alone, alone.wall)
    _line(f"{BMCS} at once, {MOST} connections", many, alone.wall)
    _line(f"{BMCS} at once, {BMCS} connections", wide, alone.wall)
    print(f"{f'{BMCS} one after the other (reckoned)':<40} {alone.wall * BMCS:8.1f}", end="")
    print(f"{BMCS:>38.1f}")
    _line(f"plain calls, {MOST} connections", plain, alone.wall)
    floor = calls * SECONDS * BMCS / MOST
    print(f"{f'what {MOST} connections can carry at best':<40} {floor:8.1f}", end="")
    print(f"{floor / alone.wall:>38.1f}")
    print(f"\n{'with their members in the collections':<40}")
    _line("one BMC", one_expands, one_expands.wall)
    _line(f"{BMCS} at once, {MOST} connections", all_expand, one_expands.wall)
    print(f"\n{f'one BMC of {SLOW:g} s a call, {BMCS - 1} of {QUICK * 1000:.0f} ms':<40}")
    _line("the slow one alone", slow_alone, slow_alone.wall)
    _line(f"all {BMCS}, {MOST} connections", mixed, slow_alone.wall)
    if kinds := recorded_machines():
        sweep_of_recorded(kinds)


def recorded_machines() -> list[str]:
    """Files of the captured trees beside the repository; none where there are none."""
    return sorted(map(str, RECORDED.glob("*/tree.json")))


def sweep_of_recorded(kinds: list[str]) -> None:
    """A fleet as it is: so many BMCs of each kind, against each kind alone."""
    alone = {Path(kind).parent.name: _metal([SECONDS], kinds=[kind]) for kind in kinds}
    every = _metal([SECONDS] * BMCS, kinds=kinds)
    slowest = max(ran.wall for ran in alone.values())
    print(f"\n{f'{len(kinds)} recorded machines in turn, {SECONDS * 1000:.0f} ms a call':<40}")
    for name, ran in alone.items():
        _line(f"{name} alone", ran, slowest)
    _line(f"all {BMCS}, {MOST} connections", every, slowest)
    least = every.counts["calls"] * SECONDS / MOST
    print(f"{f'what {MOST} connections can carry at best':<40} {least:8.1f}", end="")
    print(f"{least / slowest:>38.1f}")
    print(f"{'the BMCs themselves, CPU':<40} {every.counts['cpu']:>16.1f}")


def _line(what: str, ran: Ran, base: float) -> None:
    counts = ran.counts
    print(f"{what:<40} {ran.wall:8.1f} {ran.cpu:7.1f} {ran.peak:9.0f} ", end="")
    print(f"{counts['most_open']:>5} {counts['calls']:>6} {ran.wall / base:6.1f}")


def _metal(
    delays: Sequence[float], connections: int = MOST, *, kinds: Sequence[str] = ("plain",)
) -> Ran:
    with serving(delays, kinds) as (folder, counts):
        words = [f"{address(number)}:{PORT}" for number in range(len(delays))]
        environment = {
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "METAL_BMC_USER": USER,
            "METAL_BMC_PASSWORD": PASSWORD,
        }
        options = ["--dry-run", "--connections", str(connections), "-o", "json"]
        command = [sys.executable, "-m", "metal", "enroll", *options, *words]
        ran = measured(command, folder, environment)
        answered = json.loads((folder / "out").read_text())
        refused = [one for one in answered if "refused" in one]
        assert len(answered) >= len(delays) and not refused, refused[:1]
    return Ran(*ran, counts)


def _plain(delays: Sequence[float], calls: int) -> Ran:
    """As many bare calls over kept connections, by a program that does nothing else."""
    with serving(delays) as (folder, counts):
        command = [sys.executable, "-m", "metal.lab.bench.sweep", str(len(delays)), str(calls)]
        ran = measured(command, folder, {**os.environ, "PYTHONPATH": str(REPOSITORY)})
    return Ran(*ran, counts)


def measured(
    command: list[str], folder: Path, environment: dict[str, str]
) -> tuple[float, float, float]:
    """(wall seconds, CPU seconds, peak MiB) of a command; its output goes to `out` in `folder`."""
    begun = time.perf_counter()
    with (folder / "out").open("w") as out:
        child = subprocess.Popen(command, cwd=folder, env=environment, stdout=out)
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"{command[:4]} ended with {child.returncode}"
    wall = time.perf_counter() - begun
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


@contextmanager
def serving(
    delays: Sequence[float], kinds: Sequence[str] = ("plain",)
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """(an empty folder, what the BMCs counted: filled at the end)."""
    counts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        seconds = ",".join(map(str, delays))
        process = subprocess.Popen(
            [sys.executable, "-m", "metal.lab.bench.bmcs", name, seconds, *kinds],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        try:
            assert process.stdout.readline().strip() == "ready"
            yield Path(name), counts
            process.send_signal(signal.SIGTERM)
            counts |= json.loads(process.stdout.readline())
        finally:
            process.kill()
            process.communicate()


def plain_calls(bmcs: int, calls: int) -> None:
    """The floor: log in, ask for the same small resource again and again, log out."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def one(number: int) -> None:
        wire = http.client.HTTPSConnection(address(number), PORT, context=context, timeout=60)
        login = json.dumps({"UserName": USER, "Password": PASSWORD})
        wire.request("POST", SESSIONS, login)
        answer = wire.getresponse()
        answer.read()
        token = {"X-Auth-Token": answer.headers["X-Auth-Token"]}
        for _ in range(calls - 2):
            wire.request("GET", "/redfish/v1/Systems/1", headers=token)
            json.loads(wire.getresponse().read())
        wire.request("DELETE", f"{SESSIONS}/1", headers=token)
        wire.getresponse().read()
        wire.close()

    with ThreadPoolExecutor(MOST) as pool:
        list(pool.map(one, range(bmcs)))


if __name__ == "__main__":
    plain_calls(int(sys.argv[1]), int(sys.argv[2]))
