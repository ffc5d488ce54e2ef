"""Watch: look, diagnose, act. The looks before this one are what tells a blink from a death.

What is acted on runs beside the rounds: while one server is recovered the others are watched.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for

from metal.controller.alarming import send_due
from metal.controller.flows import action_of
from metal.controller.incident_book import IncidentBook
from metal.controller.look import look
from metal.controller.performing import carry_out, perform_shown
from metal.controller.planning import drain_action, judged
from metal.controller.post import Post
from metal.controller.progress import Progress
from metal.controller.returning import give_back
from metal.controller.sensing import BY, HEALING, history, see, sense, this_place
from metal.controller.workspace import Workspace
from metal.heal.diagnosis import Diagnosis
from metal.heal.past import Look
from metal.heal.plan import Found, Moves, plan_heal
from metal.model.base import Frozen
from metal.model.errors import MetalError
from metal.model.plan import Action, MigrateVm, Plan, fingerprint
from metal.model.world import World
from metal.operations.leading import Term

ANSWER_SECONDS = 5.0
"""How long `metal watch --once` waits for a person at the rack."""
KEPT = 60
"""How many looks are remembered while watching."""
AT_ONCE = 4
"""Servers acted on side by side."""


class WatchReport(Frozen):
    """What one round of watching found and did."""

    place: str = ""
    leader: str = ""
    """Where the watcher is that acts, when it is another one; "" when it is this one."""
    diagnoses: dict[str, Diagnosis]
    actions: tuple[Action, ...]
    failed: dict[str, str] = {}
    """Action id → why it did not work."""
    holds: tuple[str, ...]
    """What a person must see to."""


class Watcher:
    """Remembers the last looks between rounds, and what it has begun."""

    def __init__(
        self, workspace: Workspace, progress: Progress, *, place: str = "", every: float = 0.0
    ) -> None:
        self._workspace, self._progress = workspace, progress
        self.place = place or this_place()
        self._every = every or workspace.inventory.watch.every
        self._past: list[tuple[float, World]] = _remembered(workspace)
        self._book = IncidentBook(workspace)
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="heal")
        self._stop = threading.Event()
        self._begun: dict[str, tuple[Action, Future[str]]] = {}

    def close(self) -> None:
        """What is at work is left between two steps, to be gone on with."""
        self._stop.set()
        self._pool.shutdown(wait=True)

    def round(self, post: Post | None = None) -> WatchReport:
        """One look, the diagnosis, and (for whoever leads) the beginning of what follows."""
        term = post.term if post else None
        see(self._workspace, self.place)
        world = look(self._workspace, progress=self._progress)
        found = self._judge(world)
        if post is None or term is None:
            return self._report(found, leader=self._leader() if post else "")
        failed = self._collect()
        give_back(self._workspace, found)
        self._book.record(found)
        self._go_on(term)
        failed |= self._begin(world, found.actions, term)
        return self._report(found, failed)

    def settle(self, post: Post) -> WatchReport:
        """A round that waits for what it began, and looks again. People are not waited for."""
        report = self.round(post)
        waits = self._finish()
        failed = dict(report.failed) | self._collect()
        if report.actions or failed:
            found = self._judge(look(self._workspace))
            if post.term:
                self._book.record(found)
        return report.model_copy(update={"failed": failed, "holds": (*report.holds, *waits)})

    # ── what is seen ─────────────────────────────────────────────────────────────────────────

    def _judge(self, world: World) -> Found:
        now = time.monotonic()
        inventory = self._workspace.inventory
        found = plan_heal(
            inventory,
            world,
            [Look(ago=now - at, world=earlier) for at, earlier in self._past],
            self._moves(world),
            sense=sense(self._workspace, world, self._every),
            history=history(self._workspace),
            policy=inventory.watch,
        )
        self._past = [*self._past, (now, world)][-KEPT:]
        return found

    def _moves(self, world: World) -> Moves:
        def moves(server: str) -> tuple[MigrateVm, ...]:
            return drain_action(self._workspace.inventory, world, server).moves

        return moves

    def _leader(self) -> str:
        leader = self._workspace.store.leading.who("watch")
        return leader.place if leader else "nobody"

    def _report(
        self, found: Found, failed: dict[str, str] | None = None, *, leader: str = ""
    ) -> WatchReport:
        at_work = [action for action, _ in self._begun.values()]
        new = [a for a in found.actions if a.id not in self._begun]
        return WatchReport(
            place=self.place,
            leader=leader,
            diagnoses=found.diagnoses,
            actions=(*at_work, *new),
            failed=failed or {},
            holds=tuple(found.holds.values()),
        )

    # ── what is done ─────────────────────────────────────────────────────────────────────────

    def _go_on(self, term: Term) -> None:
        """Finish what an earlier watcher began and nobody runs any more."""
        for operation in self._workspace.store.journal.list(open_only=True):
            action_id = operation.subject
            if operation.kind in HEALING and not operation.alive and action_id not in self._begun:
                action = action_of(operation.params["action"])
                self._run(action, lambda id=operation.id, a=action: self._resume(id, a, term))  # type: ignore[misc]

    def _begin(self, world: World, actions: Sequence[Action], term: Term) -> dict[str, str]:
        """Action id → why it was not even begun."""
        refused = {}
        for action in actions:
            if action.id in self._begun:
                continue
            try:
                self._lawful(world, action)
            except MetalError as error:
                refused[action.id] = str(error)
                continue
            self._run(action, lambda a=action: self._carry_out(a, term))  # type: ignore[misc]
        return refused

    def _run(self, action: Action, act: Callable[[], str]) -> None:
        self._book.begun(action)
        self._begun[action.id] = action, self._pool.submit(act)

    def _carry_out(self, action: Action, term: Term) -> str:
        return carry_out(self._workspace, action, self._progress, by=BY, stop=self._stop, term=term)

    def _resume(self, operation: int, action: Action, term: Term) -> str:
        self._progress.begin(action.id, action.what)
        try:
            why = perform_shown(
                self._workspace, operation, action, self._progress, self._stop, term=term
            )
        except MetalError as error:
            why = str(error)
        self._progress.end(action.id, not why, why)
        return why

    def _collect(self) -> dict[str, str]:
        """Action id → why it failed, of those that ended since the last round."""
        failed = {}
        for key, (action, future) in list(self._begun.items()):
            if not future.done():
                continue
            del self._begun[key]
            if self._stop.is_set():
                continue
            if why := future.result():
                failed[key] = why
            self._book.over(action, why)
        return failed

    def _finish(self) -> list[str]:
        """Wait for what was begun; what waits for a person is left to the next watcher."""
        requests = self._workspace.store.requests
        while True:
            _ended, open_ = wait_for(
                [future for _, future in self._begun.values()], timeout=ANSWER_SECONDS
            )
            waiting = {request.server for request in requests.waiting()}
            names = {getattr(a, "server", "") for a, f in self._begun.values() if f in open_}
            if not open_ or names <= waiting:
                break
        if open_:
            self._stop.set()
            wait_for(open_)
        return [f"{n} waits for a person at the rack: `metal power waiting`" for n in sorted(names)]

    def _lawful(self, world: World, action: Action) -> None:
        inventory = self._workspace.inventory
        plan = Plan(fingerprint=fingerprint(inventory, world), actions=(action,))
        judged(plan, inventory, world)


def watch_once(
    workspace: Workspace, *, act: bool, progress: Progress, place: str = ""
) -> WatchReport:
    """Watch until a verdict stands: a suspect is looked at again before anything is done."""
    watcher = Watcher(workspace, progress, place=place)
    try:
        report = watcher.round()
        if any(d.state == "suspect" for d in report.diagnoses.values()):
            # However often others looked just before: a switch that restarts must not cost a
            # server.
            time.sleep(workspace.inventory.fleet.suspect_seconds)
            if not act:
                report = watcher.round()
        if not act:
            return report
        with Post(workspace.store, watcher.place, workspace.inventory.watch.lease_seconds) as post:
            report = watcher.settle(post)
            if post.term:
                send_due(workspace)
            return report
    finally:
        watcher.close()


def _remembered(workspace: Workspace) -> list[tuple[float, World]]:
    """The last look that any command took: it knows what ran where before the trouble."""
    last = workspace.store.looks.last()
    if last is None:
        return []
    ago = max(0.0, workspace.store.now() - last[0])
    return [(time.monotonic() - ago, World.model_validate_json(last[1]))]
