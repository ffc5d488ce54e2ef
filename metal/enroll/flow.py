"""Take over one server's BMC: a durable operation. Killed anywhere and run again it ends the same.

The new password is with all administrators before the BMC gets it, so there is no moment at which
nobody can log in. At each log-in the escrowed password is tried once, then the credentials the BMC
was delivered with, each once: a wrong one never locks an account.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from metal.drivers.ports import Bmc, Secrets
from metal.enroll.door import (
    Connect,
    Credential,
    Door,
    Kept,
    first_name,
    pending,
    secret_name,
    with_first,
)
from metal.enroll.examine import Opened, examined, proven, with_accounts
from metal.enroll.identity import another, is_serial
from metal.enroll.learn import changes, learned
from metal.enroll.merge import lacking, merge
from metal.enroll.passwords import random_password, rules_of
from metal.model.errors import Failed, MetalError, Refused, Unreachable
from metal.model.facts import BootOnce, Facts
from metal.model.findings import Audit
from metal.model.fleet import BmcAccess, Learned
from metal.model.memory import whole_dimms
from metal.model.passport import Passport
from metal.operations.run import Run

__all__ = ["Connect", "Credential", "Door", "EnrollPorts", "EnrollTarget", "Looked", "enroll"]

VERSION = 3
"""Of the steps below: an operation that another version began is held, not misread."""


@dataclass(frozen=True)
class EnrollTarget:
    """A server as the inventory has it."""

    name: str
    access: BmcAccess
    """Its `user` is the account metal makes its own."""
    previous: Learned | None = None
    before: Facts | None = None
    """What the last look told."""
    siblings: tuple[str, ...] = ()
    """Other servers behind the same BMC: they share its password."""
    serial: str | None = None
    """What a hand-over list says it is."""


@dataclass(frozen=True)
class EnrollPorts:
    """What the flow asks of the world."""

    connect: Connect
    secrets: Secrets
    record: Callable[[str, "Looked"], None]
    """Write it into the inventory and let the server's life go on; safe to repeat."""
    delivered: tuple[Credential, ...] = ()
    """What the BMC may have been delivered with; none: the server must be enrolled already."""
    ipmi: Callable[[BmcAccess, str, str], Bmc | None] | None = None
    """The same BMC over IPMI, None where it does not speak it; asked where Redfish has gaps."""
    both: bool = False
    """Ask over IPMI whatever Redfish told: to compare."""
    audit: Callable[[Opened], Audit] | None = None
    """What is wrong with how the BMC is set up."""
    passport: Callable[[Opened, BootOnce | None], Passport] | None = None
    """Prove what it can do; told what the next boot was set to, as proving changes that."""
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
    audit: Audit | None = None
    """None: it was not looked for."""
    passport: Passport | None = None
    notes: tuple[str, ...] = field(default=())
    """What could not be done besides, and why; the enrolment stands."""


def door_of(target: EnrollTarget, ports: EnrollPorts, *, change: bool) -> Door:
    """The way into the target's BMC, closed as yet; `change`: a first password may be changed."""
    access, secrets = target.access, ports.secrets
    rotated = pending(secrets, target.name, *target.siblings)
    return Door(
        access,
        ports.connect,
        (
            *(Credential(access.user, password) for password in rotated),
            *with_first(ports.delivered, access, secrets),
        ),
        lambda: escrowed(target, ports),
        where=target.name,
        first=Kept(secrets, first_name(access)) if change else None,
    )


def look(target: EnrollTarget, ports: EnrollPorts) -> Looked:
    """Log in, learn and log out: nothing is changed anywhere. What `--dry-run` shows."""
    door = door_of(target, ports, change=False)
    try:
        return looked(target, read(door, ports), door.access)
    finally:
        door.close()


def read(door: Door, ports: EnrollPorts) -> Facts:
    """What the BMC behind the door tells, over both protocols where each knows more."""
    facts = door.bmc().facts()
    wanted = ports.both or lacking(facts)
    if ports.ipmi is None or facts.protocol != "redfish" or not wanted or not door.used:
        return facts
    try:
        other = ports.ipmi(door.access, door.used.user, door.used.password)
        if other is None:
            return facts
        try:
            return merge(facts, other.facts())
        finally:
            other.close()
    except MetalError as error:
        return facts.model_copy(update={"notes": (*facts.notes, f"over IPMI: {error.what}")})


def looked(target: EnrollTarget, facts: Facts, access: BmcAccess) -> Looked:
    """What is known now, and what of it is new."""
    new = learned(facts, target.previous)
    before, now = whole_dimms(target.before), whole_dimms(facts)
    return Looked(facts, new, tuple(changes(target.previous, new, before, now)), access)


