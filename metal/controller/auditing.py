"""Audit BMCs, and prove anew what they can do."""

import threading
from collections.abc import Sequence

from metal.controller.bmcs import Told, each
from metal.controller.examining import Examiner, keep_audit
from metal.controller.finding import Pings
from metal.controller.progress import Progress
from metal.controller.workspace import Workspace
from metal.drivers.ports import Bmc
from metal.enroll.door import Credential
from metal.enroll.examine import Opened
from metal.enroll.route import route
from metal.model.errors import MetalError
from metal.model.facts import Account, BootOnce
from metal.model.findings import Finding
from metal.model.life import Status
from metal.model.passport import Passport, Route
from metal.operations.run import Run, perform


class Audited(Told):
    findings: tuple[Finding, ...] = ()
    unexamined: dict[str, str] = {}
    """id of a finding → why nobody could find out whether it is there."""


class Proven(Told):
    passport: Passport | None = None
    route: Route | None = None


def audit_all(
    workspace: Workspace, groups: Sequence[list[str]], progress: Progress
) -> list[Audited]:
    """What is wrong with how each BMC is set up; kept for `metal server show`. Changes nothing."""
    pings = _pings(workspace, groups)

    def audit(names: list[str], _stop: threading.Event) -> list[Audited]:
        return [_audited(workspace, name, pings) for name in names]

    def failed(server: str, error: str, code: int) -> Audited:
        return Audited(server=server, error=error, exit_code=code)

    assert workspace.store and workspace.secrets  # opened here, not by many threads at once
    return each(groups, "audit", audit, failed, progress)


def prove_all(
    workspace: Workspace, groups: Sequence[list[str]], progress: Progress
) -> list[Proven]:
    """Try out anew what each BMC can do, as durable operations, and keep it."""
    pings = _pings(workspace, groups)

    def prove(names: list[str], stop: threading.Event) -> list[Proven]:
        return [_proven(workspace, name, pings, stop) for name in names]

    def failed(server: str, error: str, code: int) -> Proven:
        return Proven(server=server, error=error, exit_code=code)

    assert workspace.store and workspace.secrets
    return each(groups, "prove", prove, failed, progress)


def _pings(workspace: Workspace, groups: Sequence[list[str]]) -> Pings:
    servers = workspace.inventory.servers
    return Pings([servers[name].bmc.address for names in groups for name in names])


def _audited(workspace: Workspace, name: str, pings: Pings) -> Audited:
    bmc, password = workspace.bmc_by(name)
    try:
        found = Examiner(workspace, name, pings).audit(_opened(workspace, name, bmc, password))
    finally:
        bmc.close()
    keep_audit(workspace.store, name, found)
    return Audited(server=name, findings=found.findings, unexamined=found.unknown)


def _proven(workspace: Workspace, name: str, pings: Pings, stop: threading.Event) -> Proven:
    store, examiner = workspace.store, Examiner(workspace, name, pings)

    def flow(run: Run) -> None:
        with_bmc = _WithBmc(workspace, name)
        # Kept before anything is tried: whoever goes on after a crash knows what to set back.
        was = run.step("boot setting", lambda: with_bmc.boot_setting())
        before = BootOnce.model_validate(was) if was else None
        proven = run.step("passport", lambda: with_bmc.proven(examiner, before))
        run.step("record", lambda: store.records.put(name, "passport", proven))

    operation = store.journal.open("bmc prove", name, (f"server {name}",), {})
    outcome = perform(store, operation, flow, stop=stop)
    if outcome.status is not Status.DONE:
        return Proven(server=name, error=outcome.error, exit_code=outcome.exit_code or 1)
    record = store.records.get(name, "passport")
    passport = Passport.model_validate(record.body) if record else None
    return Proven(server=name, passport=passport, route=route(workspace.inventory, name, passport))


class _WithBmc:
    """Each step of proving logs in by itself: a step after a crash finds no session."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._workspace, self._name = workspace, name

    def boot_setting(self) -> object:
        bmc = self._workspace.bmc(self._name)
        try:
            was = bmc.boot_once()
            return was.model_dump(mode="json") if was else None
        finally:
            bmc.close()

    def proven(self, examiner: Examiner, was: BootOnce | None) -> object:
        bmc, password = self._workspace.bmc_by(self._name)
        try:
            opened = _opened(self._workspace, self._name, bmc, password, whole=True)
            return examiner.prove(opened, was).model_dump(mode="json")
        finally:
            bmc.close()


def _opened(
    workspace: Workspace, name: str, bmc: Bmc, password: str, *, whole: bool = False
) -> Opened:
    """`whole`: with the facts of the server, for a passport."""
    access = workspace.inventory.servers[name].bmc
    return Opened(
        bmc,
        access,
        Credential(access.user, password),
        None if whole else _accounts(bmc),
        bmc.facts() if whole else None,
    )


def _accounts(bmc: Bmc) -> tuple[Account, ...] | None:
    try:
        return bmc.accounts()
    except MetalError:
        return None
