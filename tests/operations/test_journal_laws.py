"""The journal under random histories: owners that take, work, sleep, lose their lease and die.

The owners are real processes (they do nothing but exist), so a death is a real death.
"""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from metal.model.errors import Refused
from metal.model.life import Status
from metal.operations.database import Clock
from metal.operations.lease import Lease, LeaseLost, take, write_fenced
from metal.operations.owner import Owner, owner_of
from metal.operations.steps import Steps
from metal.operations.store import open_store

LEASE = 10.0
WHO = st.integers(0, 2)


@dataclass
class Actor:
    """A process, and what it believes."""

    process: subprocess.Popen[bytes]
    owner: Owner
    lease: Lease | None = None
    number: int = 0
    """The step it is at."""
    inside: bool = False


def actor() -> Actor:
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    return Actor(process, owner_of(process.pid))


class Histories(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.now = 1000.0
        self.folder = tempfile.mkdtemp(prefix="metal-laws-")
        clock = Clock(wall=lambda: self.now, monotonic=lambda: self.now)
        self.store = open_store("sqlite", Path(self.folder), lease_seconds=LEASE, clock=clock)
        self.id = self.store.journal.open("install", "alba1", ["alba1"], {}).id
        self.actors = [actor() for _ in range(3)]
        self.holder: Actor | None = None
        """Who holds the lease, by the model."""
        self.until = 0.0
        self.fence = 0
        self.recorded: dict[int, str] = {}
        self.over = False

    def teardown(self) -> None:
        for one in getattr(self, "actors", ()):
            self._kill(one)
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    # ── what may happen ─────────────────────────────────────────────────────────────────────

    @rule(who=WHO, times=st.integers(1, 5))
    def work(self, who: int, times: int) -> None:
        """Take the operation, or go on with it; it may stop in the midst of a step."""
        me = self.actors[who]
        for _ in range(times):
            if me.lease is None:
                self._take(me)
            elif me.inside:
                self._finish(me)
            else:
                self._enter(me)

    def _take(self, me: Actor) -> None:
        free = not self.over and (self.holder is None or self.until <= self.now)
        try:
            lease = take(self.store.database, self.id, LEASE, me.owner)
        except Refused:
            assert not free
            return
        assert free, "two owners at once"
        assert lease.fence == self.fence + 1
        self.fence = lease.fence
        self._hold(me)
        me.lease, me.number, me.inside = lease, 0, False

    def _enter(self, me: Actor) -> None:
        if row := self._write(me, lambda: self._steps(me).enter(me.number, f"s{me.number}", None)):
            assert row.result == self.recorded.get(me.number)
            me.inside = row.result is None
            me.number += row.result is not None

    def _finish(self, me: Actor) -> None:
        assert me.lease
        result = f'"{me.owner.pid} with fence {me.lease.fence}"'
        if self._write(me, lambda: self._steps(me).finish(me.number, result) or True):
            assert me.number not in self.recorded, "a step was recorded twice"
            self.recorded[me.number] = result
            me.number, me.inside = me.number + 1, False

    @precondition(lambda self: self._believers())
    @rule(who=st.data())
    def beat(self, who: st.DataObject) -> None:
        me = self._believer(who)
        self._write(me, lambda: self._renew(me))

    @precondition(lambda self: self._believers())
    @rule(who=st.data())
    def leave(self, who: st.DataObject) -> None:
        me = self._believer(who)
        if self._write(me, lambda: self._steps(me).leave(Status.FAILED, "tired") or True):
            self.holder = None
        me.lease, me.inside = None, False

    @rule(who=WHO)
    def die(self, who: int) -> None:
        self._kill(self.actors[who])
        if self.holder is self.actors[who]:
            self.holder = None
        self.actors[who] = actor()

    @rule(seconds=st.sampled_from([1.0, LEASE / 2, LEASE, LEASE * 3]))
    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: not self.over and len(self.recorded) > 2)
    @rule()
    def cancel(self) -> None:
        free = self.holder is None or self.until <= self.now
        try:
            self.store.journal.cancel(self.id)
        except Refused:
            assert not free
            return
        assert free
        self.fence, self.holder, self.over = self.fence + 1, None, True

    # ── what always holds ───────────────────────────────────────────────────────────────────

    @invariant()
    def the_journal_agrees(self) -> None:
        if not hasattr(self, "store"):
            return
        shown = self.store.journal.show(self.id)
        assert shown.fence == self.fence
        assert {s.number: f'"{s.result}"' for s in shown.steps if s.done} == self.recorded
        assert [s.number for s in shown.steps] == list(range(len(shown.steps)))
        assert shown.alive == (self.holder is not None and self.until > self.now)
        assert shown.open != self.over

    # ── the model's own hands ───────────────────────────────────────────────────────────────

    def _write(self, me: Actor, act):
        """`act` must work exactly if nobody took over from `me`, and then renews its lease."""
        assert me.lease
        current = me.lease.fence == self.fence and self.holder is me
        try:
            done = act()
        except LeaseLost:
            assert not current
            me.lease, me.inside = None, False
            return None
        assert current, "a write got past the fence"
        self._hold(me)
        return done

    def _believers(self) -> list[Actor]:
        """Who thinks that it holds the lease."""
        return [one for one in self.actors if one.lease]

    def _believer(self, who: st.DataObject) -> Actor:
        believers = self._believers()
        return believers[who.draw(st.integers(0, len(believers) - 1))]

    def _hold(self, me: Actor) -> None:
        self.holder, self.until = me, self.now + LEASE

    def _steps(self, me: Actor) -> Steps:
        assert me.lease
        return Steps(self.store.database, me.lease)

    def _renew(self, me: Actor) -> bool:
        assert me.lease
        with self.store.database.write() as conn:
            write_fenced(self.store.database, conn, me.lease)
        return True

    def _kill(self, one: Actor) -> None:
        one.process.kill()
        one.process.communicate()


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=40)
