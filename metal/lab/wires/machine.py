"""A machine that is only namespaces: its own network, mounts and processes.

All of it hangs on one process. When that ends, by our hand or with us, the kernel takes the
processes, the mounts and the interfaces with it: nothing can be left behind.
"""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metal.lab.wires.patience import until
from metal.model.errors import Failed

BEGIN = """\
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/network /run/wireguard
if [ -n "$1" ]; then
    mkdir -p /run/etc /run/etc-work /var/lib/metal
    mount -t overlay overlay -o "lowerdir=$1/etc:/etc,upperdir=/run/etc,workdir=/run/etc-work" /etc
    mount -t tmpfs tmpfs /var/lib/metal
    mkdir -p /var/spool/tayga
    mount -t tmpfs tmpfs /var/spool/tayga
fi
ip link set lo up
echo ready
sleep infinity &
wait
"""
"""With a tree of files, they lie over the host's /etc, as if copied there. The shell stays and
reaps what lost its parent, as an init does: a killed keepalived that nobody reaped still has its
number, and the next one would believe that it runs and end."""


class Machine:
    """`with Machine("gw1") as gw: gw.run("ip", "addr")`."""

    def __init__(self, name: str, log: Path, tree: Path | None = None) -> None:
        """`tree` holds an etc/ of its own; `log` is the folder for what its programs say."""
        self.name, self.log = name, log
        unshare = ["unshare", "-n", "-m", "-p", "--fork", "--kill-child", "--mount-proc"]
        self._holder = subprocess.Popen(
            [*unshare, "sh", "-c", BEGIN, "sh", str(tree or "")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._holder.stdout is not None
        said = self._holder.stdout.readline()
        if said != "ready\n":
            raise Failed(f"no namespaces could be made: {said.strip()}", where=name)
        self._started: list[subprocess.Popen[bytes]] = []
        self.pid = self._child()

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _child(self) -> int:
        """Of the holder, as this machine counts: its own sees itself as 1."""
        held = self._holder.pid
        children = Path(f"/proc/{held}/task/{held}/children").read_text().split()
        return int(children[0])

    def _within(self, argv: Sequence[str]) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "-p", "--", *argv]

    def run(self, *argv: str, stdin: str = "", check: bool = True, seconds: float = 120) -> str:
        """Its output. Failed, with what it said, when it ends badly."""
        done = subprocess.run(
            self._within(argv), input=stdin, capture_output=True, text=True, timeout=seconds
        )
        if check and done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise Failed(f"{' '.join(argv)}: {said}", where=self.name)
        return done.stdout

    def script(self, *lines: str) -> None:
        """Commands of `ip` and the like, one a line; all of them or Failed."""
        self.run("sh", "-ec", "\n".join(lines))

    def start(self, *argv: str) -> None:
        """In the background, for as long as the machine lives; it logs to a file of its own."""
        name = Path(argv[0]).name
        with (self.log / f"{self.name}.{name}.{len(self._started)}.log").open("wb") as log:
            self._started.append(
                subprocess.Popen(
                    self._within(argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            )

    def json(self, *argv: str) -> Any:
        return json.loads(self.run(*argv) or "[]")

    def cut(self) -> None:
        """Cut its power; what becomes of it is not waited for."""
        if self._holder.poll() is None:
            self._holder.kill()

    def kill(self) -> None:
        """Cut its power, and see that nothing of it is left. Safe to repeat."""
        self.cut()
        self._holder.wait(10)
        if self._holder.stdout is not None:
            self._holder.stdout.close()
        for process in self._started:
            process.wait(10)
        until(lambda: not Path(f"/proc/{self.pid}").exists(), f"{self.name} does not end")

    @property
    def alive(self) -> bool:
        return self._holder.poll() is None


def connect(one: Machine, its: str, other: Machine, others: str) -> None:
    """A cable between two interfaces, both down."""
    cable = ["ip", "link", "add", "name", its, "netns", str(one.pid), "type", "veth"]
    far = ["peer", "name", others, "netns", str(other.pid)]
    subprocess.run([*cable, *far], check=True, capture_output=True)


def plug(machine: Machine, its: str, switch: Machine, bridge: str, port: str) -> None:
    """A cable into a switch; the port is up, the machine's end is the machine's business."""
    connect(machine, its, switch, port)
    switch.script(f"ip link set {port} master {bridge} up")


@contextmanager
def machines(log: Path) -> "Iterator[Machines]":
    """All that are made in it end with it."""
    made = Machines(log)
    try:
        yield made
    finally:
        made.end()


class Machines:
    """Makes machines, and knows them by name."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.all: dict[str, Machine] = {}

    def make(self, name: str, tree: Path | None = None) -> Machine:
        self.all[name] = Machine(name, self._log, tree)
        return self.all[name]

    def end(self) -> None:
        for machine in self.all.values():
            machine.cut()
        for machine in self.all.values():
            machine.kill()
