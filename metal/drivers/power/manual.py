"""A person at the rack is the switch: they are told what to press, and say when it is done."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from metal.drivers.polling import became
from metal.model.errors import Failed, Refused, Unreachable
from metal.model.facts import Power


@dataclass(frozen=True)
class Said:
    """A person's answer."""

    done: bool
    by: str
    note: str = ""


class Person(Protocol):
    """Whoever stands at the rack, through a request that outlives this process."""

    def asked(self) -> bool:
        """Whether the request is open and without an answer."""

    def ask(self, wanted: Power) -> Said | None:
        """The answer, None while there is none; however often it is called it is one request."""

    def ask_anew(self) -> None:
        """The answer does not count: the next `ask` is a new request."""


class Manual:
    """metal.drivers.ports.PowerSwitch by hand.

    Where a BMC can at least be read, what it reads counts more than what anybody says.
    """

    by = "a person at the rack"

    def __init__(
        self, person: Person, look: Callable[[], Power], where: str, *, settle: float = 20.0
    ) -> None:
        """`look` reads the BMC, "unknown" without answer; it has `settle` s to see a press."""
        self._person, self._look, self.where = person, look, where
        self._settle = settle
        self._confirmed: Power = "unknown"

    def power(self) -> Power:
        """What the BMC reads; else what was confirmed to this very object, never an old answer."""
        seen = self._look()
        return self._confirmed if seen == "unknown" else seen

    def ensure_power(self, wanted: Power) -> None:
        """Unreachable until the person answers; Failed when they cannot, or are contradicted."""
        if wanted not in ("on", "off"):
            raise Refused(f"nobody can be asked to switch it {wanted}", where=self.where)
        if not self._person.asked() and self._look() == wanted:
            return
        said = self._person.ask(wanted)
        if said is None:
            raise Unreachable(
                f"waiting until a person has switched it {wanted}",
                where=self.where,
                mend=f"see `metal power waiting`; metal power confirm {self.where} {wanted}",
            )
        if not said.done:
            self._person.ask_anew()
            note = f": {said.note}" if said.note else ""
            raise Failed(f"{said.by} cannot switch it {wanted}{note}", where=self.where)
        if not became(lambda: self._look() in (wanted, "unknown"), self._settle):
            self._person.ask_anew()
            raise Failed(
                f"{said.by} says it is {wanted}, and its BMC reads otherwise",
                where=self.where,
                mend="was it the right server? Its rack and unit are in inventory.toml",
            )
        self._confirmed = wanted

    def close(self) -> None:
        """The request stays, and waits for its answer."""
