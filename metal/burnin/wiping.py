"""Erase a server's disks: a durable operation that ends with a signed record for each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from metal.burnin.flow import machine, mend_of
from metal.burnin.smart import read_smart
from metal.live.session import Ended, LivePorts, LiveSession
from metal.model.erasure import Erasure
from metal.model.errors import BadInput, MetalError, Refused
from metal.model.fleet import Inventory, Learned
from metal.model.life import Life, Status
from metal.operations.lease import LeaseLost
from metal.operations.run import Run

VERSION = 1
WIPEABLE = (Life.ENROLLED, Life.TESTED, Life.RETIRED)
LONGEST = 7 * 24 * 3600.0
"""Seconds for all disks: 20 TB at 100 MB/s are two days and a half."""


@dataclass(frozen=True)
class WipePorts:
    live: LivePorts
    inventory: Inventory
    keep: Callable[[Erasure], Path]
    """Signs a record and writes it down; the file it is in. Safe to repeat."""


def wipe(run: Run, name: str, serials: Sequence[str], by: str, ports: WipePorts) -> list[Path]:
    """Erase the disks of those serial numbers; the files of their records."""
    servers = ports.live.store.servers
    try:
        run.step("check", lambda: check(name, serials, ports))
        servers.mark(name, Status.RUNNING, run=run)
        files = _wipe(run, name, serials, by, ports)
        servers.mark(name, Status.DONE, run=run)
        return files
    except LeaseLost:
        raise
    except MetalError as error:
        servers.mark(name, Status.FAILED, f"wipe: {error.what}", run=run)
        raise


def check(name: str, serials: Sequence[str], ports: WipePorts) -> None:
    """Refused for a server whose disks are in use; BadInput when no disk is named."""
    life = ports.live.store.servers.get(name).life
    if life not in WIPEABLE:
        why = "nobody enrolled it yet" if life is Life.FOUND else "its disks are in use"
        raise Refused(f"it is {life}: {why}", where=name, mend=mend_of(life, name))
    if not serials:
        raise BadInput(
            "none of its disks is known by serial number",
            where=f"servers.{name}",
            mend="name each: --disk SERIAL",
        )
    machine(ports.inventory, name)
    _all_known(ports.inventory, name, serials)


def _all_known(inventory: Inventory, name: str, serials: Sequence[str]) -> None:
    """A mistyped serial number would end as a signed record of a disk that nobody has."""
    known = disks_of(inventory, name)
    if len(known) < len(_learned(inventory, name).disks) or not known:
        return  # one of those that enrolment could not read may be meant
    for serial in serials:
        if serial not in known:
            raise BadInput(
                f"no disk of it has the serial number {serial}",
                where=f"servers.{name}",
                mend=f"they are {', '.join(known)}; `metal enroll {name}` reads them anew",
            )


def disks_of(inventory: Inventory, name: str) -> tuple[str, ...]:
    """Serial numbers of the disks that enrolment recorded."""
    return tuple(disk.serial for disk in _learned(inventory, name).disks if disk.serial)


def _learned(inventory: Inventory, name: str) -> Learned:
    return inventory.servers[name].learned or Learned()


def _wipe(run: Run, name: str, serials: Sequence[str], by: str, ports: WipePorts) -> list[Path]:
    session, store = LiveSession(run, name, ports.live), ports.live.store
    macs, uuid = machine(ports.inventory, name)
    before = session.start(macs, uuid, {"kind": "wipe", "serials": list(serials)})
    ended = session.follow("wait for the end", until=None, limit=lambda _phase: LONGEST)
    assert ended is not None
    told = run.step("what it told", lambda: _results(store.jobs.found(run.id)))
    session.leave(before)
    at = run.step("when", lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    records = [
        _record(run, name, serial, told.get(serial), ended, at, by, ports) for serial in serials
    ]
    return [
        Path(run.step(f"record {record.disk_serial}", lambda r=record: str(ports.keep(r))))  # type: ignore[misc]
        for record in records
    ]


def _results(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Serial → what became of it."""
    bodies = (body for name, body in found.items() if name.startswith("wiped-"))
    return {str(body.get("serial")): body for body in bodies}


def _record(
    run: Run,
    name: str,
    serial: str,
    told: dict[str, Any] | None,
    ended: Ended,
    at: str,
    by: str,
    ports: WipePorts,
) -> Erasure:
    """Erased only if the machine said how and looked whether it is true."""
    inventory = ports.inventory
    server = inventory.servers[name]
    donor, learned = inventory.sites[server.site].donor, server.learned or Learned()
    said = told or {"why": ended.why or "the machine told nothing of it"}
    erased = bool(said.get("method")) and said.get("verified") in ("zeros", "ones", "changed")
    return Erasure(
        fleet=inventory.fleet.name,
        donor=donor.name,
        contact=donor.contact,
        site=inventory.sites[server.site].place,
        server=name,
        server_model=" ".join(filter(None, (learned.vendor, learned.model))),
        server_serial=learned.serial,
        disk_model=said.get("model"),
        disk_serial=serial,
        disk_bytes=said.get("size_bytes"),
        result="erased" if erased else "not erased",
        method=said.get("method"),
        verified=said.get("verified") if erased else None,
        samples=said.get("samples") if erased else None,
        given_up=_given_up(said),
        began=said.get("began"),
        ended=said.get("ended"),
        recorded=at,
        why=str(said.get("why") or "; ".join(said.get("tried", []))),
        by=by,
        operation=run.id,
    )


def _given_up(said: dict[str, Any]) -> int | None:
    """Sectors no erasure can be seen to reach; None where the disk's SMART tells of none."""
    smart = said.get("smart")
    health = read_smart(smart if isinstance(smart, dict) else None)
    known = [n for n in (health.reallocated, health.pending) if n is not None]
    return sum(known) if known else None
