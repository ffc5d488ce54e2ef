"""A new password for a BMC that is ours already: a durable operation.

The new one is with all administrators before the BMC gets it, under a name of its own, so that at
every moment the controller holds the one the BMC has: the old, the new, or both. The old one is
replaced once a new log-in has proven the new one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from metal.drivers.ports import Escrow
from metal.enroll.door import Connect, Credential, Door, Kept, secret_name
from metal.enroll.passwords import longest_password, random_password
from metal.model.errors import Failed
from metal.model.fleet import BmcAccess
from metal.operations.run import Run

VERSION = 2
"""Of the steps below."""


def next_name(server: str) -> str:
    """Where a password is kept that the BMC may have already, or may not have yet."""
    return f"bmc-next/{server}"


@dataclass(frozen=True)
class RotatePorts:
    """What the flow asks of the world."""

    connect: Connect
    secrets: Escrow
    tries: int = 3


@dataclass(frozen=True)
class _Rotation:
    access: BmcAccess
    servers: tuple[str, ...]
    """All behind the BMC: they share its password. The first one's name is the subject."""
    ports: RotatePorts

    def old(self) -> str | None:
        kept = (self.ports.secrets.reveal(secret_name(name)) for name in self.servers)
        return next(filter(None, kept), None)

    @property
    def next(self) -> Kept:
        return Kept(self.ports.secrets, next_name(self.servers[0]))

    def new(self) -> str | None:
        return self.next.now()

    def door(self, own: Callable[[], str | None]) -> Door:
        """Opened by `own`, else by a new password that an earlier run may have set."""
        new = self.new()
        more = (Credential(self.access.user, new),) if new else ()
        return Door(self.access, self.ports.connect, more, own, where=self.servers[0])


def rotate(run: Run, access: BmcAccess, servers: tuple[str, ...], ports: RotatePorts) -> None:
    """Give the BMC of `servers` a new password and keep it.

    BadInput: no password of it is held. Refused: the held one does not open it, or its certificate
    changed. Failed: the BMC did not take the new one; the old one is still in use, and kept.
    """
    rotation = _Rotation(access, servers, ports)
    run.progress(0.1, "logging in")
    longest = run.step("log in", lambda: _log_in(rotation), tries=ports.tries)
    run.progress(0.3, "keeping a new BMC password for all administrators")
    run.step("escrow", lambda: _escrow(rotation, longest))
    run.progress(0.5, "setting it")
    run.step("set", lambda: _set(rotation, longest), tries=ports.tries)
    run.step("prove", lambda: _prove(rotation), tries=ports.tries)
    run.progress(0.9, "putting it in the place of the old one")
    run.step("keep", lambda: _keep(rotation))


def _log_in(rotation: _Rotation) -> int | None:
    """It opens. How long a password it takes; None if it does not tell."""
    door = rotation.door(rotation.old)
    try:
        return longest_password(door.bmc())
    finally:
        door.close()


def _escrow(rotation: _Rotation, longest: int | None) -> None:
    """One that is kept already is used: the BMC may have it."""
    if rotation.new() is None:
        rotation.next.keep(random_password(longest))


def _set(rotation: _Rotation, longest: int | None) -> None:
    new = _held(rotation)
    door = rotation.door(rotation.old)
    try:
        door.ensure_taken(rotation.access.user, new, rotation.next, longest)
    finally:
        door.close()


def _prove(rotation: _Rotation) -> None:
    """A log-in of its own, with nothing else to fall to."""
    new = _held(rotation)
    door = rotation.door(lambda: new)
    try:
        door.enter_as_own().power()
    finally:
        door.close()


def _keep(rotation: _Rotation) -> None:
    """The new one's file takes the place of the old one's, which the administrators keep beside
    it. Last of all that of the first server, whose name it was escrowed under: where that is done,
    all is."""
    secrets, first = rotation.ports.secrets, rotation.servers[0]
    pending = next_name(first)
    if rotation.new() is None and secrets.sealed(pending) is None:
        return
    new = _held(rotation)
    for server in rotation.servers[1:]:
        if secrets.reveal(secret_name(server)) != new:
            secrets.escrow(secret_name(server), new, controller=True)
    secrets.promote(pending, secret_name(first))


def _held(rotation: _Rotation) -> str:
    new = rotation.new()
    if new is None:
        raise Failed(
            "the new password that was escrowed is not held here any more",
            where=rotation.servers[0],
            mend=f"an administrator finds it in secrets/{next_name(rotation.servers[0])}.age: the "
            "BMC may have it already",
        )
    return new
