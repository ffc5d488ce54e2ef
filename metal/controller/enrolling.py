"""Enrol servers side by side: one bad server never stops the others."""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

from metal.controller.examining import Examiner, keep_audit, kept_passport
from metal.controller.finding import Pings
from metal.controller.following import Followed
from metal.controller.newcomers import Newcomers
from metal.controller.progress import Progress
from metal.controller.sweeping import side_by_side
from metal.controller.targets import Target, has_store
from metal.controller.workspace import Workspace
from metal.drivers.bmc import connect
from metal.drivers.connections import OPEN
from metal.enroll import flow
from metal.enroll.door import first_password, with_first
from metal.enroll.flow import Credential, Door, EnrollPorts, EnrollTarget, Looked
from metal.enroll.route import route
from metal.inventory.edit import KnownBmc, recording
from metal.inventory.scribe import Scribe
from metal.model.base import Frozen
from metal.model.errors import MetalError, Refused
from metal.model.facts import Facts
from metal.model.findings import Finding
from metal.model.fleet import BmcAccess, Learned
from metal.model.life import Life, Status
from metal.model.passport import Passport, Route
from metal.operations.run import Run, perform

log = logging.getLogger(__name__)

WORKERS = 256
"""Threads: they wait for BMCs nearly all of their time. How many connections are open at once is
bounded elsewhere (metal/drivers/connections.py)."""
RECORDED = ("protocol", "fingerprint", "cipher_suite")
"""What of the way in is written into the inventory."""


class EnrollResult(Frozen):
    """What became of one server. `facts` are None when it could not be asked."""

    server: str
    """"" where it is in no inventory."""
    address: str
    ok: bool
    added: bool = False
    """It was not in the inventory before."""
    facts: Facts | None = None
    learned: Learned | None = None
    """What is known now: what the BMC told, and what a person wrote where it tells nothing."""
    changes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    unexamined: dict[str, str] = {}
    """id of a finding → why nobody could find out whether it is there."""
    passport: Passport | None = None
    route: Route | None = None
    """How it gets to an installer; None where nothing was proven."""
    notes: tuple[str, ...] = ()
    error: str | None = None
    exit_code: int = 0


@dataclass
class _Scene:
    """What all targets of a sweep have in common."""

    workspace: Workspace | None
    delivered: tuple[Credential, ...]
    progress: Progress
    dry_run: bool
    both: bool
    stop: threading.Event = field(default_factory=threading.Event)
    pings: Pings | None = None
    followed: Followed | None = None
    newcomers: Newcomers | None = None
    scribe: Scribe | None = None


def unusable(errors: Sequence[MetalError]) -> list[EnrollResult]:
    """Rows of a hand-over list that name no BMC."""
    return [
        EnrollResult(server="", address=e.where, ok=False, error=str(e), exit_code=e.exit_code)
        for e in errors
    ]


def enroll(
    workspace: Workspace | None,
    targets: Sequence[Target],
    delivered: Sequence[Credential] = (),
    *,
    dry_run: bool = False,
    both: bool = False,
    connections: int | None = None,
    progress: Progress,
) -> list[EnrollResult]:
    """Learn what each target is and take its BMC over; `dry_run` only learns.

    `delivered`: what the BMCs may have been delivered with, each tried once a BMC; none suits
    servers that are enrolled already. `both`: ask over IPMI too, whatever Redfish told.
    `connections`: how many may be open at once, where that is not the process's usual number.
    `workspace` may be None for a dry run of addresses. Never raises for one target's sake.
    """
    if connections:
        OPEN.allow(connections)
    scene = _Scene(workspace, tuple(delivered), progress, dry_run, both)
    scene.pings = Pings([t.address for t in targets if t.address])
    one = _Enrolment(scene)
    groups = _by_bmc(targets)
    with nullcontext() if dry_run else _followed(scene):
        nested = side_by_side(groups, one.group, workers=WORKERS, stop=scene.stop)
    results = [result for results in nested for result in results]
    if workspace and not dry_run:
        workspace.reload()
        return [_routed(workspace, result) for result in results]
    return results


