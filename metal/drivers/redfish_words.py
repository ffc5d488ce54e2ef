"""What a Redfish resource says of itself: present, powered, healthy, and what is wrong with it."""

from collections.abc import Iterator
from typing import Any

from metal.drivers.placeholders import cut, told
from metal.drivers.redfish_session import Body
from metal.drivers.redfish_shape import objects
from metal.model.facts import Health, Power
from metal.model.visible import UNSEEN

WORST_FIRST: tuple[Health, ...] = ("critical", "warning", "ok")
NAMELESS = "nameless"
ABSENT = {"absent", "notpresent", "emptyornotinstalled"}


def present(resource: Any) -> bool:
    """Empty sockets, bays and slots are listed too: as Absent."""
    if not isinstance(resource, dict):
        return False
    status = resource.get("Status")
    said = [status.get("State") if isinstance(status, dict) else status]
    # HPE and Fujitsu say it of memory in words of their own.
    for holder in (resource, *oem_parts(resource)):
        said += [holder.get("DIMMStatus"), holder.get("SignalStatus")]
    return not any(str(word).lower() in ABSENT for word in said)


def oem_parts(resource: Body) -> list[Body]:
    """The makers' own parts below Oem."""
    oem = resource.get("Oem")
    return [v for v in oem.values() if isinstance(v, dict)] if isinstance(oem, dict) else []


def holders(resource: Body) -> Iterator[Body]:
    """The resource, its makers' parts, and what these hold: where one of its facts may stand."""
    yield resource
    for part in oem_parts(resource):
        yield from (part, *objects(list(part.values())))


def name_of(resource: Body, *keys: str) -> str:
    """What people call it: the first of `keys` (Name) that it tells, else its id, else the last
    part of its path."""
    for key in keys or ("Name",):
        if name := told(resource.get(key)):
            return name
    return id_of(resource) or told(resource.get("Name")) or NAMELESS


def id_of(resource: Body) -> str | None:
    """Some write it as a number, and some leave it to the path."""
    for key in ("Id", "MemberId"):
        said = resource.get(key)
        text = UNSEEN.sub("", str(said)).strip() if isinstance(said, str | int) else ""
        if text and not isinstance(said, bool):
            return cut(text)
    path = resource.get("@odata.id")
    last = path.rstrip("/").rpartition("/")[2] if isinstance(path, str) else ""
    return cut(last) or None


def power_of(system: Body) -> Power:
    """Only a plain On or Off is taken for one; PoweringOff is not off yet."""
    states: dict[Any, Power] = {"on": "on", "off": "off"}
    return states.get(str(system.get("PowerState")).strip().lower(), "unknown")


def health_of(resource: Body) -> Health:
    """The worst of its own health and that of its parts."""
    return _worst({own_health(resource), rolled_up(resource)})


def own_health(resource: Body) -> Health:
    """Without its parts'."""
    return _health(resource, "Health")


def told_health(resource: Body) -> Health:
    """Its own, else that of its parts: some tell only the one."""
    own = own_health(resource)
    return rolled_up(resource) if own == "unknown" else own


def rolled_up(resource: Body) -> Health:
    """With its parts'."""
    return _worst({_health(resource, key) for key in ("HealthRollup", "HealthRollUp")})


def _health(resource: Body, key: str) -> Health:
    status = resource.get("Status")
    said = str(status.get(key) or "").lower() if isinstance(status, dict) else ""
    return next((health for health in WORST_FIRST if health == said), "unknown")


def _worst(said: set[Health]) -> Health:
    return next((health for health in WORST_FIRST if health in said), "unknown")


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
    """What a resource complains of in Status.Conditions; that something is well again is none."""
    status = resource.get("Status")
    conditions = status.get("Conditions") if isinstance(status, dict) else None
    bad = [c for c in objects(conditions) if str(c.get("Severity")).lower() != "ok"]
    return [text for c in bad if (text := told(c.get("Message")))]
