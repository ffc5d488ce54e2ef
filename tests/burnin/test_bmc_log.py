"""What is new in a BMC's log: whatever is lost at its beginning, and wherever the new stands."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from metal.burnin.bmc_log import new_entries
from metal.burnin.flow import Wishes
from metal.controller import live_work
from metal.controller.progress import silent
from metal.drivers.redfish_log import LAST
from metal.model.facts import LogEntry

ECC = LogEntry(at=None, severity="critical", text="Uncorrectable ECC at DIMM A1")


def entry(number: int) -> LogEntry:
    at = f"2026-01-01T00:{number // 60:02}:{number % 60:02}+00:00"
    return LogEntry(at=at, severity="warning", text="AC lost")


class Ring:
    """A log of which the end is read, as the drivers do: by time, what has none first."""

    def __init__(self, machine: Any) -> None:
        self._machine = machine

    def __call__(self) -> tuple[LogEntry, ...]:
        known = self._machine.events[-LAST:]
        return tuple(sorted(known, key=lambda e: e.at or ""))


def burnt(rack: Any, new: LogEntry) -> Any:
    """alba1, whose BMC writes `new` while its memory is tested."""
    machine, told = rack.machines["alba1"], rack.store.jobs.tell
    bmc = rack.bmc

    def ring(name: str) -> Any:
        asked = bmc(name)
        asked.log = Ring(machine)
        return asked

    def tell(token: str, phase: str, fraction: float, text: str) -> bool:
        if phase == "memory" and new not in machine.events:
            machine.events.append(new)
        return bool(told(token, phase, fraction, text))

    rack.bmc, rack.store.jobs.tell = ring, tell
    (one,) = live_work.burn_in(rack, ["alba1"], Wishes(1), progress=silent)
    assert one.burnin, one.error
    return one.burnin


def test_an_error_is_seen_at_the_end_of_a_full_log(rack: Any) -> None:
    rack.machines["alba1"].events += [entry(n) for n in range(LAST)]
    dated = ECC.model_copy(update={"at": "2026-02-01T00:00:00+00:00"})
    burnin = burnt(rack, dated)
    assert burnin.evidence.bmc.log == (ECC.text,)
    assert burnin.appraisal.grade == "B"


def test_an_error_is_seen_though_the_clock_fell_back(rack: Any) -> None:
    rack.machines["alba1"].events += [entry(n) for n in range(10)]
    assert burnt(rack, ECC).evidence.bmc.log == (ECC.text,)


def test_what_was_there_before_is_not_held_against_it(rack: Any) -> None:
    rack.machines["alba1"].events += [entry(n) for n in range(10)]
    burnin = burnt(rack, ECC.model_copy(update={"severity": "ok"}))
    assert (burnin.evidence.bmc.log, burnin.appraisal.grade) == ((), "A")


LOGS = st.lists(st.builds(entry, st.integers(0, 5)), max_size=8)


@given(LOGS, LOGS, st.integers(0, 8), st.randoms())
def test_law(old: list[LogEntry], new: list[LogEntry], lost: int, random: Any) -> None:
    """In whatever order they come; a ring loses its oldest, which makes nothing new of the rest."""
    all_ = old + new
    random.shuffle(all_)
    assert Counter(new_entries(old, all_)) == Counter(new)
    after = old[lost:] + new
    assert Counter(new_entries(old, after)) == Counter(after) - Counter(old)
