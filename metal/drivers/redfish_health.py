"""How a server is, by what its BMC says over Redfish of it and of its parts."""

from metal.drivers.redfish_answer import Body, link
from metal.drivers.redfish_shape import items, objects
from metal.drivers.redfish_storage import real
from metal.drivers.redfish_tree import Tree
from metal.drivers.redfish_words import complaint_of, conditions_of, health_of
from metal.model.facts import HealthReport

MOST_DRIVES = 16
"""Asked one by one in every look; of more, only where the server or the controller is not well."""


def read_health(tree: Tree) -> HealthReport:
    """System, power supplies, temperatures, fans and drives; memory only when it is not ok.

    Not every BMC rolls its parts' health up, so the parts are asked even where the system is ok.
    """
    system = tree.system()
    worst = [health_of(system)]
    parts = [*_environment(tree, system), *_drives(tree, system, all_of=worst[0] != "ok")]
    if worst[0] != "ok":
        parts += tree.parts(system, "Memory")
    reasons = {reason: health_of(p) for p in parts if (reason := complaint_of(p))}
    reasons |= dict.fromkeys(conditions_of(system), worst[0])
    if not reasons and (reason := complaint_of(system)):
        reasons[reason] = worst[0]
    order = ("critical", "warning", "ok", "unknown")
    worst += reasons.values()
    return HealthReport(health=min(worst, key=order.index), reasons=tuple(reasons))


def _environment(tree: Tree, system: Body) -> list[Body]:
    """In the older resources, else in those that took their place (DSP2046: Power and Thermal
    are deprecated by PowerSubsystem and ThermalSubsystem)."""
    parts: list[Body] = []
    for chassis in tree.chassis(system):
        thermal = tree.linked(chassis, "Thermal")
        parts += objects(tree.linked(chassis, "Power").get("PowerSupplies")) or list(
            tree.parts(tree.linked(chassis, "PowerSubsystem"), "PowerSupplies")
        )
        parts += objects(thermal.get("Temperatures"))
        parts += objects(thermal.get("Fans")) or list(
            tree.parts(tree.linked(chassis, "ThermalSubsystem"), "Fans")
        )
    return parts


def _drives(tree: Tree, system: Body, *, all_of: bool) -> list[Body]:
    storages = list(tree.parts(system, "Storage"))
    if not all_of and sum(len(_paths(storage)) for storage in storages) > MOST_DRIVES:
        storages = [s for s in storages if health_of(s) in ("warning", "critical")]
    paths = dict.fromkeys(path for storage in storages for path in _paths(storage))
    return list(filter(real, tree.bodies(iter(paths))))


def _paths(storage: Body) -> list[str]:
    return list(filter(None, map(link, items(storage.get("Drives")))))
