"""By what a server's disk is to open itself, out of its policy in the inventory. Pure."""

from metal.model.fleet import Inventory
from metal.model.keys import Pin, TangPin, TpmPin

TANG_PACKAGES = ("clevis-luks", "clevis-initramfs")
TPM_PACKAGES = ("clevis-tpm2",)


def wanted_pins(inventory: Inventory, server: str) -> tuple[Pin, ...]:
    """Each of them suffices; empty where a person gives the key at every boot."""
    unlock = inventory.servers[server].unlock
    pins: list[Pin] = []
    if "tang" in unlock.by:
        tang = [inventory.tang[name] for name in unlock.tang]
        servers = tuple((one.url, one.thumbprint) for one in tang)
        pins.append(TangPin(unlock.threshold, servers))
    if "tpm2" in unlock.by:
        pins.append(TpmPin(tuple(sorted(unlock.pcrs))))
    return tuple(pins)


def policy_pins(inventory: Inventory, server: str) -> tuple[Pin, ...]:
    """As `wanted_pins`; none for a server whose keys are kept and which the inventory has lost."""
    return wanted_pins(inventory, server) if server in inventory.servers else ()


def pin_packages(inventory: Inventory, server: str) -> tuple[str, ...]:
    """What its initramfs needs to open the disk so."""
    by = inventory.servers[server].unlock.by
    tang = TANG_PACKAGES if "tang" in by or "tpm2" in by else ()
    return (*tang, *(TPM_PACKAGES if "tpm2" in by else ()))
