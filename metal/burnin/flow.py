"""Burn one server in: a durable operation. Killed anywhere and run again it ends the same.

The live system does the testing and the grading is pure: this only boots the one, asks the BMC
beside it, and keeps what the other says.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from metal.burnin.bmc_log import complaints, new_entries
from metal.burnin.evidence import gather
from metal.burnin.fits import fits
from metal.burnin.grade import appraise
from metal.drivers.ports import Bmc, PowerMeter
from metal.live.session import SILENT, START, Ended, LivePorts, LiveSession
from metal.model.burnin import BmcSaid, BurnIn, Evidence
from metal.model.errors import BadInput, Failed, MetalError, Refused
from metal.model.facts import Facts, LogEntry
from metal.model.fleet import Inventory
from metal.model.life import Life, Status
from metal.operations.lease import LeaseLost
from metal.operations.run import Run

KIND = "burnin"
VERSION = 2
TESTABLE = (Life.ENROLLED, Life.TESTED)
SLACK = 3.0
"""A phase may take this times its share: emulated and very old machines are slow."""
NEW = 20
"""Entries of the BMC's log that are kept: enough to see what it is about."""
LOAD = "cpu"
"""The phase in which the machine draws the most."""


@dataclass(frozen=True)
class BurnInPorts:
    live: LivePorts
    inventory: Inventory


@dataclass(frozen=True)
class Wishes:
    minutes: float
    overwrite: bool = False
    """Blank disks may be written, if their serial number is known."""


def burnin(run: Run, name: str, wishes: Wishes, ports: BurnInPorts) -> BurnIn:
    """Test an enrolled server; accepted, it is `tested`. The record is kept whatever it says."""
    servers = ports.live.store.servers
    try:
        run.step("check", lambda: check(name, ports))
        servers.mark(name, Status.RUNNING, run=run)
        result = _BurnIn(run, name, wishes, ports).perform()
        servers.mark(name, Status.DONE, _note(result), run=run)
        return result
    except LeaseLost:
        raise
    except MetalError as error:
        servers.mark(name, Status.FAILED, f"burn-in: {error.what}", run=run)
        raise


def check(name: str, ports: BurnInPorts) -> None:
    """Refused for a server that anything runs on; BadInput where it cannot be recognised."""
    life = ports.live.store.servers.get(name).life
    if life not in TESTABLE:
        raise Refused(
            f"it is {life}, and only an enrolled or tested server is burnt in",
            where=name,
            mend=mend_of(life, name),
        )
    machine(ports.inventory, name)


def mend_of(life: Life, name: str) -> str:
    """What to do first with a server that is not to be tested or wiped in this life."""
    if life is Life.FOUND:
        return f"enrol it first: `metal enroll {name}`"
    return (
        f"what runs on it would die: `metal drain {name}`, then `metal cluster leave {name}` "
        "take it out of use"
    )


def machine(inventory: Inventory, name: str) -> tuple[tuple[str, ...], str | None]:
    """(MACs it may boot through, UUID)."""
    server = inventory.servers[name]
    learned = server.learned.macs if server.learned else ()
    macs = (server.boot_mac,) if server.boot_mac else learned
    if not macs:
        raise BadInput(
            "none of its network cards is known, so its boot could not be told from another's",
            where=f"servers.{name}",
            mend="write boot_mac by hand: its BMC does not tell",
        )
    return macs, server.learned.uuid if server.learned else None


