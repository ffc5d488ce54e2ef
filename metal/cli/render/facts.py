"""What a server is: as one flat document, and as lines for a terminal."""

from collections.abc import Iterator
from typing import Any

from metal.cli.render.besides import NOTHING, Besides
from metal.cli.render.hang import hanging
from metal.cli.render.untold import reasons
from metal.model.facts import Account, Dimm, Drive, Facts, Health
from metal.model.memory import modules_gib
from metal.tui.grid import safe

POWER = {"on": "On", "off": "Off"}
HEALTH: dict[Health, str] = {"ok": "OK", "warning": "Warning", "critical": "Critical"}
MEDIA = {"ssd": "SSD", "hdd": "HDD", "nvme": "SSD"}
LABEL = 14
"""Cells of the words on the left."""


def facts_document(facts: Facts) -> dict[str, Any]:
    """One server as JSON, in the words that Redfish itself uses; null where it is not known.

    Each null has its reason below "unknown".
    """
    document: dict[str, Any] = {
        "address": facts.address,
        "protocol": facts.protocol,
        "node": facts.node,
        "vendor": facts.vendor,
        "model": facts.model,
        "serial": facts.serial,
        "sku": facts.sku,
        "uuid": facts.uuid,
        "bios_version": facts.bios_version,
        "secure_boot": facts.secure_boot,
        "bmc_firmware": facts.bmc_firmware,
        "power_state": POWER.get(facts.power_state),
        "health": HEALTH.get(facts.health),
        "health_rollup": HEALTH.get(facts.health_rollup),
        "cpu": facts.cpu.model_dump(),
        "memory_gib": _plain(facts.memory_gib),
        "memory_installed_gib": modules_gib(facts),
        "dimms": _each(facts.dimms, _dimm),
        "drives": _each(facts.drives, _drive),
        "nics": _each(facts.nics, lambda n: {"name": n.name, "mac": n.mac}),
        "psus": _each(facts.psus, lambda p: p.model_dump() | {"health": HEALTH.get(p.health)}),
        "reset_types": _list(facts.reset_types),
        "boot_targets": _list(facts.boot_targets),
        "boot_modes": _list(facts.boot_modes),
        "virtual_media": _list(facts.virtual_media),
        "controllers": _each(facts.controllers, lambda c: c.model_dump()),
        "accounts": _each(facts.accounts, lambda a: a.model_dump()),
        "logs": _list(facts.logs),
        "board_serial": facts.board_serial,
        "bmc_mac": facts.bmc_mac,
        "notes": list(facts.notes),
        "unknown": facts.unknown,
    }
    return document | {"unknown": reasons(document)}


def refusal_document(address: str, why: str, exit_code: int) -> dict[str, Any]:
    """An address that gave no facts: why, and the exit code that stands for it."""
    return {"address": address, "refused": why, "exit_code": exit_code}


def facts_lines(facts: Facts, width: int = 80, more: Besides = NOTHING) -> list[str]:
    """One server for people; at the end what is not known, and why.

    `more`: what others know of it than its BMC.
    """
    lines = [
        line
        for label, told in _told(facts)
        for part in _labelled(label, (told, *more.texts.get(label, ())))
        for line in _line(*part, width)
    ]
    unknown = {key: why for key, why in facts.unknown.items() if key not in more.keys}
    if unknown:
        lines += ["", "Not known"]
        lines += [
            line
            for why, keys in _by_reason(unknown)
            for line in hanging("  ", f"{keys}: {why}", width)
        ]
    return lines


