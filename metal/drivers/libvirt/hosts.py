"""The hosts of one cluster, each with its own libvirtd and one connection that is kept."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from metal.drivers.libvirt.calls import libvirt, within
from metal.drivers.libvirt.patience import Patience
from metal.model.errors import BadInput, MetalError, Unreachable

T = TypeVar("T")
AGAIN = 0.5
"""Seconds to knock where nobody answered the last time: a dead host is asked at each look."""
PORTS = {"tcp": 16509, "tls": 16514, "ssh": 22, "libssh": 22, "libssh2": 22}


class Silent(Unreachable):
    """Nothing at its address said anything: unlike a refusal, which somebody alive gives."""


@dataclass
class Host:
    """One host: its libvirt URI and what it is called in the inventory."""

    name: str
    uri: str
    address: str = ""
    """What other hosts send a migrating VM to; that of the URI when empty."""
    _connection: Any = field(default=None, repr=False)
    _was_silent: bool = field(default=False, repr=False)

    @property
    def where(self) -> tuple[str, int] | None:
        """(host, port) to knock at; None for a libvirtd of this machine."""
        parts = urlsplit(self.uri)
        transport = parts.scheme.partition("+")[2] or "tls"
        if not parts.hostname or transport not in PORTS:
            return None
        return parts.hostname, parts.port or PORTS[transport]

    @property
    def kept(self) -> bool:
        """Whether a connection was opened before."""
        return self._connection is not None

    def connection(self, patience: Patience) -> Any:
        """The open connection, or a new one; Silent or Unreachable when there is none."""
        if self._connection is not None and _alive(self._connection):
            return self._connection
        self.forget()
        self._knock(patience.connect)
        module = libvirt()
        opened = within(
            patience.connect + patience.answer,
            lambda: module.open(self.uri),
            self.name,
            "libvirt did not open a connection",
        )
        if self.where:
            opened.setKeepAlive(patience.alive, 3)
        self._connection = opened
        return opened

    def forget(self) -> None:
        """Open anew at the next call. Nobody waits for the old one to be closed."""
        old, self._connection = self._connection, None
        if old is not None:
            threading.Thread(target=_close, args=(old,), daemon=True).start()

    def _knock(self, seconds: float) -> None:
        if not self.where:
            return
        if self._was_silent:
            seconds = min(seconds, AGAIN)
        try:
            socket.create_connection(self.where, seconds).close()
            self._was_silent = False
        except ConnectionRefusedError:
            self._was_silent = False
            raise Unreachable("the host is there, its libvirtd is not", where=self.name) from None
        except OSError as error:
            self._was_silent = True
            raise Silent(f"no answer: {error.strerror or error}", where=self.name) from None


class Hosts:
    """All hosts of a cluster; asks them side by side."""

    def __init__(self, hosts: dict[str, Host], patience: Patience) -> None:
        self.all, self.patience = hosts, patience

    def __getitem__(self, name: str) -> Host:
        if name not in self.all:
            known = ", ".join(self.all)
            raise BadInput(f"no access to a host {name!r}", where=name, mend=f"known: {known}")
        return self.all[name]

    def call(self, name: str, act: Callable[[Any], T], *, seconds: float | None = None) -> T:
        """What `act` makes of the host's connection, within the time for one answer."""
        host = self[name]
        connection = host.connection(self.patience)
        try:
            return within(
                seconds or self.patience.answer,
                lambda: act(connection),
                name,
                "libvirt gave no answer",
            )
        except Unreachable:
            host.forget()
            raise

    def _read(self, name: str, act: Callable[[Any], T]) -> T:
        """As `call`; a kept connection that has died tells nothing of the host: ask once more."""
        kept = self[name].kept
        try:
            return self.call(name, act)
        except Unreachable:
            if not kept:
                raise
            return self.call(name, act)

    def each(self, act: Callable[[str, Any], T]) -> tuple[dict[str, T], dict[str, MetalError]]:
        """(host → what `act` made of it, host → why it did not answer)."""
        silent: dict[str, MetalError] = {}
        found: dict[str, T] = {}

        def ask(name: str) -> None:
            try:
                found[name] = self._read(name, lambda connection: act(name, connection))
            except Unreachable as error:
                silent[name] = error

        with ThreadPoolExecutor(max(1, len(self.all))) as pool:
            for future in [pool.submit(ask, name) for name in self.all]:
                future.result()
        return {name: found[name] for name in self.all if name in found}, silent


def _close(connection: Any) -> None:
    with suppress(libvirt().libvirtError):
        connection.close()


def _alive(connection: Any) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt().libvirtError:
        return False