class _BurnIn:
    def __init__(self, run: Run, name: str, wishes: Wishes, ports: BurnInPorts) -> None:
        self.run, self.name, self.wishes, self.ports = run, name, wishes, ports
        self.store = ports.live.store

    def perform(self) -> BurnIn:
        run, session = self.run, LiveSession(self.run, self.name, self.ports.live)
        macs, uuid = machine(self.ports.inventory, self.name)
        seen = run.step("log before", self._complaints)
        body = {"kind": "burnin", "minutes": self.wishes.minutes, "overwrite": self._serials()}
        before = session.start(macs, uuid, body)
        ended = session.follow("wait for the load", until=LOAD, limit=self._limit)
        watts = run.step("ask for its watts", lambda: None if ended else self._watts())
        if ended is None:
            ended = session.follow("wait for the end", until=None, limit=self._limit)
        assert ended is not None
        said = run.step("ask its BMC", lambda: self._bmc_said(seen, watts))
        session.leave(before)
        if ended.died_in == START:
            raise Failed(
                f"it fetched its job and then {ended.why}, before anything was tested",
                where=self.name,
                mend=f"look at its console: does the live system reach its network card? Then "
                f"metal run cancel {run.id}, and the same command again",
            )
        ended = self._witnessed(ended, said)
        result = run.step("grade", lambda: self._grade(ended, said).model_dump(mode="json"))
        return BurnIn.model_validate(result)

    def _limit(self, _phase: str) -> float:
        pace = min(1.0, self.ports.live.patience.poll / 2.0)
        return SLACK * 60 * self.wishes.minutes * pace

    def _serials(self) -> list[str]:
        """Disks that may be overwritten when they are blank: those whose serial is known."""
        if not self.wishes.overwrite:
            return []
        learned = self.ports.inventory.servers[self.name].learned
        known = [d.serial for d in learned.disks if d.serial] if learned else []
        known += [d.serial for d in self._drives() if d.serial]
        return list(dict.fromkeys(known))

    # ── what the BMC says ───────────────────────────────────────────────────────────────────

    def _asked(self, act: Callable[[Bmc], Any]) -> Any:
        """None when the BMC does not answer or cannot: it is no part of the test."""
        try:
            bmc = self.ports.live.bmc(self.name)
            try:
                return act(bmc)
            finally:
                bmc.close()
        except MetalError:
            return None

    def _complaints(self) -> list[dict[str, Any]] | None:
        """What its BMC's log holds that is worse than ok; None when it cannot be read."""
        log = self._asked(_log)
        return None if log is None else [entry.model_dump() for entry in complaints(log)]

    def _watts(self) -> float | None:
        found = self._asked(lambda bmc: bmc.watts() if isinstance(bmc, PowerMeter) else None)
        return None if found is None else float(found)

    def _bmc_said(
        self, seen: list[dict[str, Any]] | None, watts: float | None
    ) -> dict[str, Any] | None:
        report = self._asked(lambda bmc: bmc.health())
        if report is None:
            return None
        log = self._asked(_log) if seen is not None else None
        return BmcSaid(
            health=report.health,
            reasons=report.reasons,
            log=None if log is None else self._new(seen or [], log),
            watts=watts,
            cooling=report.cooling,
        ).model_dump(mode="json")

    def _new(self, seen: list[dict[str, Any]], log: tuple[LogEntry, ...]) -> tuple[str, ...]:
        known = [LogEntry.model_validate(entry) for entry in seen]
        return tuple(entry.text for entry in new_entries(known, complaints(log))[:NEW])

    # ── judging ─────────────────────────────────────────────────────────────────────────────

    def _witnessed(self, ended: Ended, said: dict[str, Any] | None) -> Ended:
        """Where its BMC is silent too, it may be the way to both that died."""
        if ended.why != SILENT or said or not self.ports.inventory.servers[self.name].has_bmc:
            return ended
        why = f"{ended.why} during {ended.died_in}, and so did its BMC: it, or the way to both"
        return Ended(ok=False, why=why, unheard=True)

    def _grade(self, ended: Ended, said: dict[str, Any] | None) -> BurnIn:
        """Graded and kept; a server that is accepted moves on. Safe to repeat."""
        evidence = gather(
            self.store.jobs.found(self.run.id),
            minutes=self.wishes.minutes,
            bmc=BmcSaid.model_validate(said) if said else None,
            bmc_why="" if said else "it did not answer",
            died_in=ended.died_in,
            unheard=ended.why if ended.unheard else None,
            why=""
            if ended.ok or ended.unheard
            else f"the live system did not get there: {ended.why}",
        )
        appraisal = appraise(
            evidence,
            slots={d.serial: d.slot for d in self._drives() if d.serial and d.slot},
            usable_gib=self._usable(evidence),
            fits=fits(self.ports.inventory, self.name),
        )
        at = datetime.now(UTC).isoformat(timespec="seconds")
        result = BurnIn(at=at, evidence=evidence, appraisal=appraisal)
        self.store.records.put(self.name, "burnin", result.model_dump(mode="json"), run=self.run)
        if appraisal.verdict == "accept":
            self.store.servers.move(self.name, Life.TESTED, run=self.run)
        return result

    def _drives(self) -> tuple[Any, ...]:
        record = self.store.records.get(self.name, "facts")
        try:
            return (Facts.model_validate(record.body).drives or ()) if record else ()
        except ValueError:
            return ()  # another version of metal wrote it

    def _usable(self, evidence: Evidence) -> float | None:
        """Memory that VMs can use: what the kernel saw, else what the BMC told, less the host's."""
        learned = self.ports.inventory.servers[self.name].learned
        told = learned.memory_gib if learned else None
        seen = evidence.memory.total_mib if evidence.memory else None
        total = seen / 1024 if seen else told
        reserved = self.ports.inventory.profile(self.name).reserved_memory_gib
        return None if total is None else max(0.0, round(total - reserved, 1))


def _log(bmc: Bmc) -> tuple[LogEntry, ...]:
    return bmc.log()


def _note(result: BurnIn) -> str:
    appraisal = result.appraisal
    if appraisal.verdict == "accept":
        return ""
    parts = f": {', '.join(appraisal.repair)}" if appraisal.repair else ""
    return f"burn-in: grade {appraisal.grade}, {appraisal.verdict}{parts}"
