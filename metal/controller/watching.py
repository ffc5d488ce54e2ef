"""Watch: look, diagnose, act. The looks before this one are what tells a blink from a death."""

import threading
import time
from collections.abc import Callable, Sequence

from metal.controller.flows import action_of
from metal.controller.look import look
from metal.controller.performing import carry_out, perform_shown
from metal.controller.planning import drain_action, judged
from metal.controller.progress import Progress
from metal.controller.workspace import Workspace
from metal.heal.diagnosis import Diagnosis
from metal.heal.plan import Moves, diagnose, plan_heal
from metal.model.base import Frozen
from metal.model.errors import MetalError
from metal.model.plan import Action, MigrateVm, Plan, RecoverServer, fingerprint
from metal.model.world import World

HEALING = frozenset({"recover", "drain"})
ANSWER_SECONDS = 5.0
"""How long a round waits for a person at the rack before it looks after the others again."""
KEPT = 5
"""How many looks are remembered while watching."""


class WatchReport(Frozen):
    """What one round of watching found and did."""

    diagnoses: dict[str, Diagnosis]
    actions: tuple[Action, ...]
    failed: dict[str, str] = {}
    """Action id → why it did not work."""
    holds: tuple[str, ...]
    """What a person must see to."""


class Watcher:
    """Remembers the last looks between rounds."""

    def __init__(self, workspace: Workspace, progress: Progress) -> None:
        self._workspace, self._progress = workspace, progress
        self._earlier: list[World] = _remembered(workspace)

    def round(self, *, act: bool) -> WatchReport:
        """One look, the diagnosis, and (if `act`) what follows from it."""
        self._waits: list[str] = []
        failed = self._go_on() if act else {}
        world = look(self._workspace, progress=self._progress)
        inventory = self._workspace.inventory
        diagnoses = diagnose(inventory, world, self._earlier)
        actions, holds = plan_heal(inventory, world, self._earlier, self._moves(world))
        self._earlier = [*self._earlier, world][-KEPT:]
        if act and actions:
            failed |= self._carry_out(world, actions)
            self._earlier = [*self._earlier, look(self._workspace)][-KEPT:]
        return WatchReport(
            diagnoses=diagnoses, actions=actions, failed=failed, holds=(*holds, *self._waits)
        )

    def _go_on(self) -> dict[str, str]:
        """Finish what an earlier watcher began and nobody runs any more."""
        failed = {}
        for operation in self._workspace.store.journal.list(open_only=True):
            if operation.kind in HEALING and not operation.alive:
                action = action_of(operation.params["action"])
                self._progress.begin(action.id, action.what)
                why = self._let(
                    action,
                    lambda stop, id=operation.id, action=action: perform_shown(  # type: ignore[misc]
                        self._workspace, id, action, self._progress, stop
                    ),
                )
                self._progress.end(action.id, not why, why)
                if why:
                    failed[action.id] = why
        return failed

    def _moves(self, world: World) -> Moves:
        def moves(server: str) -> tuple[MigrateVm, ...]:
            return drain_action(self._workspace.inventory, world, server).moves

        return moves

    def _carry_out(self, world: World, actions: Sequence[Action]) -> dict[str, str]:
        failed = {}
        for action in actions:
            if self._begun(action):
                continue  # it was gone on with just before
            try:
                self._judge(world, action)
                why = self._let(
                    action,
                    lambda stop, action=action: carry_out(  # type: ignore[misc]
                        self._workspace, action, self._progress, stop=stop
                    ),
                )
            except MetalError as error:
                why = str(error)
            if why:
                failed[action.id] = why
        return failed

    def _begun(self, action: Action) -> bool:
        journal = self._workspace.store.journal
        return any(operation.subject == action.id for operation in journal.list(open_only=True))

    def _let(self, action: Action, act: Callable[[threading.Event], str]) -> str:
        """Why it failed, "" if it did not. A person is not waited for: what needs one stops, and
        the next round finds their answer, so that the rest of the fleet is watched meanwhile."""
        stop = threading.Event()
        if not (isinstance(action, RecoverServer) and self._by_hand(action.server)):
            return act(stop)
        timer = threading.Timer(ANSWER_SECONDS, stop.set)
        timer.start()
        try:
            why = act(stop)
        finally:
            timer.cancel()
        if why and self._workspace.store.requests.waiting(action.server):
            self._waits.append(
                f"{action.server} waits for a person at the rack: `metal power waiting`"
            )
            return ""
        return why

    def _by_hand(self, server: str) -> bool:
        return self._workspace.inventory.servers[server].power.driver == "manual"

    def _judge(self, world: World, action: Action) -> None:
        inventory = self._workspace.inventory
        plan = Plan(fingerprint=fingerprint(inventory, world), actions=(action,))
        judged(plan, inventory, world)


def watch_once(workspace: Workspace, *, act: bool, progress: Progress) -> WatchReport:
    """Watch until a verdict stands: a suspect is looked at again before anything is done."""
    watcher = Watcher(workspace, progress)
    report = watcher.round(act=False)
    if any(d.state == "suspect" for d in report.diagnoses.values()):
        # However often others looked just before: a switch that restarts must not cost a server.
        time.sleep(workspace.inventory.fleet.suspect_seconds)
    return watcher.round(act=act)


def _remembered(workspace: Workspace) -> list[World]:
    """The last look that any command took: it knows what ran where before the trouble."""
    last = workspace.store.looks.last()
    return [World.model_validate_json(last[1])] if last else []
