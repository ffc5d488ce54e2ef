"""Boot flags, table 28-14 parameter 5, as bytes and as what they mean."""

from metal.model.facts import BootDevice, BootOnce

SELECTORS: dict[BootDevice, tuple[int, ...]] = {"network": (1,), "media": (5, 8), "disk": (2,)}
"""Device selectors by preference; 8 is the drive that is only redirected, 5 any CD."""
VALID, PERSISTENT, EFI = 0x80, 0x40, 0x20


def selector(flags: bytes | None) -> int:
    return flags[1] >> 2 & 0x0F if flags else 0


def device_of(flags: bytes | None) -> BootDevice | None:
    """Whatever the valid bit says."""
    number = selector(flags)
    return next((device for device, known in SELECTORS.items() if number in known), None)


def decode_flags(flags: bytes | None) -> BootOnce | None:
    """The valid bit first, as stale flags keep their device (I08); None for the usual order."""
    device = device_of(flags)
    if device is None or not flags or flags[0] & (VALID | PERSISTENT) != VALID:
        return None
    return BootOnce(device=device, mode="uefi" if flags[0] & EFI else "bios")
