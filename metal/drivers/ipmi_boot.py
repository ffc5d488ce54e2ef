"""What the next boot alone is from, over IPMI, read back and verified.

Source: IPMI 2.0 rev. 1.1, 28.12 and 28.13; table 28-14, parameters 3 and 5.
"""

from collections.abc import Iterator
from typing import Any

from metal.drivers.ipmi_ask import ask, ask_if_known
from metal.drivers.ipmi_flags import EFI, SELECTORS, VALID, decode_flags, device_of, selector
from metal.model.errors import Failed, Refused
from metal.model.facts import BootDevice, BootMode, BootOnce

NAMES: dict[BootDevice, str] = {
    "network": "the network",
    "media": "the virtual drive",
    "disk": "the disk",
}
OTHERS = {3: "the disk in safe mode", 4: "diagnostics", 6: "the firmware's setup", 15: "floppy"}
UNLOCKED = 0x80
"""Bit of the answer's second byte: the parameter is marked invalid or locked."""
TIMEOUT_OFF = 0x08
"""Parameter 3: do not clear the flags when no boot follows within 60 s."""


def boot_once(command: Any) -> BootOnce | None:
    """The flags as the BMC has them."""
    return decode_flags(_flags(command))


def ensure_boot_once(
    command: Any, where: str, device: BootDevice, mode: BootMode | None
) -> BootOnce:
    """Without `mode` UEFI is asked for, and a BMC that does not keep it is no failure."""
    if device == "http":
        raise Refused(
            "IPMI cannot choose HTTP boot",
            where=where,
            mend="use PXE, or set HTTP boot first in the firmware's boot order by hand",
        )
    if (found := _set(command, device, mode)) is not None:
        return found
    # Else some BMCs drop the flags after 60 s; not all know how not to (I07).
    ask_if_known(command, 0, 8, 3, TIMEOUT_OFF)
    for flags in _attempts(device, mode):
        ask(command, 0, 8, 5, *flags)
        if (found := _set(command, device, mode)) is not None:
            return found
    raise _failure(command, where, device, mode)


def ensure_usual_boot(command: Any, where: str) -> None:
    """What `ensure_boot_once` set is taken back."""
    if boot_once(command) is None:
        return
    ask(command, 0, 8, 5, 0, 0, 0, 0, 0)
    if boot_once(command) is not None:
        raise Failed(
            "the next boot stays what it was set to", where=where, mend="one boot uses it up"
        )


def _attempts(device: BootDevice, mode: BootMode | None) -> Iterator[tuple[int, ...]]:
    """Data of parameter 5. Twice, as some keep the valid bit only when it was set before (I08)."""
    first = VALID | (0 if mode == "bios" else EFI)
    for number in SELECTORS[device]:
        yield first, number << 2, 0, 0, 0
        yield first, 0, 0, 0, 0
        yield first, number << 2, 0, 0, 0


def _set(command: Any, device: BootDevice, mode: BootMode | None) -> BootOnce | None:
    found = boot_once(command)
    wanted = found is not None and found.device == device and mode in (None, found.mode)
    return found if wanted else None


def _flags(command: Any) -> bytes | None:
    """Data 1 to 5 of parameter 5; None if the BMC has marked it invalid."""
    answer = ask(command, 0, 9, 5, 0, 0)
    return None if len(answer) < 4 or answer[1] & UNLOCKED else answer[2:]


def _failure(command: Any, where: str, device: BootDevice, mode: BootMode | None) -> Failed:
    flags, found = _flags(command), boot_once(command)
    said = "though it said yes"
    if found and found.device == device:
        said = f"in {mode} mode, though it said yes: it shows {found.mode}"
    elif flags and not flags[0] & VALID and device_of(flags) == device:
        said = "though it said yes: it shows the device, but as not valid"
    elif number := selector(flags):
        other = device_of(flags)
        name = NAMES[other] if other else OTHERS.get(number, f"device {number}")
        said = f"though it said yes: it shows {name}"  # I09
    return Failed(
        f"the BMC did not take {NAMES[device]} for the next boot {said}",
        where=where,
        mend="set the boot order in the firmware's setup by hand",
    )
