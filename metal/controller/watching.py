"""Watch: look, diagnose, act. The looks before this one are what tells a blink from a death.

What is acted on runs beside the rounds: while one server is recovered the others are watched.
"""

import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Executor

from metal.controller.alarming import send_due
from metal.controller.event_logs import EventLogs
from metal.controller.fleet_state import VERDICTS
from metal.controller.gatekeeping import Gatekeeper
from metal.controller.healing import Healing
from metal.controller.incident_book import IncidentBook
from metal.controller.look import look
from metal.controller.planning import drain_action
from metal.controller.post import POST, Post
from metal.controller.progress import Progress
from metal.controller.returning import give_back
from metal.controller.sensing import history, remember_fallen, see, sense, this_place
from metal.controller.workspace import Workspace
from metal.heal.diagnosis import Diagnosis
from metal.heal.past import Look
from metal.heal.plan import Found, Moves, Places, plan_heal
from metal.model.base import Frozen
from metal.model.plan import Action, MigrateVm, Restarts
from metal.model.world import World
from metal.schedule.restarts import plan_restarts

KEPT = 60
"""How many looks are remembered while watching."""


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
    waits: tuple[str, ...] = ()
    """What is acted on soon, unless it goes away."""
    unlocked: tuple[str, ...] = ()
    """Servers that waited at boot and were given their disk's key."""


class Watcher:
    """Remembers the last looks between rounds, and what it has begun."""

    def __init__(
        self,
        workspace: Workspace,
        progress: Progress,
        *,
        place: str = "",
        every: float = 0.0,
        pool: Executor | None = None,
        stop: Callable[[], threading.Event] = threading.Event,
    ) -> None:
        """`pool` runs what is acted on; `stop` makes what leaves one of them between two steps."""
        self._workspace, self._progress = workspace, progress
        self.place = place or this_place()
        self._every = every or workspace.inventory.watch.every
        self._monotonic = workspace.store.database.clock.monotonic
        self._past: list[tuple[float, World]] = []
        self._logs = EventLogs(workspace.store, self._monotonic)
        self._book = IncidentBook(workspace)
        self._gatekeeper = Gatekeeper(workspace)
        self._healing = Healing(workspace, progress, self._book, pool=pool, stop=stop)

    def close(self) -> None:
        """What is at work is left between two steps, to be gone on with."""
        self._healing.close()
        self._gatekeeper.close()
        self._workspace.bmc_sessions.let_go()

    def round(self, post: Post | None = None) -> WatchReport:
        """One look, the diagnosis, and (for whoever leads) the beginning of what follows."""
        see(self._workspace, self.place)
        if post is not None and post.term is None:
            return self._follow()
        self._past = self._past or _remembered(self._workspace)
        if self._workspace.inventory.watch.keep_sessions:
            self._workspace.bmc_sessions.keep()
        under_way = self._healing.under_way
        world = look(self._workspace, progress=self._progress, logs=self._logs)
        if post is not None and post.term is not None:
            remember_fallen(self._workspace, world, [earlier for _, earlier in self._past])
        # What ends while it is looked may have been seen as it was before: the next look judges it.
        found = _without(self._judge(world), under_way)
        # Asked again: what was long in looking may have lost the post meanwhile.
        term = post.term if post else None
        if post is None or term is None:
            return self._tell(found) if post is None else self._follow()
        self._publish(found)
        failed = self._healing.collect(_died(found))
        give_back(self._workspace, world, found)
        unlocked = self._gatekeeper.round()
        self._book.record(found)
        self._healing.go_on(term, found.actions)
        failed |= self._healing.begin(world, found.actions, term)
        return self._report(found, failed, unlocked)

    def settle(self, post: Post) -> WatchReport:
        """A round that waits for what it began, and looks again. People are not waited for."""
        report = self.round(post)
        waits = self._healing.finish()
        failed = dict(report.failed) | self._healing.collect()
        if report.actions or failed:
            found = self._judge(look(self._workspace))
            if post.term:
                self._book.record(found)
        unlocked = (*report.unlocked, *self._gatekeeper.finish())
        holds = (*report.holds, *waits)
        return report.model_copy(update={"failed": failed, "holds": holds, "unlocked": unlocked})

    # ── what is seen ─────────────────────────────────────────────────────────────────────────

    def _judge(self, world: World) -> Found:
        now = self._monotonic()
        inventory = self._workspace.inventory
        found = plan_heal(
            inventory,
            world,
            [Look(ago=now - at, world=earlier) for at, earlier in self._past],
            self._moves(world),
            places=self._places(world),
            sense=sense(self._workspace, world, self._every),
            history=history(self._workspace),
            policy=inventory.watch,
        )
        self._past = [*self._past, (now, world)][-KEPT:]
        return found

    def _publish(self, found: Found) -> None:
        """For whoever shows the fleet without looking: metrics."""
        states = {name: diagnosis.state for name, diagnosis in found.diagnoses.items()}
        self._workspace.store.records.put(*VERDICTS, states)

    def _moves(self, world: World) -> Moves:
        def moves(server: str) -> tuple[MigrateVm, ...]:
            return drain_action(self._workspace.inventory, world, server).moves

        return moves

    def _places(self, world: World) -> Places:
        def places(server: str, vms: Collection[str]) -> Restarts:
            return plan_restarts(self._workspace.inventory, world, server, vms)

        return places

    def _tell(self, found: Found) -> WatchReport:
        """Of a watcher that only tells."""
        if self._workspace.store.leading.who(POST) is None:
            self._publish(found)
        return self._report(found)

    def _follow(self) -> WatchReport:
        """Another leads and looks; BMCs are not asked twice. What was seen last is taken from the
        store once this one leads."""
        self._past = []
        self._logs.forget()
        self._workspace.bmc_sessions.let_go()
        leader = self._workspace.store.leading.who(POST)
        name = leader.place if leader else "nobody"
        return WatchReport(place=self.place, leader=name, diagnoses={}, actions=(), holds=())

    def _report(
        self,
        found: Found,
        failed: dict[str, str] | None = None,
        unlocked: tuple[str, ...] = (),
    ) -> WatchReport:
        at_work = self._healing.at_work
        known = {action.id for action in at_work}
        new = [action for action in found.actions if action.id not in known]
        return WatchReport(
            place=self.place,
            diagnoses=found.diagnoses,
            actions=(*at_work, *new),
            failed=failed or {},
            holds=(*found.holds.values(), *self._gatekeeper.refused.values()),
            waits=tuple(found.waits.values()),
            unlocked=unlocked,
        )


def _without(found: Found, under_way: Collection[str]) -> Found:
    """The same, with nothing to begin that was under way when the look began."""
    left = tuple(action for action in found.actions if action.id not in under_way)
    return found.model_copy(update={"actions": left})


def _died(found: Found) -> set[str]:
    """The servers that do not run any more, as far as their cluster and their BMC say."""
    return {n for n, diagnosis in found.diagnoses.items() if diagnosis.state in ("dead", "suspect")}


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
    return [(workspace.store.database.clock.monotonic() - ago, World.model_validate_json(last[1]))]
