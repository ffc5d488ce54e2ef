"""What the next boot alone is from, over Redfish, read back and verified.

A 200 that did nothing (R07) and a 400 that worked (R08) are both seen, so each attempt is judged
by what the BMC shows afterwards. Sources: DSP2046, ComputerSystem.Boot; DSP0266 9.6 (settings).
"""

from collections.abc import Iterator
from typing import Any

from metal.drivers.placeholders import told
from metal.drivers.polling import became
from metal.drivers.redfish_answer import Answer, Body, link
from metal.drivers.redfish_shape import section, words
from metal.drivers.redfish_tree import Tree
from metal.model.errors import Failed, Refused
from metal.model.facts import BootDevice, BootMode, BootOnce

TARGETS: dict[BootDevice, tuple[str, ...]] = {
    "network": ("Pxe",),
    "http": ("UefiHttp",),
    "media": ("Cd", "CD/DVD", "UsbCd", "UefiCd"),
    "disk": ("Hdd", "UefiHdd"),
}
"""BootSourceOverrideTarget by preference; old Supermicro has names of its own."""
MODES: dict[BootMode, str] = {"bios": "Legacy", "uefi": "UEFI"}
SHOWS = 2.0
"""Seconds in which a BMC that said yes shows it."""
NAMES: dict[BootDevice, str] = {
    "network": "the network",
    "http": "HTTP",
    "media": "the virtual drive",
    "disk": "the disk",
}
SETUP = "enter the firmware's setup at the next start (F2, F9 or Del)"


def offered(tree: Tree, system: Body, what: str) -> tuple[str, ...] | None:
    """Values that a BMC lists for the override's Target or Mode; newer AMI firmware does so in
    the settings resource alone, an iLO 4 under an older name."""
    name = f"BootSourceOverride{what}@Redfish.AllowableValues"
    boot = section(system.get("Boot"))
    listed = words(boot.get(name))
    if not listed and what == "Target":
        listed = words(boot.get("BootSourceOverrideSupported"))
    settings = _settings(system)
    for body in tree.bodies(iter([settings])) if settings and not listed else ():
        listed = words(section(body.get("Boot")).get(name))
    return listed


def boot_once(tree: Tree) -> BootOnce | None:
    """What the next boot alone is set to; None for the usual order."""
    return next(_overrides(tree), None)


def ensure_boot_once(
    tree: Tree, device: BootDevice, mode: BootMode | None, settle: float
) -> BootOnce:
    """The next boot alone is from `device`; Failed when that does not stick."""
    if device == "http":
        if mode == "bios":
            raise Refused(
                "HTTP boot is there in UEFI mode only", where=tree.session.where, mend="use PXE"
            )
        mode = "uefi"
    if found := _set(tree, device, mode):
        return found
    answer: Answer | None = None
    for boot in _attempts(tree, device, mode):
        before, answer = answer, _patch(tree, boot)
        seconds = min(SHOWS, settle) if answer.ok else 0
        if became(lambda: _set(tree, device, mode) is not None, seconds):
            _note(tree, boot, before, answer)
            break
    if found := _set(tree, device, mode):
        return found
    raise _failure(tree, device, mode, answer)


def ensure_usual_boot(tree: Tree, settle: float) -> None:
    """The next boot goes by the usual order: what `ensure_boot_once` did is undone."""
    if boot_once(tree) is None:
        return
    answer = _patch(tree, {"BootSourceOverrideEnabled": "Disabled"})
    if not became(lambda: boot_once(tree) is None, min(SHOWS, settle)):
        answer = _patch(tree, {"BootSourceOverrideTarget": "None"})
    if not became(lambda: boot_once(tree) is None, min(SHOWS, settle)):
        raise Failed(
            f"the next boot stays what it was set to ({answer.complaint})",
            where=tree.session.where,
            mend="it is used up by one boot",
        )


def _attempts(tree: Tree, device: BootDevice, mode: BootMode | None) -> Iterator[dict[str, str]]:
    """What to send, in order: with the mode, as Supermicro falls back to legacy without (R05);
    then without, as HPE refuses it (R06)."""
    system = tree.system()
    for target in _targets(offered(tree, system, "Target"), device, mode):
        once = {"BootSourceOverrideTarget": target, "BootSourceOverrideEnabled": "Once"}
        if wanted := MODES[mode] if mode else _usual_mode(system):
            yield once | {"BootSourceOverrideMode": wanted}
        yield once


