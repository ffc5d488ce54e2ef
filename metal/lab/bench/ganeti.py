"""Ganeti's htools on the same clusters: the peer, run as it is, with the disks shared (`ext`)."""

import contextlib
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from metal.schedule.survival import UNIT_MIB, Node

TOOLS = Path("/usr/lib/ganeti/3.0/usr/bin")
LIMITS = "128,1,0,0,0,1|128,1,0,0,0,1;1048576,64,1048576,16,8,12|ext|16.0|32.0"


@dataclass(frozen=True)
class Answer:
    out: str
    seconds: float
    """Of the processor, in user mode."""
    ended: bool


def installed() -> bool:
    return (TOOLS / "htools").exists()


def cluster_text(clusters: Mapping[str, Sequence[Node]]) -> str:
    """One group a cluster, in the tools' own text format."""
    groups = [f"{name}|uuid-{name}|preferred||" for name in clusters]
    nodes = [
        f"{n.name}|{n.room * UNIT_MIB}|0|{n.free * UNIT_MIB}|1000000|1000000|"
        f"{max(1, (n.cpus or 256) // 4)}|{'M' if name == next(iter(clusters)) and not i else 'N'}"
        f"|uuid-{name}|1"
        for name, members in clusters.items()
        for i, n in enumerate(members)
    ]
    vms = [
        f"{g.name}|{g.memory * UNIT_MIB}|0|{max(1, g.vcpus)}|running|Y|{n.name}||ext||1"
        for members in clusters.values()
        for n in members
        for g in n.guests.values()
    ]
    policies = [f"|{LIMITS}", *(f"{name}|{LIMITS}" for name in clusters)]
    parts = ("".join(f"{line}\n" for line in part) for part in (groups, nodes, vms, [], policies))
    return "\n".join(parts)


@contextlib.contextmanager
def told(clusters: Mapping[str, Sequence[Node]]) -> Iterator[Path]:
    """A file of them."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cluster.data"
        file.write_text(cluster_text(clusters))
        yield file


def run(tool: str, *words: str, timeout: float = 60) -> Answer:
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen([str(TOOLS / tool), *words], stdout=out, stderr=out)
        deadline, ended = time.monotonic() + timeout, True
        while (found := os.wait4(child.pid, os.WNOHANG))[0] == 0:
            if ended and time.monotonic() > deadline:
                ended = False
                child.kill()
            time.sleep(0.002)
        child.returncode = 0
        out.seek(0)
        return Answer(out.read(), found[2].ru_utime, ended)


def value(answer: Answer, key: str) -> str | None:
    """Of KEY=value, or of "key: value"."""
    at = re.search(rf"^\s*{re.escape(key)}\s*[=:]\s*(.+?)\s*$", answer.out, re.MULTILINE)
    return at[1].strip("'\"") if at else None
