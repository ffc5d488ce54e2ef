"""Burn-ins and wipes of several servers side by side: one bad server never stops the others."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from metal.burnin import flow as burning
from metal.burnin import wiping
from metal.controller.erasures import keep, prepare
from metal.controller.following import Followed
from metal.controller.powering import switching
from metal.controller.progress import Progress
from metal.controller.serving import Listening, boot_service
from metal.controller.sweeping import side_by_side
from metal.controller.unfinished import refuse_other_wishes
from metal.controller.workspace import Workspace
from metal.inventory.mistakes import refuse_unknown, suggest
from metal.live import build
from metal.live.build import LiveImage
from metal.live.session import LivePorts, Patience
from metal.model.base import Frozen
from metal.model.burnin import BurnIn
from metal.model.errors import BadInput, MetalError
from metal.model.life import Status
from metal.operations.run import Run, perform

WORKERS = 64


class Worked(Frozen):
    """What became of one server."""

    server: str
    ok: bool
    burnin: BurnIn | None = None
    records: tuple[Path, ...] = ()
    """Files of the signed records of a wipe."""
    error: str | None = None
    exit_code: int = 0


def burn_in(
    workspace: Workspace,
    servers: Sequence[str],
    wishes: burning.Wishes,
    *,
    progress: Progress,
    serving: bool = True,
) -> list[Worked]:
    """Burn each of `servers` in. `serving`: answer them ourselves when they boot."""
    known(workspace, servers)
    ports = burning.BurnInPorts(live_ports(workspace), workspace.inventory)
    params = {"minutes": wishes.minutes, "overwrite": wishes.overwrite}

    def act(name: str, run: Run) -> Worked:
        result = burning.burnin(run, name, wishes, ports)
        verdict = result.appraisal.verdict
        return Worked(
            server=name, ok=True, burnin=result, exit_code=0 if verdict == "accept" else 1
        )

    def check(name: str) -> None:
        burning.check(name, ports)
        refuse_other_wishes(workspace, name, params)

    work = _Work(workspace, burning.KIND, burning.VERSION, lambda _name: params, act, progress)
    # Before an operation is opened: one that must not begin would stay open, and hold the server
    # against the very enrolment that it asks for.
    work.check = check
    return work.all(servers, serving)


def wipe(
    workspace: Workspace,
    disks: dict[str, tuple[str, ...]],
    by: str,
    *,
    progress: Progress,
    serving: bool = True,
) -> list[Worked]:
    """Erase disks: server → serial numbers. The caller has the operator's consent."""
    known(workspace, list(disks))
    prepare(workspace)
    ports = wiping.WipePorts(live_ports(workspace), workspace.inventory, partial(keep, workspace))

    def act(name: str, run: Run) -> Worked:
        files = wiping.wipe(run, name, disks[name], by, ports)
        bad = [f.name for f in files if '"not erased"' in f.read_text()]
        said = f"not erased, see {', '.join(bad)}" if bad else None
        return Worked(
            server=name, ok=not bad, records=tuple(files), error=said, exit_code=1 if bad else 0
        )

    def params(name: str) -> dict[str, Any]:
        return {"disks": list(disks[name]), "by": by}

    return _Work(workspace, "wipe", wiping.VERSION, params, act, progress).all(list(disks), serving)


def wipe_check(workspace: Workspace, disks: dict[str, tuple[str, ...]]) -> None:
    """What `wipe` would refuse, before anybody is asked for consent."""
    ports = wiping.WipePorts(live_ports(workspace), workspace.inventory, partial(keep, workspace))
    for name, serials in disks.items():
        wiping.check(name, serials, ports)


def build_live(workspace: Workspace, site: str | None, say: Callable[[str], None]) -> LiveImage:
    """Build the live system of what the mirror has now, or find it built."""
    inventory = workspace.inventory
    site = site or next(iter(inventory.sites))
    if site not in inventory.sites:
        raise BadInput("no such site", where=site, mend=suggest(site, inventory.sites, "site"))
    return build.ensure_live(workspace.mirror(site), workspace.state, say=say)


def known(workspace: Workspace, servers: Sequence[str]) -> None:
    """BadInput for a name that the inventory does not have."""
    for name in servers:
        refuse_unknown(name, workspace.inventory.servers, "server")


def live_ports(workspace: Workspace) -> LivePorts:
    return LivePorts(
        store=workspace.store,
        bmc=workspace.bmc,
        image=partial(_ensure_image, workspace),
        power=partial(switching, workspace),
        listening=Listening(workspace),
        patience=Patience.at_pace(workspace.inventory.fleet.poll_seconds),
    )


def _ensure_image(workspace: Workspace, server: str) -> None:
    """The one that is there will do: `metal live build` brings it up to date."""
    if build.current(workspace.state) is None:
        site = workspace.inventory.servers[server].site
        build.ensure_live(workspace.mirror(site), workspace.state)


class _Work:
    """The same operation on several servers."""

    def __init__(
        self,
        workspace: Workspace,
        kind: str,
        version: int,
        params: Callable[[str], dict[str, Any]],
        act: Callable[[str, Run], Worked],
        progress: Progress,
    ) -> None:
        self._workspace, self._kind, self._version = workspace, kind, version
        self._params, self._act, self._progress = params, act, progress
        self._stop = threading.Event()
        self.check: Callable[[str], None] = lambda _name: None

    def all(self, servers: Sequence[str], serving: bool) -> list[Worked]:
        assert self._workspace.secrets  # opened here, not by many threads at once
        self._followed = Followed(self._workspace.store, self._progress)
        with boot_service(self._workspace, serving), self._followed:
            return side_by_side(servers, self._one, workers=WORKERS, stop=self._stop)

    def _one(self, name: str) -> Worked:
        self._progress.begin(name, f"{self._kind} {name}")
        try:
            result = self._perform(name)
        except MetalError as error:
            result = _failed(name, str(error), error.exit_code)
        except Exception as error:
            result = _failed(name, f"a defect in metal: {type(error).__name__}: {error}", 1)
        self._progress.end(name, result.exit_code == 0, result.error or _said(result))
        return result

    def _perform(self, name: str) -> Worked:
        store, done = self._workspace.store, list[Worked]()
        self.check(name)
        operation = store.journal.open(
            self._kind, name, (f"server {name}",), self._params(name), self._version
        )
        self._followed.add(operation.id, name)
        outcome = perform(
            store,
            operation,
            lambda run: done.append(self._act(name, run)),
            version=self._version,
            stop=self._stop,
        )
        if outcome.status is Status.DONE:
            return done[0]
        return _failed(name, outcome.error, outcome.exit_code or 1)


def _failed(name: str, error: str, code: int) -> Worked:
    return Worked(server=name, ok=False, error=error, exit_code=code)


def _said(result: Worked) -> str:
    if result.burnin is None:
        return ""
    appraisal = result.burnin.appraisal
    return f"grade {appraisal.grade}, {appraisal.verdict}"
