"""A server's power switch as a flow uses it: a step, or a wait where a person must press."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from metal.drivers.ports import PowerSwitch
from metal.operations.requests import key_of
from metal.operations.run import Run

AWAY = 30 * 24 * 3600.0
"""Seconds that a person may take, after which the operation fails: it is never done by itself."""


@dataclass(frozen=True)
class Switching:
    """Of one server."""

    open: Callable[[str, str], PowerSwitch]
    """(key of a request to a person, why it is switched) → the switch, which is closed after."""
    driver: Literal["bmc", "fence", "manual"] = "bmc"
    every: float = 2.0
    """Seconds between two looks for a person's answer."""

    def step(
        self,
        run: Run,
        name: str,
        act: Callable[[PowerSwitch], Any],
        *,
        why: str,
        unless: Callable[[], bool] = lambda: False,
        tries: int = 1,
        backoff: float = 1.0,
    ) -> Any:
        """What `act` returns ("done" for None); it is left out where `unless` holds.

        By a BMC or a plug it is a step, tried again while there is no answer. A person's silence
        is what is expected: then it waits, stops and resumes without asking twice.
        """

        def switched() -> Any:
            if unless():
                return "done"
            switch = self.open(key_of(run.id, name), why)
            try:
                result = act(switch)
                return "done" if result is None else result
            finally:
                switch.close()

        if self.driver == "manual":
            run.say(f"{name}: a person must do it; `metal power waiting` says what")
            late = "nobody answered in 30 days"
            return run.wait(name, switched, seconds=AWAY, every=self.every, late=late)
        return run.step(name, switched, tries=tries, backoff=backoff)