def _routed(workspace: Workspace, result: EnrollResult) -> EnrollResult:
    """With what was proven, now or before, and the way to an installer that follows from it."""
    if not result.ok:
        return result
    passport = kept_passport(workspace.store, result.server)
    way = route(workspace.inventory, result.server, passport)
    return result.model_copy(update={"passport": passport, "route": way})


def _followed(scene: _Scene) -> Followed:
    assert scene.workspace, "a server is enrolled into a workspace"
    assert scene.workspace.secrets  # opened here, not by many threads at once
    scene.followed = Followed(scene.workspace.store, scene.progress)
    scene.scribe = Scribe(scene.workspace.folder)
    scene.newcomers = Newcomers(scene.workspace.inventory, scene.scribe)
    return scene.followed


def _by_bmc(targets: Sequence[Target]) -> list[list[Target]]:
    """The servers behind one BMC are asked one after the other: one session a BMC."""
    groups: dict[tuple[str, int | None], list[Target]] = {}
    for target in targets:
        groups.setdefault((target.address, target.port), []).append(target)
    return list(groups.values())


class _Enrolment:
    def __init__(self, scene: _Scene) -> None:
        self._scene = scene

    def group(self, targets: list[Target]) -> list[EnrollResult]:
        return [result for target in targets for result in self._target(target)]

    def _target(self, target: Target) -> list[EnrollResult]:
        if self._scene.stop.is_set():
            return []
        name = target.server
        if name is None:
            try:
                return self._newcomer(target)
            except Exception as error:  # one of many never ends the others
                return [self._defect("", target, error)]
        if not self._workspace.inventory.servers[name].has_bmc:
            return [self._without_bmc(name)]
        verb = "ask what" if self._scene.dry_run else "enrol"
        act = self._look if self._scene.dry_run else self._enroll
        return [
            self._shown(
                target, f"{verb} {target.label}", lambda: act(self._known(name, target), target)
            )
        ]

    # ── Servers of the inventory ─────────────────────────────────────────────────────────────

    def _look(self, known: EnrollTarget, target: Target) -> EnrollResult:
        """Only ask: nothing is changed, nothing recorded."""
        return self._result(known.name, flow.look(known, self._ports(target)))

    def _enroll(
        self,
        known: EnrollTarget,
        target: Target,
        door: Door | None = None,
        seen: Facts | None = None,
    ) -> EnrollResult:
        """One durable operation."""
        scene, store = self._scene, self._workspace.store
        assert scene.followed
        claims = (f"server {known.name}",)
        operation = store.journal.open("enroll", known.name, claims, {}, flow.VERSION)
        scene.followed.add(operation.id, target.label)
        done: list[Looked] = []

        ports = self._examining(known.name, self._ports(target))

        def run_flow(run: Run) -> None:
            done.append(flow.enroll(run, known, ports, door, seen))

        outcome = perform(store, operation, run_flow, version=flow.VERSION, stop=scene.stop)
        if outcome.status is not Status.DONE:
            return self._failed(known.name, target, outcome.error, outcome.exit_code or 1)
        return self._result(known.name, done[0])

    def _without_bmc(self, name: str) -> EnrollResult:
        """Nothing can be asked or taken over: it is as the inventory says, until a burn-in."""
        server = self._workspace.inventory.servers[name]
        notes = ["it has no BMC: nothing was asked, and `metal burnin` learns what it is"]
        if not (server.boot_mac or (server.learned and server.learned.macs)):
            notes.append(
                "write boot_mac in inventory.toml: the network card it boots through tells it "
                "from others"
            )
        if not self._scene.dry_run and self._workspace.life(name) is Life.FOUND:
            self._workspace.store.servers.move(name, Life.ENROLLED)
        return EnrollResult(
            server=name, address="", ok=True, learned=server.learned, notes=tuple(notes)
        )

    def _known(self, name: str, target: Target) -> EnrollTarget:
        inventory = self._workspace.inventory
        server = inventory.servers[name]
        return EnrollTarget(
            name=name,
            access=server.bmc,
            previous=server.learned,
            before=self._before(name),
            siblings=tuple(n for n in inventory.behind(name) if n != name),
            serial=target.wishes.serial,
        )

    def _before(self, name: str) -> Facts | None:
        """The facts of the last look. A dry run makes no store where there is none."""
        workspace = self._workspace
        if self._scene.dry_run and not has_store(workspace):
            return None
        record = workspace.store.records.get(name, "facts")
        try:
            return Facts.model_validate(record.body) if record else None
        except ValueError:
            return None  # another version of metal wrote it

    # ── Addresses that are in no inventory ───────────────────────────────────────────────────

    def _newcomer(self, target: Target) -> list[EnrollResult]:
        """A BMC nobody knows: each server behind it, one after the other."""
        known = self._known_nodes(target)
        siblings = list(known.values())
        door = self._door(target, BmcAccess(address=target.address, port=target.port), siblings)
        self._scene.progress.begin(target.label, f"ask what {target.label} is")
        try:
            nodes = getattr(door.bmc(), "nodes", lambda: ("",))()
        except Exception as error:
            door.close()
            result = self._defect("", target, error)
            self._scene.progress.end(target.label, False, result.error or "")
            return [result]
        self._scene.progress.end(target.label, True, "")
        if len(nodes) <= 1 and not known:
            return [self._shown_newcomer(target, door, "", siblings)]
        door.close()
        results = []
        for node in nodes:
            if node not in known:
                access = door.access.model_copy(update={"node": node})
                way_in = self._door(target, access, siblings, door.used)
                results.append(self._shown_newcomer(target, way_in, node, siblings))
                siblings += [results[-1].server] if results[-1].server else []
        return results

    def _known_nodes(self, target: Target) -> dict[str | None, str]:
        """Node → server, of those the inventory has behind that BMC."""
        servers = self._workspace.inventory.servers if self._scene.workspace else {}
        return {
            server.bmc.node: name
            for name, server in servers.items()
            if (server.bmc.address.lower(), server.bmc.port) == (target.address, target.port)
        }

    def _shown_newcomer(
        self, target: Target, door: Door, node: str, siblings: Sequence[str]
    ) -> EnrollResult:
        label = f"{target.label} {node}".strip()
        try:
            return self._shown(
                target, f"learn what {label} is", lambda: self._met(target, door, siblings), label
            )
        finally:
            door.close()

    def _met(self, target: Target, door: Door, siblings: Sequence[str]) -> EnrollResult:
        """A server that is in no inventory yet, behind a door that is open."""
        facts = flow.read(door, self._ports(target))
        met = EnrollTarget(target.label, door.access, serial=target.wishes.serial)
        flow.check(met, facts)
        seen = flow.looked(met, facts, door.access)
        return (
            self._result("", seen)
            if self._scene.dry_run
            else self._add(target, door, seen, siblings)
        )

    def _add(
        self, target: Target, door: Door, seen: Looked, siblings: Sequence[str]
    ) -> EnrollResult:
        """Into the inventory first: whatever happens then, the next run knows it by name."""
        assert self._scene.newcomers
        access = door.access.model_copy(update={"user": BmcAccess(address="").user})
        try:
            name = self._scene.newcomers.add(seen.facts, seen.learned, access, target.wishes)
        except KnownBmc as known:  # another sweep was faster
            door.close()
            self._workspace.reload()
            return self._enroll(self._known(known.server, target), target)
        added = EnrollTarget(name, access, seen.learned, seen.facts, tuple(siblings))
        ports = self._ports(target)
        door.own = lambda: flow.escrowed(added, ports)
        result = self._enroll(added, target, door, seen.facts)
        return result.model_copy(update={"added": True})

    def _door(
        self,
        target: Target,
        access: BmcAccess,
        siblings: Sequence[str],
        first: Credential | None = None,
    ) -> Door:
        """With the password of servers behind the same BMC at hand: it is one account."""
        ports = self._ports(target)
        shared = EnrollTarget(siblings[0], access, siblings=tuple(siblings)) if siblings else None
        own = (lambda: flow.escrowed(shared, ports)) if shared else (lambda: None)
        delivered = (*((first,) if first else ()), *ports.delivered)
        return Door(
            access,
            connect,
            with_first(delivered, access, ports.secrets),
            own,
            where=target.wishes.where or target.label,
            first=None
            if self._scene.dry_run
            else lambda: first_password(access, ports.secrets, flow.random_password),
        )

    # ── Both ─────────────────────────────────────────────────────────────────────────────────

    @property
    def _workspace(self) -> Workspace:
        assert self._scene.workspace, "only a dry run of addresses goes without a workspace"
        return self._scene.workspace

    def _ports(self, target: Target) -> EnrollPorts:
        pings = self._scene.pings
        return EnrollPorts(
            connect=connect,
            secrets=self._workspace.secrets if self._scene.workspace else _no_secrets,
            record=self._record,
            delivered=(*target.delivered, *self._scene.delivered),
            ipmi=pings.over_ipmi if pings and self._may_ask_ipmi(target) else None,
            both=self._scene.both,
        )

    def _examining(self, name: str, ports: EnrollPorts) -> EnrollPorts:
        """Audited at each enrolment; proven once, as that costs a slow BMC minutes."""
        examiner = Examiner(self._workspace, name, self._scene.pings)
        proven = kept_passport(self._workspace.store, name)
        return replace(ports, audit=examiner.audit, passport=None if proven else examiner.prove)

    def _may_ask_ipmi(self, target: Target) -> bool:
        """Where it was not settled before that Redfish is the protocol, or a person asks."""
        if self._scene.both or target.server is None:
            return True
        return self._workspace.inventory.servers[target.server].bmc.protocol == "auto"

    def _record(self, name: str, looked: Looked) -> None:
        way_in = looked.access.model_dump(mode="json", include=set(RECORDED))
        assert self._scene.scribe
        self._scene.scribe.write(recording(name, looked.learned, way_in))
        store = self._workspace.store
        store.records.put(name, "facts", looked.facts.model_dump(mode="json"))
        if looked.audit:
            keep_audit(store, name, looked.audit)
        if looked.passport:
            store.records.put(name, "passport", looked.passport.model_dump(mode="json"))
        # A server that came further in its life and is enrolled again stays where it is.
        if self._workspace.life(name) is Life.FOUND:
            store.servers.move(name, Life.ENROLLED)

    def _shown(
        self, target: Target, what: str, act: Callable[[], EnrollResult], key: str = ""
    ) -> EnrollResult:
        key = key or target.label
        self._scene.progress.begin(key, what)
        try:
            result = act()
        except Exception as error:
            result = self._defect(target.server or "", target, error)
        self._scene.progress.end(key, result.ok, result.error or "")
        return result

    def _defect(self, name: str, target: Target, error: Exception) -> EnrollResult:
        if isinstance(error, MetalError):
            return self._failed(name, target, str(error), error.exit_code)
        log.exception("enrolling %s", target.label)
        why = f"{target.label}: a defect in metal: {type(error).__name__}: {error}"
        return self._failed(name, target, f"{why}\n  → report it; the others went on", 1)

    def _result(self, name: str, seen: Looked) -> EnrollResult:
        return EnrollResult(
            server=name,
            address=seen.access.address,
            ok=True,
            facts=seen.facts,
            learned=seen.learned,
            changes=seen.changes,
            findings=seen.audit.findings if seen.audit else (),
            unexamined=seen.audit.unknown if seen.audit else {},
            passport=seen.passport,
            notes=(*seen.facts.notes, *seen.notes),
        )

    def _failed(self, name: str, target: Target, why: str, exit_code: int) -> EnrollResult:
        address = target.label if target.server is None else target.address
        return EnrollResult(server=name, address=address, ok=False, error=why, exit_code=exit_code)


class _NoSecrets:
    """Without a workspace nothing is escrowed, and nothing is changed that would need it."""

    def escrow(self, name: str, secret: str, *, controller: bool) -> None:
        raise Refused("there is no workspace to escrow to", where=name, mend="metal init")

    def reveal(self, name: str) -> str | None:
        return None

    def forget(self, name: str) -> None:
        pass


_no_secrets = _NoSecrets()