def _told(facts: Facts) -> Iterator[tuple[str, str]]:
    who = " ".join(filter(None, (facts.vendor, facts.model)))
    yield "server", who or "?"
    yield (
        "at",
        f"{facts.address}{f', system {facts.node}' if facts.node else ''} ({facts.protocol})",
    )
    names = {"serial": facts.serial, "sku": facts.sku, "uuid": facts.uuid}
    yield "known by", ", ".join(f"{k} {v}" for k, v in names.items() if v)
    parts = facts.health_rollup if facts.health_rollup != facts.health else "unknown"
    of_parts = f", of its parts {parts}" if parts != "unknown" else ""
    yield "state", f"power {facts.power_state}, health {facts.health}{of_parts}"
    versions = {"BIOS": facts.bios_version, "BMC": facts.bmc_firmware}
    said = [f"{k} {v}" for k, v in versions.items() if v]
    if facts.secure_boot is not None:
        said.append(f"Secure Boot {'on' if facts.secure_boot else 'off'}")
    yield "firmware", ", ".join(said)
    yield "processors", _cpu(facts)
    yield "memory", _memory(facts)
    yield from _labelled("drives", tuple(map(_drive_text, facts.drives or ())) or ("",))
    nics = tuple(f"{nic.mac}  {nic.name}" for nic in facts.nics or ())
    yield from _labelled("network", nics or ("",))
    yield "power supply", ", ".join(f"{p.name} ({p.health})" for p in facts.psus or ())
    yield "boots from", ", ".join(facts.boot_targets or ())
    yield "media slots", ", ".join(facts.virtual_media or ())
    yield "accounts", ", ".join(map(_account, facts.accounts or ()))


def _labelled(label: str, texts: tuple[str, ...]) -> list[tuple[str, str]]:
    """The label stands before the first of them alone, and where there is none before nothing."""
    said = [text for text in texts if text] or [""]
    return [("" if index else label, text) for index, text in enumerate(said)]


def _line(label: str, text: str, width: int) -> list[str]:
    return hanging(f"{label:<{LABEL}}", text, width) if text else []


def _account(account: Account) -> str:
    return (account.name or "(anonymous)") + (" (disabled)" if account.enabled is False else "")


def _cpu(facts: Facts) -> str:
    cpu = facts.cpu
    counts = (("sockets", cpu.sockets), ("cores", cpu.cores), ("threads", cpu.threads))
    numbers = ", ".join(f"{count} {what}" for what, count in counts if count)
    return " ".join(filter(None, (cpu.model, f"({numbers})" if numbers else "")))


def _memory(facts: Facts) -> str:
    """As its modules are made, and what the BMC counts where that is something else."""
    told, installed = facts.memory_gib, modules_gib(facts)
    if installed is None:
        return "" if told is None else f"{told:g} GiB"
    modules = f"{installed} GiB in {len(facts.dimms or ())} modules"
    return modules if told in (None, installed) else f"{modules}; the BMC counts {told:g} GiB"


def _drive_text(drive: Drive) -> str:
    size = f"{drive.size_bytes / 10**9:.0f} GB" if drive.size_bytes else "? GB"
    words = [size, drive.media or "", safe(drive.name)]
    words += [f"serial {drive.serial}"] if drive.serial else []
    words += [f"in {drive.slot}"] if drive.slot else []
    words += [f"{drive.wear_percent:g} % worn"] if drive.wear_percent else []
    words += ["FAILURE PREDICTED"] if drive.failing else []
    return "  ".join(filter(None, words))


def _by_reason(unknown: dict[str, str]) -> list[tuple[str, str]]:
    """Reasons with all that they hold for: most things are unknown for the same one."""
    reasons: dict[str, list[str]] = {}
    for key, why in unknown.items():
        reasons.setdefault(why, []).append(key)
    return [(why, ", ".join(keys)) for why, keys in reasons.items()]


def _dimm(dimm: Dimm) -> dict[str, Any]:
    return dimm.model_dump() | {"size_gib": _plain(dimm.size_gib)}


def _drive(drive: Drive) -> dict[str, Any]:
    return drive.model_dump() | {"media": MEDIA.get(drive.media or "")}


def _each(items: Any, shape: Any) -> list[dict[str, Any]] | None:
    return None if items is None else [shape(item) for item in items]


def _list(items: tuple[str, ...] | None) -> list[str] | None:
    return None if items is None else list(items)


def _plain(number: float | None) -> float | int | None:
    """48 and not 48.0."""
    return int(number) if number is not None and number == int(number) else number