def enroll(
    run: Run,
    target: EnrollTarget,
    ports: EnrollPorts,
    door: Door | None = None,
    seen: Facts | None = None,
) -> Looked:
    """Learn what the server is, take its BMC over, record both.

    `door` and `seen`: a session that is open and what was just read through it, so that a new
    server is not asked twice. Refused: wrong password (WrongPassword, each tried once), a changed
    certificate or another machine than the one known by that name. Unreachable: no answer.
    Failed: the BMC did not take the account; its old password is still in use then.
    """
    door = door or door_of(target, ports, change=True)
    try:
        run.progress(0.0, "logging in")
        first = run.step("look", lambda: _look(door, target, ports, seen), tries=ports.tries)
        door.access = BmcAccess.model_validate(first["access"])
        result = looked(target, Facts.model_validate(first["facts"]), door.access)
        run.progress(0.5, "keeping a new BMC password for all administrators")
        longest = first.get("longest")
        run.step("escrow", lambda: _escrow(target, ports, longest))
        run.progress(0.6, "taking the BMC over")
        run.step(
            "take over",
            door.retried(lambda: _take_over(door, target, ports, longest)),
            tries=ports.tries,
        )
        former = _former(first["user"], door.access.user, ports)
        run.step("lock out", door.retried(lambda: _lock_out(door, former)), tries=ports.tries)
        accounts = run.step("prove", lambda: proven(door), tries=ports.tries)
        result = replace(result, facts=with_accounts(result.facts, accounts))
        run.progress(0.8, "looking for open doors")
        seen_besides = examined(run, door, accounts, result.facts, ports.audit, ports.passport)
        result = replace(result, **seen_besides)
        run.progress(0.9, "writing the inventory")
        run.step("record", lambda: ports.record(target.name, result))
        ports.secrets.forget(first_name(door.access))
    finally:
        door.close()
    return result


def escrowed(target: EnrollTarget, ports: EnrollPorts) -> str | None:
    """Its own, or that of a server behind the same BMC: it is one account."""
    names = (target.name, *target.siblings)
    return next(filter(None, (ports.secrets.reveal(secret_name(n)) for n in names)), None)


def _look(
    door: Door, target: EnrollTarget, ports: EnrollPorts, seen: Facts | None
) -> dict[str, Any]:
    try:
        facts = seen or read(door, ports)
    except Unreachable:
        door.close()
        raise
    check(target, facts)
    return {
        "facts": facts.model_dump(mode="json"),
        "access": door.access.model_dump(mode="json"),
        "user": door.used.user if door.used else None,
        "longest": rules_of(door.bmc()).longest,
    }


def check(target: EnrollTarget, facts: Facts) -> None:
    """Refused when this is another machine than the one that is meant."""
    serials = (facts.serial, facts.sku, facts.board_serial)
    if target.serial and is_serial(target.serial, serials) is False:
        raise Refused(
            f"the list says serial {target.serial}, and the BMC says {facts.serial}",
            where=target.name,
            mend="find out which machine stands at that address, then correct the list",
        )
    if facts.node and not target.access.node:
        raise Refused(
            "several servers are behind its BMC, and the inventory does not say which it is",
            where=target.name,
            mend=f'write bmc.node, such as node = "{facts.node}", or enrol the BMC\'s address',
        )
    known = target.previous
    if known and another(known, facts):
        raise Refused(
            "another machine answers at its address: "
            f"{_identity(facts)}, and the inventory has {_identity(known)}",
            where=target.name,
            mend="correct bmc.address; if the machine was replaced, take "
            f"[servers.{target.name}.learned] away and enrol it again",
        )


def _identity(known: Facts | Learned) -> str:
    told = (("serial", known.serial), ("UUID", known.uuid), ("board", known.board_serial))
    return ", ".join(f"{key} {value}" for key, value in told if value) or "no serial"


def _escrow(target: EnrollTarget, ports: EnrollPorts, longest: int | None) -> None:
    """A password that is kept already is used (again): it was escrowed and perhaps never set."""
    name = secret_name(target.name)
    if ports.secrets.reveal(name) is None:
        password = escrowed(target, ports) or random_password(longest)
        ports.secrets.escrow(name, password, controller=True)


def _take_over(door: Door, target: EnrollTarget, ports: EnrollPorts, longest: int | None) -> None:
    password = escrowed(target, ports)
    if password is None:
        raise Failed(
            "its escrowed BMC password is gone from the controller",
            where=target.name,
            mend="enrol it again; nothing was changed at the BMC",
        )
    own = Kept(ports.secrets, secret_name(target.name))
    door.ensure_taken(door.access.user, password, own, longest)


def _former(used: str | None, own: str, ports: EnrollPorts) -> tuple[str, ...]:
    """The accounts it was delivered with, unless that is the one metal made its own.

    That is the one that opened it. When that was ours (it was taken over before, and the record
    of how is gone) it is those a person gave.
    """
    if used and used != own:
        return (used,)
    return tuple(dict.fromkeys(c.user for c in ports.delivered if c.user != own))


def _lock_out(door: Door, users: tuple[str, ...]) -> None:
    for user in users:
        door.bmc().ensure_locked_out(user)
