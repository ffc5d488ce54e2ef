"""What a server draws now, as its chassis measures it: Power (DSP2046 "PowerControl") of old BMCs,
EnvironmentMetrics of new ones."""

from typing import Any

from metal.drivers.redfish_tree import Tree


def watts(tree: Tree, system: dict[str, Any]) -> float | None:
    """None where no chassis measures it; a board that says 0 while it runs does not."""
    for chassis in tree.chassis(system):
        for control in tree.linked(chassis, "Power").get("PowerControl") or []:
            if isinstance(control, dict) and (read := _number(control.get("PowerConsumedWatts"))):
                return read
        reading = tree.linked(chassis, "EnvironmentMetrics").get("PowerWatts")
        if isinstance(reading, dict) and (read := _number(reading.get("Reading"))):
            return read
    return None


def _number(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    return float(value) if good else None
