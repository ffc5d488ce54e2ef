"""Several plugs of one server, on as many PDUs as it has feeds: it is off when all of them are."""

from collections.abc import Sequence

from metal.drivers.ports import PowerSwitch
from metal.model.errors import MetalError
from metal.model.facts import Power


class Outlets:
    """Several PowerSwitches as one."""

    def __init__(self, switches: Sequence[PowerSwitch]) -> None:
        self._switches = switches
        self.by = " and ".join(switch.by for switch in switches)

    def power(self) -> Power:
        """One that reads on is enough for on; off is only what all of them read."""
        read: list[Power] = []
        failed: list[MetalError] = []
        for switch in self._switches:
            try:
                read.append(switch.power())
            except MetalError as error:
                failed.append(error)
        if "on" in read:
            return "on"
        if failed:
            raise failed[0]
        return "off" if set(read) == {"off"} else "unknown"

    def ensure_power(self, wanted: Power) -> None:
        """Each is told, whatever became of the others; then the first failure is raised."""
        failed: list[MetalError] = []
        for switch in self._switches:
            try:
                switch.ensure_power(wanted)
            except MetalError as error:
                failed.append(error)
        if failed:
            raise failed[0]

    def close(self) -> None:
        for switch in self._switches:
            switch.close()
