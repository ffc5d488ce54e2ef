"""Make Proxmox VE hosts of installed Debians, side by side. Part of a durable operation.

What runs there is told to run and then asked after, so that a line that is cut, or a controller
that dies, stops nothing, and three servers need the time of one.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from metal.cluster.host import PARTS
from metal.model.errors import Unreachable
from metal.operations.run import Run

TRIES = 4


class HostShell(Protocol):
    """Root's shell on an installed Debian. Every call may be repeated."""

    def run_part(self, part: str, script: str, *, anew: bool) -> bool:
        """Whether that part of the script is done; it is begun where it does not run.

        `anew`: also where it failed before; else Failed, with the last it said.
        """

    def boot(self) -> str:
        """Another word after each boot; Unreachable while it is not up."""

    def restart(self) -> None:
        """Ask for it. Not safe to repeat: look at `boot`."""

    def certificate(self) -> str | None:
        """The fingerprint of its API's certificate; None while it has none."""


@dataclass(frozen=True)
class HostPorts:
    """For the servers of one cluster."""

    bare: Callable[[str], bool]
    """Whether a server has no Proxmox yet, as far as is known."""
    script: Callable[[str], str]
    shell: Callable[[str], HostShell]
    pin: Callable[[str, str], None]
    """(server, fingerprint): its API is known by that from now on."""
    rehearse: Callable[[str], None] = lambda _server: None
    """Refused when the server would not come back from a restart."""
    unlock: Callable[[str], object] = lambda _server: None
    """Gives its disk the key where it waits for one and the controller holds it."""
    every: float = 1.0
    packages: float = 3 * 3600.0
    """Seconds for one part, over a slow line."""
    boot: float = 1800.0
    """Seconds for a server to restart, its disk unlocked by whoever does that."""
    begun: set[tuple[str, str]] = field(default_factory=set)
    """What this process asked for: what failed before is tried once more by each."""


def make_hosts(run: Run, servers: Sequence[str], ports: HostPorts) -> tuple[str, ...]:
    """Those of `servers` that had no Proxmox; all have it afterwards, their certificates pinned."""
    bare = tuple(
        s for s in servers if run.step(f"{s}: is it without Proxmox", partial(ports.bare, s))
    )
    if not bare:
        return ()
    made = _Hosts(run, bare, ports)
    made.part(PARTS[0], 0.1, "Proxmox's kernel")
    made.restart(0.4)
    made.part(PARTS[1], 0.5, "Proxmox VE")
    made.pin(0.9)
    return bare


class _Hosts:
    def __init__(self, run: Run, servers: tuple[str, ...], ports: HostPorts) -> None:
        self._run, self._servers, self._ports = run, servers, ports

    def part(self, part: str, fraction: float, what: str) -> None:
        names = ", ".join(self._servers)
        self._run.progress(fraction, f"{what} on {names}")
        for server in self._servers:
            begin = partial(self._goes_on, server, part)
            self._step(f"{server}: begin with {what}", begin)
        for server in self._servers:
            self._run.wait(
                f"{server}: {what}",
                partial(self._is_done, server, part),
                seconds=self._ports.packages,
                every=self._ports.every,
                late=f"{server}: {what} is not there yet",
            )

    def _is_done(self, server: str, part: str) -> bool | None:
        return self._goes_on(server, part) or None

    def _goes_on(self, server: str, part: str) -> bool:
        key, ports = (server, part), self._ports
        done = ports.shell(server).run_part(part, ports.script(server), anew=key not in ports.begun)
        ports.begun.add(key)
        return done

    def restart(self, fraction: float) -> None:
        """All at once: they carry nothing yet."""
        self._run.progress(fraction, f"restarting {', '.join(self._servers)}")
        boots = {
            server: self._step(f"{server}: note its boot", self._ports.shell(server).boot)
            for server in self._servers
        }
        for server, before in boots.items():
            self._step(f"{server}: restart it", partial(self._begin_restart, server, before))
        for server, before in boots.items():
            self._run.wait(
                f"{server}: it is back",
                partial(self._returned, server, before),
                seconds=self._ports.boot,
                every=self._ports.every,
                late=f"{server}: it did not come back; its disk may wait to be unlocked",
            )

    def _begin_restart(self, server: str, before: str) -> None:
        with suppress(Unreachable):  # it restarts already, or the wait asks for it
            self._returned(server, before)

    def _returned(self, server: str, before: str) -> bool | None:
        """Asked once to restart by each process, and only while it is in the boot it was in."""
        shell, key = self._ports.shell(server), (server, "restart")
        self._ports.unlock(server)
        if shell.boot() != before:
            return True
        if key not in self._ports.begun:
            self._ports.rehearse(server)
            self._ports.begun.add(key)
            shell.restart()
        return None

    def pin(self, fraction: float) -> None:
        self._run.progress(fraction, "pinning their certificates")
        for server in self._servers:
            told = self._run.wait(
                f"{server}: its API has a certificate",
                self._ports.shell(server).certificate,
                seconds=self._ports.boot,
                every=self._ports.every,
                late=f"{server}: its Proxmox made no certificate",
            )
            self._step(f"{server}: pin its certificate", partial(self._ports.pin, server, told))

    def _step(self, name: str, act: Callable[[], Any]) -> Any:
        return self._run.step(name, act, tries=TRIES, backoff=self._ports.every)
