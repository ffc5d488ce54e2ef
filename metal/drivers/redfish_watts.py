"""What a server draws now, as its chassis measures it: Power (DSP2046 "PowerControl") of old BMCs,
EnvironmentMetrics of new ones."""

from typing import Any

from metal.drivers.redfish_shape import number, objects, section
from metal.drivers.redfish_tree import Tree


def watts(tree: Tree, system: dict[str, Any]) -> float | None:
    """None where no chassis measures it; a board that says 0 while it runs does not."""
    for chassis in tree.chassis(system):
        for control in objects(tree.linked(chassis, "Power").get("PowerControl")):
            if read := _drawn(control.get("PowerConsumedWatts")):
                return read
        reading = section(tree.linked(chassis, "EnvironmentMetrics").get("PowerWatts"))
        if read := _drawn(reading.get("Reading")):
            return read
    return None


def _drawn(told: Any) -> float | None:
    found = number(told)
    return found if found is not None and found > 0 else None
