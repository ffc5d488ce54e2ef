"""A person as a power switch: asked once, waited for, never taken to have answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest

from metal.controller.pace import Pace
from metal.controller.powering import switch, switching
from metal.controller.running import cancel_run
from metal.model.errors import Failed, Refused, Unreachable
from metal.model.facts import Power
from metal.model.fleet import BmcAccess, PowerAccess
from metal.model.life import Status
from metal.operations.run import Outcome, perform
from metal.operations.store import open_store

WHY = "it died"
BMC = BmcAccess(address="10.11.0.11")


class Site:
    """A workspace whose alba1 is switched by hand, and whose BMC reads `reads`."""

    def __init__(self, folder: Path) -> None:
        power = PowerAccess(driver="manual")
        self.inventory = SimpleNamespace(
            servers={"alba1": SimpleNamespace(power=power, rack="L2", unit=10, bmc=BMC)},
            fleet=SimpleNamespace(poll_seconds=0.02),
        )
        self.store = open_store("sqlite", folder)
        self.pace = Pace(folder / "looked-at")
        self.reads: Power = "unknown"

    def bmc(self, _server: str) -> Any:
        if self.reads == "unknown":
            raise Unreachable("no answer")
        return SimpleNamespace(power=lambda: self.reads, close=lambda: None)

    def operation(self) -> Any:
        return self.store.journal.open("recover", "recover:alba1", ["server alba1"], {})

    def run(self, stop: Event | None = None) -> Outcome:
        """Switch it off as a step of an operation; its result is what was read twice after."""

        def off(found: Any) -> list[Power]:
            found.ensure_power("off")
            return [found.power(), found.power()]

        def flow(run: Any) -> None:
            self.readings = switching(self, "alba1").step(run, "prove off", off, why=WHY)  # type: ignore[arg-type]

        return perform(self.store, self.operation(), flow, stop=stop)

    def meanwhile(self, act: Callable[[], Any], then: Callable[[Any], None]) -> Any:
        """`then` with the request, as soon as `act` asks a person; what `act` returned."""
        result: list[Any] = []
        thread = Thread(target=lambda: result.append(act()))
        thread.start()
        pause = Event()
        while not (waiting := self.store.requests.waiting()):
            assert thread.is_alive(), result
            pause.wait(0.01)
        then(waiting[0])
        thread.join(20)
        return result[0] if result else None


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "state")
    yield made
    made.store.close()


def test_a_person_is_told_what_to_press_and_their_word_is_recorded(site: Site) -> None:
    def answer(request: Any) -> None:
        assert request.what.startswith(
            "press the power button of alba1 (rack L2, U10) until its light is off"
        )
        assert (request.why, request.wanted, request.key) == (WHY, "off", "run 1: prove off")
        said = site.store.requests.answer(request.id, "done", "ana")
        assert (said.answered_by, said.answered is not None) == ("ana", True)

    outcome = site.meanwhile(site.run, answer)
    assert (outcome.status, site.readings) == (Status.DONE, ["off", "off"])
    assert site.store.requests.waiting() == []


def test_a_person_who_cannot_ends_it_as_failed_and_is_asked_anew(site: Site) -> None:
    answer = site.store.requests.answer
    outcome = site.meanwhile(site.run, lambda r: answer(r.id, "cannot", "ana", "the cage is shut"))
    assert outcome.status is Status.FAILED
    assert "ana cannot switch it off: the cage is shut" in outcome.error
    assert site.meanwhile(site.run, lambda r: answer(r.id, "done", "bo")).status is Status.DONE


def test_stopped_and_resumed_it_is_one_request(site: Site) -> None:
    stop = Event()
    outcome = site.meanwhile(lambda: site.run(stop), lambda _request: stop.set())
    assert outcome.status is Status.RUNNING
    (asked,) = site.store.requests.waiting()
    site.store.requests.answer(asked.id, "done", "ana")  # while nobody runs it
    assert site.run().status is Status.DONE and site.readings == ["off", "off"]


def test_who_is_contradicted_by_the_bmc_is_not_believed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metal.drivers.power.manual.became", lambda reached, _seconds: reached())
    site.reads = "on"
    outcome = site.meanwhile(
        site.run, lambda request: site.store.requests.answer(request.id, "done", "ana")
    )
    assert outcome.status is Status.FAILED
    assert "ana says it is off, and its BMC reads otherwise" in outcome.error


def test_nobody_is_asked_for_what_the_bmc_reads_already(site: Site) -> None:
    site.reads = "off"
    assert site.run().status is Status.DONE and site.readings == ["off", "off"]


def test_a_cancelled_operation_asks_nobody_any_more(site: Site) -> None:
    stop = Event()
    site.meanwhile(lambda: site.run(stop), lambda _request: stop.set())
    (asked,) = site.store.requests.waiting()
    cancel_run(site, 1)  # type: ignore[arg-type]
    assert site.store.requests.waiting() == []
    with pytest.raises(Refused, match="it was withdrawn"):
        site.store.requests.answer(asked.id, "done", "ana")


def test_an_answer_is_given_once(site: Site) -> None:
    def twice(request: Any) -> None:
        site.store.requests.answer(request.id, "done", "ana")
        with pytest.raises(Refused, match="ana answered it"):
            site.store.requests.answer(request.id, "cannot", "bo")

    assert site.meanwhile(site.run, twice).status is Status.DONE


def test_outside_of_an_operation_it_waits_too(site: Site) -> None:
    answer = site.store.requests.answer
    act = lambda: switch(site, "alba1", "on", "to see")  # type: ignore[arg-type]  # noqa: E731
    found = site.meanwhile(act, lambda request: answer(request.id, "done", "ana"))
    assert (found.by, found.power()) == ("a person at the rack", "on")
    assert site.store.requests.waiting() == []
    failed: list[str] = []

    def refused() -> None:
        with pytest.raises(Failed) as error:
            act()
        failed.append(str(error.value))

    site.meanwhile(refused, lambda request: answer(request.id, "cannot", "bo"))
    assert "bo cannot switch it on" in failed[0]


def test_an_old_word_proves_nothing(site: Site) -> None:
    answer = site.store.requests.answer
    site.meanwhile(site.run, lambda request: answer(request.id, "done", "ana"))
    assert switching(site, "alba1").open("another", WHY).power() == "unknown"  # type: ignore[arg-type]
