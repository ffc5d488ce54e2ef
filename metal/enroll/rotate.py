"""A new password for a BMC that is ours already: a durable operation.

The new one is with all administrators before the BMC gets it, under a name of its own, so that at
every moment the controller holds the one the BMC has: the old, the new, or both. The old one is
replaced once a new log-in has proven the new one. A BMC that cut the new one (I05) has a beginning
of it: that is found by trying, and kept before anything else is done.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from metal.drivers.ports import Bmc, Escrow
from metal.enroll.door import Connect, Credential, Door, Kept, next_name, pending, secret_name
from metal.enroll.passwords import random_password, rules_of
from metal.model.errors import Failed, NoEffect
from metal.model.facts import PasswordRules
from metal.model.findings import Finding
from metal.model.fleet import BmcAccess
from metal.operations.run import Run

T = TypeVar("T")

VERSION = 3
"""Of the steps below."""
PASSWORD_KEPT = "password-kept"
"""The finding that a BMC takes no new password."""


@dataclass(frozen=True)
class RotatePorts:
    """What the flow asks of the world."""

    connect: Connect
    secrets: Escrow
    found: Callable[[Finding | None], None]
    """Keep for the servers that their BMC takes no new password; None: that it did."""
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
        return Kept(self.ports.secrets, self.next_name)

    @property
    def next_name(self) -> str:
        """The first server may have been another when an earlier run kept one."""
        names, kept = [next_name(server) for server in self.servers], self.ports.secrets
        return next((n for n in names if kept.reveal(n) or kept.sealed(n)), names[0])

    def new(self) -> str | None:
        return self.next.now()

    def door(
        self, own: Callable[[], str | None], more: tuple[str, ...] = (), most: int | None = None
    ) -> Door:
        """Opened by `own`, else by one of `more`."""
        besides = tuple(Credential(self.access.user, password) for password in more)
        return Door(self.access, self.ports.connect, besides, own, where=self.servers[0], most=most)

    def inside(self, act: Callable[[Door, Bmc], T], most: int | None = None) -> T:
        """`act` behind a door that the old password opens, or what an earlier run may have set:
        if that is only a beginning of it, it is the one that is kept from now on."""
        more = pending(self.ports.secrets, *self.servers)
        door = self.door(self.old, more, most)
        try:
            bmc = door.bmc()
            if door.used and door.used.password in more[1:]:
                self.next.keep(door.used.password)
            return act(door, bmc)
        finally:
            door.close()


def rotate(run: Run, access: BmcAccess, servers: tuple[str, ...], ports: RotatePorts) -> None:
    """Give the BMC of `servers` a new password and keep it.

    BadInput: no password of it is held. Refused: the held one does not open it, or its certificate
    changed. NoEffect: the BMC did not take the new one; the old one is still in use, and kept, and
    that is found. NotTaken: it may have the new one, which stays beside the old one.
    """
    rotation = _Rotation(access, servers, ports)
    run.progress(0.1, "logging in")
    told = run.step("log in", lambda: _log_in(rotation), tries=ports.tries)
    rules = PasswordRules.model_validate(told)
    run.progress(0.3, "keeping a new BMC password for all administrators")
    run.step("escrow", lambda: _escrow(rotation, rules))
    run.progress(0.5, "setting it")
    run.step("set", lambda: _set(rotation, rules), tries=ports.tries)
    run.step("prove", lambda: _prove(rotation), tries=ports.tries)
    run.progress(0.9, "putting it in the place of the old one")
    run.step("keep", lambda: _keep(rotation))


def _log_in(rotation: _Rotation) -> dict[str, int | None]:
    """It opens. What it says of passwords."""
    rules = rotation.inside(lambda _door, bmc: rules_of(bmc))
    return rules.model_dump()


def _escrow(rotation: _Rotation, rules: PasswordRules) -> None:
    """One that is kept already is used: the BMC may have it."""
    if rotation.new() is None:
        rotation.next.keep(random_password(rules.longest))


def _set(rotation: _Rotation, rules: PasswordRules) -> None:
    user = rotation.access.user
    try:
        rotation.inside(
            lambda door, _bmc: door.ensure_taken(
                user, _held(rotation), rotation.next, rules.longest
            ),
            rules.tries,
        )
    except NoEffect as error:
        rotation.ports.found(_password_kept(error))
        raise
    rotation.ports.found(None)


def _password_kept(error: NoEffect) -> Finding:
    return Finding(
        id=PASSWORD_KEPT,
        severity="high",
        what="its BMC takes no new password: whoever knows the one it has gets in",
        remedy=error.mend,
        evidence=error.what,
    )


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
    it. Last of all that of the first server: where that is done, all is."""
    secrets, first, name = rotation.ports.secrets, rotation.servers[0], rotation.next_name
    if rotation.new() is not None or secrets.sealed(name) is not None:
        new = _held(rotation)
        for server in rotation.servers[1:]:
            if secrets.reveal(secret_name(server)) != new:
                secrets.escrow(secret_name(server), new, controller=True)
    secrets.promote(name, secret_name(first))


def _held(rotation: _Rotation) -> str:
    new = rotation.new()
    if new is None:
        raise Failed(
            "the new password that was escrowed is not held here any more",
            where=rotation.servers[0],
            mend=f"an administrator finds it in secrets/{rotation.next_name}.age: the BMC may "
            "have it already",
        )
    return new
