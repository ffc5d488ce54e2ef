"""The evidence on which VMs restart elsewhere: what switches the server reads off, three times."""

from collections.abc import Callable

from metal.drivers.ports import PowerSwitch
from metal.model.errors import Failed

READINGS = 3
"""That must all say off: a server that restarts itself is off for a moment."""


def switch_off(server: str, switch: PowerSwitch, pause: Callable[[], object]) -> list[str]:
    """Switched off, and what was read back then, `pause` between two readings.

    Unreachable while the switch is silent; Failed when it does not read off each time.
    """
    switch.ensure_power("off")
    readings = [str(switch.power())]
    for _ in range(READINGS - 1):
        pause()
        readings.append(str(switch.power()))
    if set(readings) != {"off"}:
        raise Failed(
            f"{switch.by} was told to switch it off, and then read "
            f"{', '.join(readings[:-1])} and {readings[-1]}",
            where=server,
            mend="somebody must cut its power by hand; nothing was done to its VMs",
        )
    return readings
