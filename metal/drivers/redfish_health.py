"""How a server is, by what its BMC says over Redfish of it and of its parts."""

from metal.drivers.redfish_answer import Body, link
from metal.drivers.redfish_seldom import Seldom
from metal.drivers.redfish_shape import items, objects
from metal.drivers.redfish_storage import real
from metal.drivers.redfish_tree import Tree
from metal.drivers.redfish_words import complaint_of, conditions_of, health_of
from metal.model.facts import HealthReport

MOST_DRIVES = 16
"""Asked one by one in every look; of more, only where the server or the controller is not well."""


def read_health(tree: Tree, seldom: Seldom | None = None) -> HealthReport:
    """System, power supplies, temperatures, fans and drives; memory only when it is not ok.

    Not every BMC rolls its parts' health up, so the parts are asked even where the system is ok;
    what the system sits in, and the drives, then `seldom`, where somebody looks again and again.
    """
    seldom = seldom or Seldom()
    system = tree.system()
    worst = [health_of(system)]
    ill = worst[0] != "ok"
    if ill:
        seldom.forget()
    chassis = seldom.read("chassis", tree, lambda: list(tree.chassis(system)))
    cooling = [part for one in chassis for part in _cooling(tree, one)]
    parts = [part for one in chassis for part in _supplies(tree, one)] + cooling
    parts += seldom.read("drives", tree, lambda: _drives(tree, system, all_of=ill))
    if ill:
        parts += tree.parts(system, "Memory")
    reasons = {reason: health_of(p) for p in parts if (reason := complaint_of(p))}
    reasons |= dict.fromkeys(conditions_of(system), worst[0])
    if not reasons and (reason := complaint_of(system)):
        reasons[reason] = worst[0]
    order = ("critical", "warning", "ok", "unknown")
    worst += reasons.values()
    return HealthReport(
        health=min(worst, key=order.index),
        reasons=tuple(reasons),
        cooling=any(map(_told, cooling)),
    )


def _supplies(tree: Tree, chassis: Body) -> list[Body]:
    """In the older resource, else in the one that took its place (DSP2046: Power and Thermal are
    deprecated by PowerSubsystem and ThermalSubsystem)."""
    return objects(tree.linked(chassis, "Power").get("PowerSupplies")) or list(
        tree.parts(tree.linked(chassis, "PowerSubsystem"), "PowerSupplies")
    )


def _cooling(tree: Tree, chassis: Body) -> list[Body]:
    """Its temperatures and fans."""
    thermal = tree.linked(chassis, "Thermal")
    fans = objects(thermal.get("Fans")) or list(
        tree.parts(tree.linked(chassis, "ThermalSubsystem"), "Fans")
    )
    return [*objects(thermal.get("Temperatures")), *fans]


def _told(part: Body) -> bool:
    """A reading or a state: BMCs list sensors, too, of what is not there."""
    readings = ("ReadingCelsius", "Reading", "ReadingRPM", "CurrentReading", "SpeedPercent")
    return health_of(part) != "unknown" or any(part.get(key) is not None for key in readings)


def _drives(tree: Tree, system: Body, *, all_of: bool) -> list[Body]:
    storages = list(tree.parts(system, "Storage"))
    if not all_of and sum(len(_paths(storage)) for storage in storages) > MOST_DRIVES:
        storages = [s for s in storages if health_of(s) in ("warning", "critical")]
    paths = dict.fromkeys(path for storage in storages for path in _paths(storage))
    return list(filter(real, tree.bodies(iter(paths))))


def _paths(storage: Body) -> list[str]:
    return list(filter(None, map(link, items(storage.get("Drives")))))
