"""A network namespace with a bridge: the boot network, the BMCs' network, and what runs there."""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from metal.model.errors import Failed

BRIDGE = "br0"


class Wire:
    """`with Wire(folder) as wire:`; what was started in it ends with it, its logs in `folder`."""

    def __init__(self, folder: Path, addresses: Sequence[str]) -> None:
        """`addresses`: ours on the bridge, with their prefix lengths."""
        self.name, self.folder = f"metal-wire-{os.getpid()}", folder
        self._addresses, self._taps = addresses, 0
        self._door = False
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Wire":
        _run("ip", "netns", "add", self.name)
        self._ip("link", "set", "lo", "up")
        self._ip("link", "add", BRIDGE, "type", "bridge")
        for address in self._addresses:
            nodad = ("nodad",) if ":" in address else ()
            self._ip("address", "add", address, "dev", BRIDGE, *nodad)
        self._ip("link", "set", BRIDGE, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for child in reversed(self._children):
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if self._door:
            # The kernel takes a namespace's devices down in its own time, and the next wire of
            # this process has a door of the same name.
            _run("ip", "link", "delete", self._outside)
        _run("ip", "netns", "delete", self.name)

    def tap(self) -> str:
        """A socket for one machine's card; its name."""
        name, self._taps = f"tap{self._taps}", self._taps + 1
        self._ip("tuntap", "add", name, "mode", "tap")
        self._ip("link", "set", name, "master", BRIDGE, "up")
        return name

    def door(self, addresses: Sequence[str], *, inside: Sequence[str] = ()) -> None:
        """A cable from this machine, with `addresses` of it on the wire. It goes with the wire.

        `inside`: further addresses of the bridge, where `addresses` are of another network.
        """
        ours = self._outside
        _run("ip", "link", "add", ours, "type", "veth", "peer", "name", "door", "netns", self.name)
        self._door = True
        self._ip("link", "set", "door", "master", BRIDGE, "up")
        for address in inside:
            self._ip("address", "add", address, "dev", BRIDGE)
        for address in addresses:
            _run("ip", "address", "add", address, "dev", ours)
        _run("ip", "link", "set", ours, "up")

    @property
    def _outside(self) -> str:
        """The door's end on this machine."""
        return f"door{os.getpid()}"

    def words(self, *words: str) -> list[str]:
        """The command that runs `words` in it."""
        return ["ip", "netns", "exec", self.name, *words]

    def start(self, log: str, *words: str) -> "subprocess.Popen[bytes]":
        """Run it in the background, to be ended with the wire; it says what it says to `log`."""
        with (self.folder / log).open("ab") as file:
            child = subprocess.Popen(
                self.words(*words), stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        self._children.append(child)
        return child

    def run(self, *words: str, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
        """Run it to its end."""
        return subprocess.run(
            self.words(*words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def _ip(self, *words: str) -> None:
        _run("ip", "-n", self.name, *words)


def until_said(child: "subprocess.Popen[bytes]", log: Path, words: str, seconds: float) -> None:
    """`child` has said `words` to `log`; Failed, with what it said last, where it does not."""
    deadline = time.monotonic() + seconds
    while words not in (text := log.read_text()):
        if child.poll() is not None or time.monotonic() > deadline:
            said = text.strip().splitlines()[-1:] or ["it says nothing"]
            raise Failed(said[0], where=str(log))
        time.sleep(0.05)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{' '.join(words)}: {done.stderr.strip()}", mend="the lab needs root")
