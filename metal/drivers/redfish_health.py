"""How a server is, by what its BMC says over Redfish of it and of its parts."""

from metal.drivers.redfish_answer import Body, link
from metal.drivers.redfish_shape import items, objects
from metal.drivers.redfish_tree import Tree
from metal.drivers.redfish_words import complaint_of, conditions_of, health_of
from metal.model.facts import HealthReport


def read_health(tree: Tree) -> HealthReport:
    """System, power supplies and temperatures; memory and drives only when it is not ok."""
    system = tree.system()
    worst = [health_of(system)]
    parts = _environment(tree, system)
    if worst[0] != "ok":
        parts += [*tree.parts(system, "Memory"), *_drives(tree, system)]
    reasons = {reason: health_of(p) for p in parts if (reason := complaint_of(p))}
    reasons |= dict.fromkeys(conditions_of(system), worst[0])
    if not reasons and (reason := complaint_of(system)):
        reasons[reason] = worst[0]
    order = ("critical", "warning", "ok", "unknown")
    worst += reasons.values()
    return HealthReport(health=min(worst, key=order.index), reasons=tuple(reasons))


def _environment(tree: Tree, system: Body) -> list[Body]:
    parts: list[Body] = []
    for chassis in tree.chassis(system):
        power, thermal = (tree.linked(chassis, n) for n in ("Power", "Thermal"))
        for owner, key in (
            (power, "PowerSupplies"),
            (thermal, "Temperatures"),
            (thermal, "Fans"),
        ):
            parts += objects(owner.get(key))
    return parts


def _drives(tree: Tree, system: Body) -> list[Body]:
    return [
        body
        for storage in tree.parts(system, "Storage")
        for path in dict.fromkeys(filter(None, map(link, items(storage.get("Drives")))))
        for body in tree.bodies(iter([path]))
    ]
