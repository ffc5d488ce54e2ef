"""What a Redfish resource says of itself: present, powered, healthy, and what is wrong with it."""

from typing import Any

from metal.drivers.placeholders import told
from metal.drivers.redfish_session import Body
from metal.drivers.redfish_shape import objects
from metal.model.facts import Health, Power


def present(resource: Any) -> bool:
    """Empty sockets, bays and slots are listed too: as Absent."""
    if not isinstance(resource, dict):
        return False
    status = resource.get("Status")
    return not (isinstance(status, dict) and status.get("State") == "Absent")


def name_of(resource: Body) -> str:
    """What people call it: its name, else its id."""
    return told(resource.get("Name")) or str(resource.get("Id") or resource.get("MemberId"))


def power_of(system: Body) -> Power:
    """Only a plain On or Off is taken for one; PoweringOff is not off yet."""
    states: dict[Any, Power] = {"On": "on", "Off": "off"}
    return states.get(str(system.get("PowerState")), "unknown")


def health_of(resource: Body) -> Health:
    """The worst of Health and HealthRollup."""
    status = resource.get("Status")
    if not isinstance(status, dict):
        return "unknown"
    said = {str(status.get(k) or "").lower() for k in ("Health", "HealthRollup")}
    order: tuple[Health, ...] = ("critical", "warning", "ok")
    for health in order:
        if health in said:
            return health
    return "unknown"


def complaint_of(resource: Body) -> str | None:
    """ "PSU 2: input lost" for a part that is not well, else None."""
    health = health_of(resource)
    failing = resource.get("FailurePredicted") is True
    if not present(resource) or (health in ("ok", "unknown") and not failing):
        return None
    name = name_of(resource)
    text = "; ".join(conditions_of(resource)) or (
        "failure predicted" if failing else f"its health is {health}"
    )
    return text if text.startswith(f"{name}:") else f"{name}: {text}"


def conditions_of(resource: Body) -> list[str]:
    """What a resource says of itself in Status.Conditions."""
    status = resource.get("Status")
    conditions = status.get("Conditions") if isinstance(status, dict) else None
    return [c["Message"] for c in objects(conditions) if told(c.get("Message"))]
