"""What is known of a server: the inventory, and what the store keeps of it. No BMC is asked."""

from datetime import UTC, datetime
from typing import Any

from metal.controller.examining import kept_passport
from metal.controller.workspace import Workspace
from metal.enroll.route import route
from metal.inventory.mistakes import suggest
from metal.model.base import Frozen
from metal.model.burnin import BurnIn
from metal.model.disks import system_disks
from metal.model.errors import BadInput
from metal.model.facts import Facts
from metal.model.findings import Finding
from metal.model.fleet import Disk, Server
from metal.model.life import Life, Status
from metal.model.passport import Passport, Route

RECENT = 5
"""Operations that are shown."""


class Done(Frozen):
    """An operation on the server."""

    run: int
    kind: str
    status: Status
    at: str
    """ISO 8601 UTC."""
    error: str = ""


class KnownServer(Frozen):
    name: str
    life: Life
    status: Status
    note: str = ""
    cluster: str | None
    server: Server
    """As the inventory has it."""
    system: tuple[Disk, ...] = ()
    """The drives that Debian is on: two hold the same."""
    gone: tuple[str, ...] = ()
    """Names of those that its BMC did not show when it was looked at."""
    looked_at: str | None = None
    """When its BMC told `facts`, ISO 8601 UTC; None: never."""
    facts: Facts | None = None
    findings: tuple[Finding, ...] | None = None
    """None: it was never examined."""
    unexamined: dict[str, str] = {}
    """id of a finding → why nobody could find out whether it is there."""
    passport: Passport | None = None
    route: Route | None = None
    """How it gets to an installer; None: nothing was proven yet."""
    burnin: BurnIn | None = None
    """The last one; None: it was never burnt in."""
    operations: tuple[Done, ...] = ()
    """The last ones, newest first."""


def known(workspace: Workspace, name: str) -> KnownServer:
    """Everything of one server; BadInput if the inventory has none of that name."""
    servers = workspace.inventory.servers
    if name not in servers:
        raise BadInput(
            f"there is no server {name}",
            where="inventory.toml",
            mend=suggest(name, servers, "server"),
        )
    store = workspace.store
    records = store.records
    facts, burnin = records.get(name, "facts"), records.get(name, "burnin")
    findings, unexamined = records.get(name, "findings"), records.get(name, "unexamined")
    passport = kept_passport(store, name)
    seen = _read(Facts, facts.body) if facts else None
    system = system_disks(workspace.inventory.profile(name), servers[name])
    return _basics(workspace, name).model_copy(
        update={
            "looked_at": _time(facts.at) if facts else None,
            "facts": seen,
            "system": system,
            "gone": _gone(system, seen),
            "findings": _findings(findings.body) if findings else None,
            "unexamined": unexamined.body if unexamined else {},
            "passport": passport,
            "route": route(workspace.inventory, name, passport),
            "burnin": _read(BurnIn, burnin.body) if burnin else None,
            "operations": _operations(workspace, name),
        }
    )


def all_known(workspace: Workspace) -> list[KnownServer]:
    """Every server of the inventory, in its order, without operations and findings."""
    facts = workspace.store.records.all("facts")
    return [
        _basics(workspace, name).model_copy(
            update={"looked_at": _time(facts[name].at) if name in facts else None}
        )
        for name in workspace.inventory.servers
    ]


def _basics(workspace: Workspace, name: str) -> KnownServer:
    record = workspace.store.servers.get(name)
    return KnownServer(
        name=name,
        life=record.life,
        status=record.status,
        note=record.note,
        cluster=workspace.inventory.cluster_of(name),
        server=workspace.inventory.servers[name],
    )


def _gone(system: tuple[Disk, ...], seen: Facts | None) -> tuple[str, ...]:
    """By serial number; a BMC that did not list all of its drives has shown nothing gone."""
    if seen is None or not seen.drives or any(what.startswith("drives") for what in seen.unknown):
        return ()
    there = {drive.serial for drive in seen.drives}
    return tuple(disk.name for disk in system if disk.serial and disk.serial not in there)


def _operations(workspace: Workspace, name: str) -> tuple[Done, ...]:
    """Those about the server alone: its subject is its name, or an action on it."""
    mine = [
        operation
        for operation in workspace.store.journal.list()
        if name in operation.subject.split(":")
    ]
    return tuple(
        Done(
            run=o.id,
            kind=o.kind,
            status=o.status,
            at=_time(o.updated),
            error=o.error.splitlines()[0] if o.error else "",
        )
        for o in reversed(mine[-RECENT:])
    )


def _findings(body: Any) -> tuple[Finding, ...] | None:
    found = [_read(Finding, item) for item in body] if isinstance(body, list) else [None]
    return None if None in found else tuple(f for f in found if f)


def _read(model: Any, body: Any) -> Any:
    """None for what another version of metal wrote and this one does not understand."""
    try:
        return model.model_validate(body)
    except ValueError:
        return None


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
