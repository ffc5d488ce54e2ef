"""Carry out a plan: one durable operation an action, as many side by side as their needs allow.

The whole application is an operation too: it is how two `metal apply` are kept apart, and how
the same command after a crash resumes the plan that was accepted instead of making a new one.
"""

import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from metal.controller.look import look
from metal.controller.performing import carry_out
from metal.controller.planning import in_order, judged, today_of
from metal.controller.progress import Progress
from metal.controller.serving import boot_service
from metal.controller.workspace import Workspace
from metal.model.base import Frozen
from metal.model.errors import Failed, Refused
from metal.model.life import Status
from metal.model.plan import Action, InstallServer, Plan, fingerprint
from metal.model.world import World
from metal.operations.run import Run, perform

NOT_BEGUN = "not begun: "


class Outcome(Frozen):
    """What became of a plan."""

    done: int
    failed: dict[str, str]
    """Action id → why; what needed it was not begun and is listed too."""
    resumed: bool

    @property
    def complaint(self) -> str:
        """How many were not done, and the first that failed: most of the others waited for it."""
        first = next(((a, w) for a, w in self.failed.items() if not w.startswith(NOT_BEGUN)), None)
        because = f"; the first that failed, {first[0]}: {first[1]}" if first else ""
        return f"{len(self.failed)} actions were not done{because}"


def open_plan(workspace: Workspace) -> Plan | None:
    """The plan that was accepted and is not finished."""
    accepted = workspace.store.plans.current()
    return Plan.model_validate_json(accepted.plan_json) if accepted else None


def accept(workspace: Workspace, plan: Plan) -> bool:
    """Make `plan` the open plan; True when it already was.

    Refused when it is stale, when it would break a law, or when another is open.
    """
    current = open_plan(workspace)
    if current is not None:
        if current.fingerprint != plan.fingerprint:
            raise Refused(
                "another plan is half carried out",
                where=f"plan {current.fingerprint[:12]}",
                mend="`metal apply` goes on with it; `metal run list` shows where it stands, "
                "and `metal run cancel` of its apply gives it up",
            )
        return True
    check(workspace, plan, look(workspace))
    workspace.store.plans.accept(plan.model_dump_json(), plan.fingerprint)
    return False


def check(workspace: Workspace, plan: Plan, world: World) -> None:
    """Refused when the plan is stale, or would break a law."""
    if fingerprint(workspace.inventory, world) != plan.fingerprint:
        raise Refused(
            "the plan is stale: it was made for another workspace, or the inventory or the world "
            "changed since",
            where=f"plan {plan.fingerprint[:12]}",
            mend="make a new one: `metal plan`, or the same command again if it came from no file",
        )
    # The file may have been edited since it was made: nobody's word counts but the judge's.
    judged(plan, workspace.inventory, world, today_of(workspace))


def apply(
    workspace: Workspace, plan: Plan | None, *, progress: Progress, workers: int = 12
) -> Outcome:
    """Carry out `plan`, or the open one when None. Refused when it must not be."""
    resumed = True
    if plan is not None:
        resumed = accept(workspace, plan)
    else:
        plan = open_plan(workspace)
    if plan is None:
        raise Refused("no plan is open", mend="make one: `metal plan`, then `metal apply`")
    application = _Application(workspace, plan, progress, workers)
    application.perform()
    return Outcome(done=len(application.done), failed=application.failed, resumed=resumed)


class _Application:
    """One run of one plan."""

    def __init__(self, workspace: Workspace, plan: Plan, progress: Progress, workers: int) -> None:
        self.workspace, self.plan, self.progress, self.workers = workspace, plan, progress, workers
        self.done: set[str] = set()
        self.failed: dict[str, str] = {}
        self._finished: set[str] = set()
        """Ids of actions that an earlier run of this plan did."""
        self._stop = threading.Event()

    def perform(self) -> None:
        store, mark = self.workspace.store, self.plan.fingerprint
        operation = store.journal.open("apply", f"plan {mark[:12]}", ("fleet",), {"plan": mark})
        accepted = store.plans.current()
        # The same plan may have been carried out long ago, and all of it undone since.
        since = accepted.accepted if accepted else 0.0
        self._finished = {
            o.subject
            for o in store.journal.list()
            if o.status is Status.DONE and o.params.get("plan") == mark and o.created >= since
        }
        outcome = perform(store, operation, self._run)
        if outcome.status is Status.DONE:
            store.plans.done(mark)
        elif outcome.status is Status.FAILED and not self.failed:
            raise Failed(outcome.error or "it was not carried out", where=f"plan {mark[:12]}")

    def _run(self, run: Run) -> None:
        with self._boot_service(), ThreadPoolExecutor(self.workers) as pool:
            try:
                self._schedule(pool)
            except BaseException:
                self._stop.set()  # Ctrl-C: the flows leave off between two steps.
                raise
        if self.failed:
            raise Failed(
                f"{len(self.failed)} of {len(self.plan.actions)} actions were not done",
                where=f"plan {self.plan.fingerprint[:12]}",
                mend="`metal run list` shows why; `metal apply` goes on from there",
            )

    def _boot_service(self) -> AbstractContextManager[Any]:
        """Servers that are installed need somebody to answer them."""
        if any(isinstance(a, InstallServer) for a in self.plan.actions):
            return boot_service(self.workspace)
        return nullcontext()

    def _schedule(self, pool: ThreadPoolExecutor) -> None:
        waiting = in_order(self.plan.actions)
        running: dict[Future[str], Action] = {}
        while waiting or running:
            for action in [a for a in waiting if self._ready(a)]:
                waiting.remove(action)
                running[pool.submit(self._carry_out, action)] = action
            if not running:
                break
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                self._note(running.pop(future), future)
        for action in waiting:
            self.failed[action.id] = NOT_BEGUN + ", ".join(
                n for n in action.needs if n in self.failed
            )

    def _ready(self, action: Action) -> bool:
        known = {a.id for a in self.plan.actions}
        return all(n in self.done for n in action.needs if n in known)

    def _note(self, action: Action, future: "Future[str]") -> None:
        error = future.exception()
        why = str(error) if error else future.result()
        if why:
            self.failed[action.id] = why
        else:
            self.done.add(action.id)

    def _carry_out(self, action: Action) -> str:
        """Perform one action's operation; "" or why it failed."""
        if action.id in self._finished:
            return ""
        mark = self.plan.fingerprint
        return carry_out(self.workspace, action, self.progress, plan=mark, stop=self._stop)
