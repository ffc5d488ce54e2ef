"""Enrol servers side by side: one bad server never stops the others."""

from concurrent.futures import ThreadPoolExecutor

from metal.controller.performing import Shown
from metal.controller.progress import Progress
from metal.controller.workspace import Workspace
from metal.drivers.bmc import connect
from metal.enroll import flow
from metal.enroll.flow import Credential, EnrollPorts, EnrollTarget, Looked
from metal.inventory.edit import record_server
from metal.model.base import Frozen
from metal.model.errors import BadInput, MetalError
from metal.model.facts import Facts
from metal.model.fleet import BmcAccess, Learned
from metal.model.life import Life, Status
from metal.operations.run import Run, perform

__all__ = ["Credential", "EnrollResult", "enroll"]

WORKERS = 32
RECORDED = ("protocol", "fingerprint", "cipher_suite")
"""What of the way in is written into the inventory."""


class EnrollResult(Frozen):
    """What became of one server. `facts` are None when it could not be asked."""

    server: str
    address: str
    ok: bool
    facts: Facts | None = None
    learned: Learned | None = None
    """What is known now: what the BMC told, and what a person wrote where it tells nothing."""
    changes: tuple[str, ...] = ()
    error: str | None = None
    exit_code: int = 0


def enroll(
    workspace: Workspace,
    targets: list[str],
    credential: Credential | None,
    *,
    dry_run: bool = False,
    progress: Progress,
) -> list[EnrollResult]:
    """Learn what each target is and take its BMC over; `dry_run` only learns.

    `targets`: names of servers, or addresses of BMCs in the inventory. `credential`: what the
    BMCs were delivered with; None suits servers that are enrolled already.
    BadInput, before anything is done, when a target is not in the inventory.
    """
    names = [_server(workspace, target) for target in dict.fromkeys(targets)]
    one = _Enrolment(workspace, credential, progress)
    act = one.look if dry_run else one.enroll
    with ThreadPoolExecutor(min(WORKERS, len(names)) or 1) as pool:
        results = list(pool.map(act, names))
    workspace.reload()
    return results


def _server(workspace: Workspace, target: str) -> str:
    servers = workspace.inventory.servers
    if target in servers:
        return target
    found = [name for name, server in servers.items() if server.bmc.address == target]
    if not found:
        raise BadInput(
            "no server of the inventory has that name or BMC address",
            where=target,
            mend="write [servers.NAME] with its bmc = { address = … } into inventory.toml first",
        )
    return found[0]


class _Enrolment:
    def __init__(
        self, workspace: Workspace, credential: Credential | None, progress: Progress
    ) -> None:
        self._workspace, self._credential, self._progress = workspace, credential, progress

    def look(self, name: str) -> EnrollResult:
        """Only ask: nothing is changed, nothing recorded."""
        self._progress.begin(name, f"ask what {name} is")
        try:
            seen = flow.look(self._target(name), self._ports())
            result = self._result(name, seen)
        except MetalError as error:
            result = self._failed(name, str(error), error.exit_code)
        self._progress.end(name, result.ok, result.error or "")
        return result

    def enroll(self, name: str) -> EnrollResult:
        """One durable operation."""
        self._progress.begin(name, f"enrol {name}")
        try:
            result = self._perform(name)
        except MetalError as error:
            result = self._failed(name, str(error), error.exit_code)
        self._progress.end(name, result.ok, result.error or "")
        return result

    def _perform(self, name: str) -> EnrollResult:
        store = self._workspace.store
        operation = store.journal.open("enroll", name, (f"server {name}",), {})
        seen: list[Looked] = []

        def run_flow(run: Run) -> None:
            seen.append(flow.enroll(run, self._target(name), self._ports()))

        with Shown(self._workspace, operation.id, name, self._progress):
            outcome = perform(store, operation, run_flow)
        if outcome.status is not Status.DONE:
            return self._failed(name, outcome.error, outcome.exit_code or 1)
        return self._result(name, seen[0])

    def _target(self, name: str) -> EnrollTarget:
        server = self._workspace.inventory.servers[name]
        return EnrollTarget(name=name, access=server.bmc, previous=server.learned)

    def _ports(self) -> EnrollPorts:
        return EnrollPorts(
            connect=connect,
            secrets=self._workspace.secrets,
            record=self._record,
            factory=self._credential,
        )

    def _record(self, name: str, learned: Learned, access: BmcAccess) -> None:
        way_in = access.model_dump(mode="json", include=set(RECORDED))
        record_server(self._workspace.folder, name, learned, way_in)
        # A server that came further in its life and is enrolled again stays where it is.
        if self._workspace.life(name) is Life.FOUND:
            self._workspace.store.servers.move(name, Life.ENROLLED)

    def _result(self, name: str, seen: Looked) -> EnrollResult:
        address = self._workspace.inventory.servers[name].bmc.address
        return EnrollResult(
            server=name,
            address=address,
            ok=True,
            facts=seen.facts,
            learned=seen.learned,
            changes=seen.changes,
        )

    def _failed(self, name: str, why: str, exit_code: int) -> EnrollResult:
        address = self._workspace.inventory.servers[name].bmc.address
        return EnrollResult(server=name, address=address, ok=False, error=why, exit_code=exit_code)
