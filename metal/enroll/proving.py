"""What a BMC can really do, tried out once: its passport.

Each boot override is set, read back and taken back; nothing is switched on or off. A server that
runs an operating system of ours is only asked (`careful`): a start in the wrong second would go
astray.
"""

import math
import time
from collections.abc import Callable
from statistics import median
from typing import Literal

from metal.drivers.ports import Bmc
from metal.enroll.examine import Opened
from metal.model.errors import MetalError, Refused, Unreachable
from metal.model.facts import BootDevice, BootMode, BootOnce
from metal.model.passport import BootProof, Passport

TRIED: tuple[tuple[BootDevice, BootMode | None], ...] = (
    ("network", "uefi"),
    ("network", "bios"),
    ("http", "uefi"),
    ("media", None),
    ("disk", None),
)
TIMED = 3
"""Calls that are timed."""
CALLS_A_LOOK = 10
"""A look is a log-in, power, health and a log-out: at most so many calls."""
SHARE = 0.5
"""How much of its time a BMC may be busy with us: it has a server to mind."""
LEAST, MOST = 1.0, 120.0
"""Seconds between two looks: even the quickest is not asked more often than once a second, and
even the slowest is looked at each two minutes, as a failing server must be noticed."""

Console = Literal["ipmi-sol", "none"]


def poll_seconds(seconds_a_call: float) -> float:
    """How often a BMC may be looked at, from how long it takes for a call."""
    wanted = seconds_a_call * CALLS_A_LOOK / SHARE
    return min(MOST, max(LEAST, math.ceil(wanted * 10) / 10))


def prove(
    opened: Opened,
    was: BootOnce | None,
    *,
    other: Bmc | None,
    careful: str,
    now: str,
    clock: Callable[[], float] = time.monotonic,
) -> Passport:
    """The passport of an opened BMC; `other` is the same one over IPMI, beside Redfish.

    `was`: what the next boot was set to before, and is set to again. `careful`: why nothing may
    be set ("" if it may). `now`: ISO 8601 UTC.
    """
    bmc = opened.bmc
    seconds = _seconds_a_call(bmc, clock)
    boots, notes = ((), [f"boot methods not tried: {careful}"]) if careful else _boots(bmc, was)
    ipmi = other or (bmc if bmc.protocol == "ipmi" else None)
    console, why = (None, "") if careful else _console(ipmi)
    redfish = bmc.protocol == "redfish"
    return Passport(
        proven_at=now,
        protocols=_protocols(bmc, other),
        redfish_version=getattr(bmc, "version", None) if redfish else None,
        ipmi_version=getattr(ipmi, "version", None),
        cipher_suite=ipmi.cipher_suite if ipmi else None,
        tls=opened.access.tls if redfish else None,
        tls_version=getattr(bmc, "tls_version", None),
        console=console,
        boots=boots,
        virtual_media=opened.facts.virtual_media if opened.facts else None,
        seconds_a_call=round(seconds, 3),
        poll_seconds=poll_seconds(seconds),
        notes=(*notes, *filter(None, [why]), *_quirks(bmc, other)),
    )


def _protocols(bmc: Bmc, other: Bmc | None) -> tuple[Literal["redfish", "ipmi"], ...]:
    if bmc.protocol == "ipmi":
        return ("ipmi",)
    return ("redfish", "ipmi") if other else ("redfish",)


def _seconds_a_call(bmc: Bmc, clock: Callable[[], float]) -> float:
    """The median of a few small calls: one that met a busy moment says little."""
    took = []
    for _ in range(TIMED):
        begun = clock()
        bmc.power()
        took.append(clock() - begun)
    return median(took)


def _boots(bmc: Bmc, was: BootOnce | None) -> tuple[tuple[BootProof, ...], list[str]]:
    """(what was tried, what went wrong in setting it back)."""
    try:
        proofs = tuple(_tried(bmc, device, mode) for device, mode in TRIED)
    except Unreachable as error:
        why = _set_back(bmc, was)
        raise Unreachable(
            f"{error.what}; {why}" if why else error.what, where=error.where
        ) from error
    why = _set_back(bmc, was)
    return proofs, [why] if why else []


def _tried(bmc: Bmc, device: BootDevice, mode: BootMode | None) -> BootProof:
    """`ensure_boot_once` reads back: what it returns has stuck. No answer is no proof: raised."""
    try:
        bmc.ensure_boot_once(device, mode)
    except Unreachable:
        raise
    except MetalError as error:
        return BootProof(device=device, mode=mode, works=False, why=error.what)
    return BootProof(device=device, mode=mode, works=True)


def _set_back(bmc: Bmc, was: BootOnce | None) -> str:
    """ "" or why the next boot is not what it was."""
    try:
        if was:
            bmc.ensure_boot_once(was.device, was.mode)
        else:
            bmc.ensure_usual_boot()
    except MetalError as error:
        return f"the next boot could not be set back to what it was: {error.what}"
    return ""


def _console(ipmi: Bmc | None) -> tuple[Console | None, str]:
    """Opened and closed again; what it takes away it takes from nobody of ours."""
    if ipmi is None:
        return "none", ""
    try:
        ipmi.console().close()
    except Refused as error:
        return "none", f"console: {error.what}"
    except MetalError as error:
        return None, f"console: {error.what}"
    return "ipmi-sol", ""


def _quirks(*bmcs: Bmc | None) -> tuple[str, ...]:
    met = {quirk for bmc in bmcs for quirk in getattr(bmc, "quirks", ())}
    return (f"met {', '.join(sorted(met))} of docs/bmc-quirks.md",) if met else ()
