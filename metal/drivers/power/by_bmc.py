"""The usual case: a server's own BMC switches it."""

from metal.drivers.ports import Bmc
from metal.model.facts import Power


class BmcSwitch:
    """A Bmc as a PowerSwitch."""

    by = "its BMC"

    def __init__(self, bmc: Bmc) -> None:
        """`bmc` is logged in; `close` closes it."""
        self._bmc = bmc

    def power(self) -> Power:
        return self._bmc.power()

    def ensure_power(self, wanted: Power) -> None:
        self._bmc.ensure_power(wanted)

    def close(self) -> None:
        self._bmc.close()