def _targets(
    listed: tuple[str, ...] | None, device: BootDevice, mode: BootMode | None
) -> list[str]:
    """Those the BMC lists; where it lists none of them the first, as lists are not to be
    trusted in either direction (R11)."""
    known = [t for t in TARGETS[device] if listed is None or t in listed]
    if mode == "uefi":
        known.sort(key=lambda t: not t.startswith("Uefi"))
    return known or [TARGETS[device][0]]


def _usual_mode(system: Body) -> str | None:
    """The mode it boots in anyway, so that leaving it out changes nothing (R05)."""
    shown = _boot(system).get("BootSourceOverrideMode")
    if shown in MODES.values():
        return str(shown)
    return "UEFI" if "supermicro" in str(system.get("Manufacturer")).lower() else None


def _patch(tree: Tree, boot: dict[str, str]) -> Answer:
    """To the settings resource where there is one, as the system is read-only then (R04)."""
    settings = _settings(tree.system())
    if settings:
        answer = tree.session.patch(settings, {"Boot": boot})
        if answer.ok:
            tree.session.met("R04")
            return answer
    return tree.session.patch(tree.system_path, {"Boot": boot})


def _note(tree: Tree, boot: dict[str, str], before: Answer | None, answer: Answer) -> None:
    if not answer.ok:
        tree.session.met("R08")
    elif before and not before.ok and "BootSourceOverrideMode" not in boot:
        tree.session.met("R06")


# ── Reading back ─────────────────────────────────────────────────────────────────────────────


def _set(tree: Tree, device: BootDevice, mode: BootMode | None) -> BootOnce | None:
    """The override, if it is the wanted one. A mode that is not told is not held against it."""
    for found in _overrides(tree):
        if found.device == device and (mode is None or found.mode in (None, mode)):
            return found
    return None


def _overrides(tree: Tree) -> Iterator[BootOnce]:
    """What the system says, then what its settings resource says is pending."""
    system = tree.system()
    settings = _settings(system)
    for body in [system, tree.session.get(settings)] if settings else [system]:
        boot = _boot(body)
        device = _device(boot.get("BootSourceOverrideTarget"))
        if device and boot.get("BootSourceOverrideEnabled") == "Once":
            yield BootOnce(device=device, mode=_mode(boot) or _bios_mode(tree, system))


def _device(target: Any) -> BootDevice | None:
    return next((device for device, names in TARGETS.items() if target in names), None)


def _mode(boot: Body) -> BootMode | None:
    shown = boot.get("BootSourceOverrideMode")
    if str(boot.get("BootSourceOverrideTarget")).startswith("Uefi"):
        return "uefi"
    return next((mode for mode, name in MODES.items() if name == shown), None)


def _bios_mode(tree: Tree, system: Body) -> BootMode | None:
    """Of the firmware's own settings, where the override has no mode (HPE, R10)."""
    attributes = tree.linked(system, "Bios").get("Attributes")
    text = told(attributes.get("BootMode")) if isinstance(attributes, dict) else None
    if text is None:
        return None
    return "uefi" if "uefi" in text.lower() and "legacy" not in text.lower() else "bios"


def _failure(
    tree: Tree, device: BootDevice, mode: BootMode | None, answer: Answer | None
) -> Failed:
    where, said = tree.session.where, answer.complaint if answer else "nothing was tried"
    other = next((o.mode for o in _overrides(tree) if o.device == device), None)
    if mode and other:
        tree.session.met("R10")
        return Failed(
            f"it boots in {other} mode, which its BMC does not change to {mode} ({said})",
            where=where,
            mend=f"{SETUP} and set the boot mode to {MODES[mode]} by hand, then repeat",
        )
    offers = offered(tree, tree.system(), "Target") or ()
    hint = f"it offers only {', '.join(offers)}: " if offers else ""
    if set(TARGETS[device]) & set(offers):
        tree.session.met("R07" if answer and answer.ok else "R11")
        hint = "it lists that among its boot targets, but lists are not to be trusted: "
    way = "boot it by PXE or from a virtual drive"
    return Failed(
        f"the BMC did not take {NAMES[device]} for the next boot ({said})",
        where=where,
        mend=hint + (way if device == "http" else f"{SETUP} and set the boot order by hand"),
    )


def _boot(body: Body) -> Body:
    boot = body.get("Boot")
    return boot if isinstance(boot, dict) else {}


def _settings(system: Body) -> str | None:
    pending = system.get("@Redfish.Settings")
    return link(pending.get("SettingsObject")) if isinstance(pending, dict) else None
