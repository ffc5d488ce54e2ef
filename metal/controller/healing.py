"""Carries out what a watcher decided, beside its rounds; goes on with what was left."""

import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from functools import partial

from metal.controller.flows import action_of
from metal.controller.incident_book import IncidentBook
from metal.controller.performing import carry_out, go_on
from metal.controller.planning import alone
from metal.controller.progress import Progress
from metal.controller.sensing import BY, HEALING
from metal.controller.workspace import Workspace
from metal.model.errors import MetalError
from metal.model.plan import Action, DrainServer, RecoverServer
from metal.model.world import World
from metal.operations.leading import Term

ANSWER_SECONDS = 5.0
"""How long `metal watch --once` waits for a person at the rack."""
AT_ONCE = 4
"""Servers acted on side by side."""


@dataclass(frozen=True)
class _Begun:
    action: Action
    future: Future[str]
    stop: threading.Event


class Healing:
    def __init__(
        self,
        workspace: Workspace,
        progress: Progress,
        book: IncidentBook,
        *,
        pool: Executor | None = None,
        stop: Callable[[], threading.Event] = threading.Event,
    ) -> None:
        """`pool` runs what is acted on; `stop` makes what leaves one of them between two steps."""
        self._workspace, self._progress, self._book = workspace, progress, book
        self._pool = pool or ThreadPoolExecutor(AT_ONCE, thread_name_prefix="heal")
        self._new_stop = stop
        self._begun: dict[str, _Begun] = {}

    @property
    def at_work(self) -> tuple[Action, ...]:
        return tuple(begun.action for begun in self._begun.values())

    @property
    def under_way(self) -> frozenset[str]:
        """Ids of the actions that have not ended."""
        return frozenset(key for key, begun in self._begun.items() if not begun.future.done())

    def close(self) -> None:
        """What is at work is left between two steps, to be gone on with."""
        for begun in self._begun.values():
            begun.stop.set()
        self._pool.shutdown(wait=True)

    def go_on(self, term: Term, actions: Sequence[Action] = ()) -> None:
        """Finish what an earlier watcher began and nobody runs any more.

        A server that is to be recovered now is emptied no more: that would wait for it for ever.
        """
        died = {a.server for a in actions if isinstance(a, RecoverServer)}
        for operation in self._workspace.store.journal.list(open_only=True):
            key = operation.subject
            mine = operation.kind in HEALING or operation.params.get("by") == BY
            if mine and not operation.alive and key not in self._begun:
                action = action_of(operation.params["action"])
                if isinstance(action, DrainServer) and action.server in died:
                    self._workspace.store.journal.cancel(operation.id)
                    self._book.died(action, "what was left on it is recovered")
                    continue
                self._run(action, partial(self._resume, operation.id, action, term))

    def begin(self, world: World, actions: Sequence[Action], term: Term) -> dict[str, str]:
        """Action id → why it was not even begun."""
        refused = {}
        for action in actions:
            if action.id in self._begun or self._empties(action):
                continue
            try:
                alone(self._workspace.inventory, world, action)
            except MetalError as error:
                refused[action.id] = str(error)
                continue
            self._run(action, partial(self._carry_out, action, term))
        return refused

    def _empties(self, action: Action) -> bool:
        """Whether the server to be recovered is still being emptied: that must fail first."""
        return isinstance(action, RecoverServer) and f"drain:{action.server}" in self._begun

    def collect(self, died: Collection[str] = ()) -> dict[str, str]:
        """Action id → why it failed, of those that ended since this was last asked.

        That a server of `died` could not be emptied is no failure of its own: it died meanwhile,
        and is recovered.
        """
        failed = {}
        for key, begun in list(self._begun.items()):
            if not begun.future.done():
                continue
            del self._begun[key]
            if begun.stop.is_set():
                continue  # it is only left, and gone on with in the next round
            why = begun.future.result()
            if why and isinstance(begun.action, DrainServer) and begun.action.server in died:
                self._book.died(begun.action, why)
                continue
            if why:
                failed[key] = why
            self._book.over(begun.action, why)
        return failed

    def finish(self) -> list[str]:
        """Wait for what was begun; what waits for a person is left, and named."""
        while True:
            wait_for([begun.future for begun in self._begun.values()], timeout=ANSWER_SECONDS)
            left = [begun for begun in self._begun.values() if not begun.future.done()]
            names = {getattr(begun.action, "server", "") for begun in left}
            if all(self._by_hand(name) for name in names):
                break
        for begun in left:
            begun.stop.set()
        wait_for([begun.future for begun in left])
        return [f"{n} waits for a person at the rack: `metal power waiting`" for n in sorted(names)]

    def _by_hand(self, server: str) -> bool:
        return self._workspace.inventory.servers[server].power.driver == "manual"

    def _run(self, action: Action, act: Callable[[threading.Event], str]) -> None:
        self._book.begun(action)
        stop = self._new_stop()
        self._begun[action.id] = _Begun(action, self._pool.submit(act, stop), stop)

    def _carry_out(self, action: Action, term: Term, stop: threading.Event) -> str:
        return carry_out(self._workspace, action, self._progress, by=BY, stop=stop, term=term)

    def _resume(self, operation: int, action: Action, term: Term, stop: threading.Event) -> str:
        return go_on(self._workspace, operation, action, self._progress, stop=stop, term=term)
