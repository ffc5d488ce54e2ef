"""Leaving a site over days: by a clock that runs as it is told, killed at every write."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from metal.heal.leaving import Leaving, LeavingPorts, Leg, leave
from metal.model.errors import Failed, Refused, Unreachable
from metal.model.life import Status
from metal.operations.lease import LeaseLost
from metal.operations.run import Outcome, perform
from metal.operations.steps import Steps
from metal.operations.store import Store, open_store

DAY = 86_400.0
LEGS = tuple(
    Leg(vm=vm, cluster="b", server="b1", gib=10, mbit=50, begins=n * DAY)
    for n, vm in enumerate(("x", "y", "z"), 1)
)


class Killed(BaseException):
    """The process dies here."""


class Site:
    """A site that is left: a VM that was moved twice would show."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.hours = 0
        self.at: dict[str, str] = {}
        self.moves: list[tuple[str, float]] = []
        """(VM, the day on which it went)."""
        self.broken: dict[str, Exception] = {}
        self.legs = LEGS

    def now(self) -> float:
        """An hour later whenever somebody looks."""
        self.hours += 1
        return self.hours * 3600.0

    def bring(self, leg: Leg) -> dict[str, Any]:
        if leg.vm in self.at:
            return {"server": self.at[leg.vm]}
        if error := self.broken.get(leg.vm):
            raise error
        self.at[leg.vm] = leg.server
        self.moves.append((leg.vm, self.hours * 3600.0 / DAY))
        return {"server": leg.server, "todo": f"{leg.vm}: give it other addresses"}

    def leave(self) -> tuple[Outcome, dict[str, Any]]:
        said: dict[str, Any] = {}
        ports = LeavingPorts(self.now, self.bring, every=0)
        order = Leaving(name="a", legs=self.legs)
        params = {"order": order.model_dump(mode="json")}
        operation = self.store.journal.open("leave", "a", ["site a"], params)
        outcome = perform(self.store, operation, lambda run: said.update(leave(run, order, ports)))
        return outcome, said

    @property
    def number(self) -> int:
        (operation,) = self.store.journal.list()
        return operation.id


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_store("sqlite", tmp_path / "state") as store:
        yield Site(store)


def test_each_goes_on_its_day(site: Site) -> None:
    outcome, said = site.leave()
    assert outcome.status is Status.DONE, outcome.error
    assert [vm for vm, _ in site.moves] == ["x", "y", "z"]
    for day, (_, went) in enumerate(site.moves, 1):
        assert day <= went < day + 0.2
    assert set(said["vms"]) == {"x", "y", "z"}
    texts = [event.text for event in site.store.events.since(0, operation=site.number)]
    assert "y: give it other addresses" in texts, "what a person must do is said at once"


def test_one_that_does_not_go_keeps_nobody_else(site: Site) -> None:
    site.broken["y"] = Refused("no place for it", where="b", mend="make room")
    outcome, _ = site.leave()
    assert (outcome.status, set(site.at)) == (Status.FAILED, {"x", "z"})
    assert "one VM did not go, all others did" in outcome.error
    assert "y: b: no place for it" in outcome.error and "make room" in outcome.error


def test_asked_again_only_those_that_did_not_go_are_tried(site: Site) -> None:
    site.broken = {"x": Unreachable("no answer", where="b"), "y": Failed("full", where="b")}
    assert site.leave()[0].status is Status.FAILED
    del site.broken["x"]
    assert site.leave()[0].status is Status.FAILED
    assert [vm for vm, _ in site.moves] == ["z", "x"]
    site.broken.clear()
    outcome, said = site.leave()
    assert outcome.status is Status.DONE
    assert [vm for vm, _ in site.moves] == ["z", "x", "y"]
    assert set(said["vms"]) == {"x", "y", "z"}
    names = [step.name for step in site.store.journal.show(site.number).steps]
    assert "y goes, try 3" in names and "z goes, try 2" not in names


def test_who_stays_together_does_not_go_alone(site: Site) -> None:
    x, y, z = LEGS
    site.legs = (x, y.model_copy(update={"after": ("x",)}), z)
    site.broken["x"] = Failed("full", where="b")
    outcome, _ = site.leave()
    assert set(site.at) == {"z"}
    assert "y: it stays together with x" in outcome.error
    site.broken.clear()
    assert site.leave()[0].status is Status.DONE
    assert [vm for vm, _ in site.moves] == ["z", "x", "y"]


class Dying:
    """The process dies at the `at`th of the calls that are wrapped: before it, or after it."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.at, self.after, self.calls = at, after, 0

    def wrap(self, real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            dies = self.calls == self.at
            if dies and not self.after:
                raise Killed
            result = real(*args, **kwargs)
            if dies:
                raise Killed
            return result

        return call


def ends(site: Site) -> Outcome:
    """The next process goes on where one was killed."""
    try:
        return site.leave()[0]
    except (Killed, LeaseLost):  # lost where it had ended, and could write no more
        return site.leave()[0]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("broken", [False, True])
def test_killed_at_every_write_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool, after: bool
) -> None:
    """At each write of the journal, and at each move."""
    for at in count(1):
        dying = Dying(at, after=after)
        with open_store("sqlite", tmp_path / str(at)) as store, monkeypatch.context() as patched:
            site = Site(store)
            site.legs = LEGS[:2]
            if broken:
                site.broken["x"] = Failed("full", where="b")
            for name in ("enter", "finish", "say", "end"):
                patched.setattr(Steps, name, dying.wrap(getattr(Steps, name)))
            patched.setattr(site, "bring", dying.wrap(site.bring))
            outcome = ends(site)
            if broken and outcome.status is not Status.DONE:
                assert "full" in outcome.error
                site.broken.clear()
                outcome = ends(site)
            assert outcome.status is Status.DONE, outcome.error
        moved = [vm for vm, _ in site.moves]
        assert sorted(moved) == ["x", "y"], "none twice, none forgotten"
        for vm, went in site.moves:
            assert went >= "xy".index(vm) + 1, "never before its day"
        if dying.calls < at:
            break
    assert at > len(LEGS[:2]) * 7, "a wait, a step, a word and a move of each"


def test_cancelled_it_leaves_what_went_and_claims_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(leg: Leg) -> dict[str, Any]:
        if leg.vm == "y":
            raise Killed
        return Site.bring(site, leg)

    monkeypatch.setattr(site, "bring", dies)
    with pytest.raises(Killed):
        site.leave()
    journal = site.store.journal
    assert journal.holder("site a") == site.number
    journal.cancel(site.number)
    assert journal.holder("site a") is None
    assert set(site.at) == {"x"}
