"""A server's serial console, kept open: SOL drops (xcat-core#685), and is opened again."""

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from metal.controller.workspace import Workspace
from metal.drivers.bmc import RMCP, beside_redfish, connect
from metal.drivers.ports import Bmc, Console
from metal.model.errors import Failed, MetalError, Unreachable
from metal.model.fleet import BmcAccess

GLANCE = 0.25
"""Seconds that one read waits."""
LASTED = 10.0
"""Seconds after which a console counts as one that works."""
DROPS = 5
"""So many in a row that did not last: somebody else takes it each time, or it does not work."""
LONGEST = 15.0


class Connection:
    """A Console with the session it needs; closing it closes both."""

    def __init__(self, bmc: Bmc) -> None:
        try:
            self._console: Console = bmc.console()
        except BaseException:
            bmc.close()
            raise
        self._bmc = bmc

    def read(self, timeout: float) -> bytes:
        return self._console.read(timeout)

    def write(self, data: bytes) -> None:
        self._console.write(data)

    def close(self) -> None:
        try:
            self._console.close()
        finally:
            self._bmc.close()


def open_console(workspace: Workspace, server: str) -> Console:
    """The console over IPMI, beside Redfish where that is how the BMC is spoken to."""
    return workspace.opened(server, lambda kept: _opened(workspace, server, kept))[0]


def _opened(workspace: Workspace, server: str, password: str) -> Console:
    access = workspace.inventory.servers[server].bmc
    if access.protocol == "redfish":
        try:
            beside = connect(beside_redfish(access), access.user, password)
        except Unreachable as error:
            raise Unreachable(
                f"its BMC speaks Redfish, and its console needs IPMI: {error.what}",
                where=server,
                mend=_way_to_ipmi(access, password),
            ) from error
        return Connection(beside)
    return Connection(
        connect(access.model_copy(update={"protocol": "ipmi"}), access.user, password)
    )


def _way_to_ipmi(access: BmcAccess, password: str) -> str:
    """What to do where IPMI is silent: that depends on what the BMC says of it over Redfish."""
    try:
        bmc = connect(access, access.user, password)
        try:
            on = bmc.exposure().ipmi_lan
        finally:
            bmc.close()
    except MetalError:
        on = None
    reach = f"let this controller reach UDP port {access.ipmi_port or RMCP} of {access.address}"
    switch = "switch IPMI over LAN on in the BMC's network settings, for as long as you want it"
    if on is None:
        return f"{switch}; and {reach}"
    return f"the BMC says that IPMI over LAN is on: {reach}" if on else f"{switch}; then {reach}"


class Log:
    """What the console said, to a file that only its owner may read."""

    def __init__(self, file: Path, *, stamps: bool = False) -> None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._file = os.fdopen(os.open(file, flags, 0o600), "ab", buffering=0)
        self._stamps, self._fresh = stamps, True

    def write(self, data: bytes) -> None:
        """Each line after the time when it began, if stamps are wanted."""
        if not self._stamps:
            self._file.write(data)
            return
        for line in data.splitlines(keepends=True):
            stamp = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} ".encode() if self._fresh else b""
            self._file.write(stamp + line)
            self._fresh = line.endswith(b"\n")

    def close(self) -> None:
        self._file.close()


def log_file(workspace: Workspace, server: str) -> Path:
    now = datetime.now(UTC)
    return workspace.state / "console" / f"{server}-{now:%Y%m%dT%H%M%SZ}.log"


class Show(Protocol):
    def __call__(self, data: bytes) -> None: ...


class Session:
    """Reads until it is told to end; writes come from any thread."""

    def __init__(
        self, open_: Callable[[], Console], log: Log, show: Show, say: Callable[[str], None]
    ) -> None:
        """Opens the console: the first time whatever is wrong is told at once.

        `show` gets the console's bytes, `say` words of ours.
        """
        self._open, self._log, self._show, self._say = open_, log, show, say
        self._console: Console | None = open_()
        self._since = time.monotonic()
        self._drops = 0
        self.over = threading.Event()

    def write(self, data: bytes) -> None:
        """To the server; dropped while the console is away (the person sees that it is)."""
        console = self._console
        if console is not None:
            try:
                console.write(data)
            except MetalError:
                return  # the reader meets it, too, and mends it

    def run(self, seconds: float | None = None) -> None:
        """Until `over` is set, or for `seconds`. Failed when the console does not stay."""
        end = None if seconds is None else time.monotonic() + seconds
        try:
            while not self.over.is_set() and (end is None or time.monotonic() < end):
                self._once()
        finally:
            self._close()

    def _once(self) -> None:
        if self._console is None:
            self._again()
            return
        try:
            data = self._console.read(GLANCE)
        except Unreachable as error:
            self._dropped(error.what)
            return
        if data:
            self._log.write(data)
            self._show(data)

    def _dropped(self, why: str) -> None:
        lasted = time.monotonic() - self._since > LASTED
        self._drops = 1 if lasted else self._drops + 1
        self._close()
        if self._drops > DROPS:
            raise Failed(
                f"the console dropped {DROPS} times in a row: {why}",
                mend="does somebody else take it each time? A BMC that lost it needs a restart",
            )
        self._say(f"the console dropped ({why}); opening it again")

    def _again(self) -> None:
        """A pause that grows, then one try; a BMC that is away is waited for."""
        self.over.wait(0.0 if self._drops == 1 else min(0.5 * 2**self._drops, LONGEST))
        if self.over.is_set():
            return
        try:
            self._console, self._since = self._open(), time.monotonic()
            self._say("the console is back")
        except Unreachable as error:
            self._say(f"no answer yet: {error.what}")
            self._drops = max(self._drops, 2)
            self.over.wait(GLANCE)

    def _close(self) -> None:
        console, self._console = self._console, None
        if console is not None:
            try:
                console.close()
            except MetalError:
                return  # it is gone: that is what was wanted
