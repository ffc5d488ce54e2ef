"""The lab's cables: one switch with two bridges, a cable to each server, each BMC and to us.

All of it is namespaces and virtual cables; this machine itself gets two addresses in the lab's
own networks, 10.203.LAB.0/25 of the servers and 10.203.LAB.128/25 out of band, until it is down.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from metal.model.errors import Failed, Refused

LABS = range(1, 200)
BRIDGE = "vmbr0"
MARK = "metal"


@dataclass(frozen=True)
class Names:
    """What the parts of lab number `lab` are called, and where they are."""

    lab: int

    @property
    def switch(self) -> str:
        return f"{MARK}{self.lab}-switch"

    @property
    def network(self) -> str:
        return f"10.203.{self.lab}.0/25"

    @property
    def out_of_band(self) -> str:
        return f"10.203.{self.lab}.128/25"

    @property
    def gateway(self) -> str:
        """This machine's address in the servers' network."""
        return f"10.203.{self.lab}.1"

    @property
    def here(self) -> dict[str, str]:
        """This machine's ends: interface → address."""
        base = f"10.203.{self.lab}"
        return {f"{MARK}{self.lab}c": f"{base}.1/25", f"{MARK}{self.lab}o": f"{base}.129/25"}

    def server(self, name: str) -> str:
        return f"{MARK}{self.lab}-{name}"

    def bmc(self, name: str) -> str:
        return f"{MARK}{self.lab}-{name}-bmc"

    def address(self, number: int) -> str:
        return f"10.203.{self.lab}.{10 + number}"

    def bmc_address(self, number: int) -> str:
        return f"10.203.{self.lab}.{140 + number}"

    def cable(self, number: int) -> str:
        """The switch's end of a server's cable."""
        return f"s{number}"


def claim() -> Names:
    """The first lab number that nobody uses; its switch is there afterwards."""
    taken = _routes()
    for lab in LABS:
        names = Names(lab)
        if any(route.startswith(f"10.203.{lab}.") for route in taken):
            continue
        if _ip_ok("netns", "add", names.switch):
            return names
        if not Path("/run/netns", names.switch).exists():
            raise Refused(
                "no network namespace can be made here",
                where="this machine",
                mend="be root; a container needs --privileged, or CAP_SYS_ADMIN and CAP_NET_ADMIN",
            )
    raise Refused(f"{len(LABS)} labs run already", mend="end one: `metal lab down FOLDER`")


def build(names: Names, servers: Sequence[str]) -> None:
    """Bridges, namespaces and cables; nothing runs in them yet."""
    _up(names.switch, "lo")
    for bridge in ("cluster", "oob"):
        ip("-n", names.switch, "link", "add", bridge, "type", "bridge")
        _up(names.switch, bridge)
    for (end, address), bridge in zip(names.here.items(), ("cluster", "oob"), strict=True):
        _plug(names.switch, end + "s", bridge, end, "")
        ip("address", "add", address, "dev", end)
        ip("link", "set", end, "up")
    for number, server in enumerate(servers, 1):
        _server(names, number, server)


def _server(names: Names, number: int, server: str) -> None:
    space, bmc = names.server(server), names.bmc(server)
    ip("netns", "add", space)
    _plug(names.switch, names.cable(number), "cluster", "eth0", space)
    ip("-n", space, "link", "add", BRIDGE, "type", "bridge")
    ip("-n", space, "link", "set", "eth0", "master", BRIDGE)
    ip("-n", space, "address", "add", f"{names.address(number)}/25", "dev", BRIDGE)
    for link in ("lo", "eth0", BRIDGE):
        _up(space, link)
    ip("netns", "add", bmc)
    _plug(names.switch, f"b{number}", "oob", "eth0", bmc)
    ip("-n", bmc, "address", "add", f"{names.bmc_address(number)}/25", "dev", "eth0")
    for link in ("lo", "eth0"):
        _up(bmc, link)


def cut(names: Names, number: int) -> None:
    """The server's network cable is pulled; nothing else happens to it."""
    ip("-n", names.switch, "link", "set", names.cable(number), "down")


def mend(names: Names, number: int) -> None:
    _up(names.switch, names.cable(number))


def remove(names: Names, servers: Sequence[str]) -> None:
    """All of it, whatever is still there. A cable goes with the namespace of its other end."""
    for server in servers:
        for space in (names.server(server), names.bmc(server)):
            _forget(space)
    _forget(names.switch)
    for end in names.here:
        _ip_ok("link", "delete", end)


def ip(*words: str) -> str:
    done = _run(words)
    if done.returncode:
        raise Failed(f"ip {' '.join(words)}: {done.stderr.strip()}", where="this machine")
    return done.stdout


def _plug(switch: str, end: str, bridge: str, far: str, space: str) -> None:
    """A cable from the switch's bridge to `far`, in the namespace `space` ("": here)."""
    other = ["peer", "name", far, *(["netns", space] if space else ["netns", "1"])]
    ip("-n", switch, "link", "add", end, "type", "veth", *other)
    ip("-n", switch, "link", "set", end, "master", bridge)
    _up(switch, end)


def _up(space: str, link: str) -> None:
    ip("-n", space, "link", "set", link, "up")


def _forget(space: str) -> None:
    if Path("/run/netns", space).exists():
        _ip_ok("netns", "delete", space)


def _routes() -> list[str]:
    return [str(route["dst"]) for route in json.loads(ip("-j", "route", "show") or "[]")]


def _ip_ok(*words: str) -> bool:
    return _run(words).returncode == 0


def _run(words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["ip", *words], capture_output=True, text=True, timeout=30)
