"""One server of the inventory at a time: asked, taken over, recorded."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from metal.controller.enroll_result import EnrollResult
from metal.controller.examining import Examiner, keep_audit, kept_passport
from metal.controller.finding import Pings
from metal.controller.following import Followed
from metal.controller.former import WAY_IN
from metal.controller.newcomers import Newcomers
from metal.controller.progress import Progress
from metal.controller.targets import Target, has_store
from metal.controller.workspace import Workspace
from metal.drivers.bmc import connect
from metal.enroll import flow
from metal.enroll.flow import Credential, Door, EnrollPorts, EnrollTarget, Looked
from metal.inventory.edit import recording
from metal.inventory.scribe import Scribe
from metal.model.errors import MetalError, Refused
from metal.model.facts import Facts
from metal.model.life import Life, Status
from metal.operations.run import Run, perform

log = logging.getLogger(__name__)

RECORDED = ("protocol", "fingerprint", "cipher_suite")
"""What of the way in is written into the inventory."""


@dataclass
class Scene:
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


class Enrolment:
    """Of the servers that the inventory has."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

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
        store.records.put(name, WAY_IN, looked.access.model_dump(mode="json"))
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
