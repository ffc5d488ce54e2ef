"""Take over one server's BMC: a durable operation. Killed anywhere and run again it ends the same.

The new password is with all administrators before the BMC gets it, so there is no moment at which
nobody can log in. At each log-in the escrowed password is tried once, then the credential the BMC
was delivered with, once: a wrong one never locks an account.
"""

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from metal.drivers.ports import Bmc, Secrets
from metal.enroll.learn import changes, learned
from metal.model.errors import BadInput, Failed, Unreachable, WrongPassword
from metal.model.facts import Facts
from metal.model.fleet import BmcAccess, Learned
from metal.operations.run import Run

LENGTH = 16
"""Bytes: more is cut by some BMCs over IPMI, without a word."""
SIGNS = "-_.+"
"""Signs that no BMC is known to choke on."""


def random_password() -> str:
    """16 characters with a small and a capital letter, a digit and a sign: BMCs' rules want all."""
    kinds = (string.ascii_lowercase, string.ascii_uppercase, string.digits, SIGNS)
    while True:
        password = "".join(secrets.choice("".join(kinds)) for _ in range(LENGTH))
        if all(set(kind) & set(password) for kind in kinds) and password[0].isalpha():
            return password


@dataclass(frozen=True)
class Credential:
    """What a BMC was delivered with. The password shows up in no text made of this."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class EnrollTarget:
    """A server as the inventory has it."""

    name: str
    access: BmcAccess
    """Its `user` is the account metal makes its own."""
    previous: Learned | None = None


@dataclass(frozen=True)
class EnrollPorts:
    """What the flow asks of the world."""

    connect: Callable[[BmcAccess, str, str], Bmc]
    """(access, user, password): one try."""
    secrets: Secrets
    record: Callable[[str, Learned, BmcAccess], None]
    """Write both into the inventory and let the server's life go on; safe to repeat."""
    factory: Credential | None = None
    """None: the server must be enrolled already."""
    random_password: Callable[[], str] = random_password
    tries: int = 3
    """How often a step whose BMC does not answer is tried."""


@dataclass(frozen=True)
class Looked:
    """What one look at a server told."""

    facts: Facts
    learned: Learned
    changes: tuple[str, ...]
    access: BmcAccess
    """With the certificate pinned and the cipher suite that worked."""


def secret_name(server: str) -> str:
    return f"bmc/{server}"


def look(target: EnrollTarget, ports: EnrollPorts) -> Looked:
    """Log in, learn and log out: nothing is changed anywhere. What `--dry-run` shows."""
    door = _Door(target, ports)
    try:
        return _looked(target, door.bmc().facts(), door.access)
    finally:
        door.close()


def enroll(run: Run, target: EnrollTarget, ports: EnrollPorts) -> Looked:
    """Learn what the server is, take its BMC over, record both.

    Refused: wrong password (WrongPassword, after one try) or a changed certificate. Unreachable:
    no answer. Failed: the BMC did not take the account; its old password is still in use then.
    """
    door = _Door(target, ports)
    try:
        run.progress(0.0, "logging in")
        seen = run.step("look", lambda: _look(door), tries=ports.tries)
        door.access = BmcAccess.model_validate(seen["access"])
        result = _looked(target, Facts.model_validate(seen["facts"]), door.access)
        run.progress(0.5, "keeping a new BMC password for all administrators")
        run.step("escrow", lambda: _escrow(target, ports))
        run.progress(0.6, "taking the BMC over")
        run.step("take over", door.retried(_take_over), tries=ports.tries)
        run.step("lock out", door.retried(_lock_out), tries=ports.tries)
        run.step("prove", door.retried(_prove), tries=ports.tries)
        run.progress(0.9, "writing the inventory")
        run.step("record", lambda: ports.record(target.name, result.learned, result.access))
    finally:
        door.close()
    return result


class _Door:
    """The way into one BMC: opened when needed, shared by the steps, opened anew after silence."""

    def __init__(self, target: EnrollTarget, ports: EnrollPorts) -> None:
        self.target, self.ports, self.access = target, ports, target.access
        self._open: Bmc | None = None

    def bmc(self) -> Bmc:
        if self._open is None:
            self._open = self._enter()
            # From now on only this certificate and this suite, also before they are recorded.
            self.access = self.access.model_copy(
                update={
                    "fingerprint": self._open.fingerprint,
                    "cipher_suite": self._open.cipher_suite,
                    "protocol": self._open.protocol,
                }
            )
        return self._open

    def close(self) -> None:
        bmc, self._open = self._open, None
        if bmc:
            bmc.close()

    def escrowed(self) -> str | None:
        return self.ports.secrets.reveal(secret_name(self.target.name))

    def _enter(self) -> Bmc:
        """The escrowed password first, then the one it was delivered with: one try each."""
        own, factory = self.escrowed(), self.ports.factory
        if own is None and factory is None:
            raise BadInput(
                "no credential for its BMC",
                where=self.target.name,
                mend="give the one it was delivered with",
            )
        if own is not None:
            try:
                return self.ports.connect(self.access, self.access.user, own)
            except WrongPassword:
                if factory is None:
                    raise
        assert factory is not None
        return self.ports.connect(self.access, factory.user, factory.password)

    def retried(self, act: Callable[["_Door"], None]) -> Callable[[], None]:
        """`act` as a step: after silence the next try logs in anew."""

        def attempt() -> None:
            try:
                act(self)
            except Unreachable:
                self.close()
                raise

        return attempt


def _look(door: _Door) -> dict[str, Any]:
    try:
        facts = door.bmc().facts()
    except Unreachable:
        door.close()
        raise
    return {
        "facts": facts.model_dump(mode="json"),
        "access": door.access.model_dump(mode="json"),
    }


def _looked(target: EnrollTarget, facts: Facts, access: BmcAccess) -> Looked:
    new = learned(facts, target.previous)
    return Looked(facts, new, tuple(changes(target.previous, new)), access)


def _escrow(target: EnrollTarget, ports: EnrollPorts) -> None:
    """A password that is kept already is used (again): it was escrowed and perhaps never set."""
    name = secret_name(target.name)
    if ports.secrets.reveal(name) is None:
        ports.secrets.escrow(name, ports.random_password(), controller=True)


def _take_over(door: _Door) -> None:
    password = door.escrowed()
    if password is None:
        raise Failed(
            "its escrowed BMC password is gone from the controller",
            where=door.target.name,
            mend="enrol it again; nothing was changed at the BMC",
        )
    door.bmc().ensure_account(door.access.user, password)


def _lock_out(door: _Door) -> None:
    """The account it was delivered with, unless that is the one metal made its own."""
    factory = door.ports.factory
    if factory and factory.user != door.access.user:
        door.bmc().ensure_locked_out(factory.user)


def _prove(door: _Door) -> None:
    """Ours, and ours alone, still opens it: a log-in of its own, with nothing else to fall to."""
    door.close()
    password = door.escrowed() or ""
    bmc = door.ports.connect(door.access, door.access.user, password)
    try:
        bmc.power()
    finally:
        bmc.close()
