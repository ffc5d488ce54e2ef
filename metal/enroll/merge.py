"""What Redfish and IPMI told of one machine, as one. Pure."""

from typing import Any

from metal.enroll.identity import compare
from metal.model.facts import Cpu, Facts

IPMI_TELLS = ("vendor", "model", "serial", "uuid", "bmc_firmware")
"""What is worth asking IPMI for; it is slow, and what else it tells comes along."""
NOT_ASKED = frozenset({"address", "protocol", "node", "unknown", "notes", "cpu"})


def lacking(facts: Facts) -> tuple[str, ...]:
    """The keys that IPMI may complete."""
    return tuple(key for key in IPMI_TELLS if getattr(facts, key) is None)


def merge(redfish: Facts, ipmi: Facts) -> Facts:
    """Redfish's facts, completed by what only IPMI told.

    Where both told something else, Redfish's stands and a note names both: which of them lies
    is for a person to find out.
    """
    took: dict[str, Any] = {
        key: told
        for key in Facts.model_fields
        if key not in NOT_ASKED
        and getattr(redfish, key) in (None, "unknown")
        and (told := getattr(ipmi, key)) not in (None, "unknown", ())
    }
    cpu = {k: v for k, v in redfish.cpu if v is not None}
    cpu_took = {k: v for k, v in ipmi.cpu if v is not None and k not in cpu}
    gained = {*took, *(f"cpu.{k}" for k in cpu_took)}
    return redfish.model_copy(
        update=took
        | {
            "protocol": "both",
            "cpu": Cpu(**cpu, **cpu_took),
            "unknown": {k: v for k, v in redfish.unknown.items() if k not in gained},
            "notes": (*redfish.notes, *disagreements(redfish, ipmi)),
        }
    )


def disagreements(redfish: Facts, ipmi: Facts) -> list[str]:
    """What the two protocols say differently of what can only be one thing."""
    said = [
        f"{key}: {getattr(redfish, key)} over Redfish, {getattr(ipmi, key)} over IPMI"
        for key, agree in compare(redfish, ipmi).items()
        if not agree
    ]
    powers = {redfish.power_state, ipmi.power_state}
    if powers == {"on", "off"}:
        said.append(f"power: {redfish.power_state} over Redfish, {ipmi.power_state} over IPMI")
    return said
