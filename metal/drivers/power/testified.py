"""A switch beside which a person may say, unasked, that they pulled the plug.

Their word counts only where the switch itself is silent: what reads on is on, whoever says what.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from metal.drivers.ports import PowerSwitch
from metal.model.errors import Unreachable
from metal.model.facts import Power


@dataclass(frozen=True)
class Testimony:
    by: str
    when: str
    """As a person reads it."""


class Witness(Protocol):
    """Where words are kept."""

    def off(self) -> Testimony | None:
        """The word that still holds."""

    def withdraw(self) -> None:
        """The server is about to have power, or was seen to: no word holds any more."""


class Testified:
    """metal.drivers.ports.PowerSwitch. The switch below is opened when it is first needed: that
    of a dead BMC cannot be."""

    def __init__(self, open_: Callable[[], PowerSwitch], by: str, witness: Witness) -> None:
        self.by = by
        self._open, self._witness = open_, witness
        self._switch: PowerSwitch | None = None

    def power(self) -> Power:
        try:
            read = self._below().power()
        except Unreachable:
            if not self._word():
                raise
            return "off"
        if read == "unknown" and self._word():
            return "off"
        if read == "on":
            self._witness.withdraw()
        return read

    def ensure_power(self, wanted: Power) -> None:
        if wanted == "on":
            self._witness.withdraw()
        try:
            self._below().ensure_power(wanted)
        except Unreachable:
            if wanted != "off" or not self._word():
                raise

    def close(self) -> None:
        if self._switch:
            self._switch.close()

    def _below(self) -> PowerSwitch:
        if self._switch is None:
            self._switch = self._open()
        self.by = self._switch.by
        return self._switch

    def _word(self) -> bool:
        """Whether one holds; then it is what `by` names."""
        word = self._witness.off()
        if word:
            self.by = f"{word.by}, who cut its power by hand at {word.when}"
        return word is not None
