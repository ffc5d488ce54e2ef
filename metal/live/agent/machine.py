"""What the kernel says of the hardware: its log, memory errors by DIMM, network cards."""

import re
from pathlib import Path
from typing import Any

from .programs import run

EDAC, NET = Path("/sys/devices/system/edac/mc"), Path("/sys/class/net")
ERRORS = ("rx_errors", "tx_errors", "rx_crc_errors", "rx_frame_errors")
CHECK = re.compile(
    r"Machine Check Exception|\[Hardware Error\].*(Uncorrected|fatal)|Uncorrected hardware", re.I
)
CORRECTED = re.compile(
    r"\[Hardware Error\].*(Corrected|event severity: corrected)|AER: Corrected", re.I
)
IO = re.compile(
    r"(I/O error, dev |critical (?:medium|target) error, dev |Unrecovered read error)(\S*)"
)
NO_DISK = ("fd", "sr", "loop")


def log() -> dict[str, Any]:
    """{"machine_checks", "corrected", "io_errors", "edac"}, or {"why"}."""
    done = run(["dmesg", "--notime"])
    if done.code:
        return {"why": f"dmesg: {done.said}"}
    return read_log(done.out) | {"edac": edac()}


def read_log(text: str) -> dict[str, Any]:
    lines = text.splitlines()
    return {
        "machine_checks": [x for x in lines if CHECK.search(x)][:50],
        "corrected": [x for x in lines if CORRECTED.search(x) and not CHECK.search(x)][:50],
        "io_errors": [x for x in lines if _of_disk(x)][:50],
    }


def _of_disk(line: str) -> bool:
    found = IO.search(line)
    return found is not None and not found[2].startswith(NO_DISK)


def edac(root: Path = EDAC) -> list[dict[str, Any]] | None:
    """Errors of each DIMM; None where no driver counts them."""
    found = []
    for dimm in sorted(root.glob("mc*/dimm*")) + sorted(root.glob("mc*/rank*")):
        label = _text(dimm / "dimm_label") or f"{dimm.parent.name} {dimm.name}"
        counts = [_count(dimm / name) for name in ("dimm_ce_count", "dimm_ue_count")]
        if None not in counts:
            found.append({"dimm": label, "corrected": counts[0], "uncorrected": counts[1]})
    return found or None


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


def _count(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.isdigit() else None


def nic_errors() -> dict[str, int]:
    """Card → errors counted since the start."""
    return {
        card.name: sum(_count(card / "statistics" / name) or 0 for name in ERRORS)
        for card in NET.iterdir()
        if (card / "device").exists()
    }


def nics(before: dict[str, int]) -> list[dict[str, Any]]:
    """Every real card; errors since `before`."""
    after = nic_errors()
    return [_nic(NET / name, since(before.get(name, 0), after[name])) for name in sorted(after)]


def since(before: int, after: int) -> int:
    """A driver that starts its card anew counts from zero again."""
    return after - before if after >= before else after


def _nic(card: Path, errors: int) -> dict[str, Any]:
    carrier, speed = _text(card / "carrier"), _text(card / "speed")
    driver = card / "device" / "driver"
    return {
        "name": card.name,
        "mac": _text(card / "address"),
        "driver": driver.resolve().name if driver.exists() else None,
        "link": {"1": True, "0": False}.get(carrier),
        "mbit": int(speed) if speed.isdigit() and int(speed) > 0 else None,
        "best_mbit": best(run(["ethtool", card.name]).out),
        "errors": errors,
    }


def best(ethtool: str) -> int | None:
    """The fastest mode that both ends support: a card of 10 Gbit/s on a switch of 1 is no fault."""
    own = _modes(ethtool, "Supported link modes")
    other = _modes(ethtool, "Link partner advertised link modes")
    both = own & other if other else own
    return max(both, default=None) if other else None


def _modes(text: str, heading: str) -> set[int]:
    found = re.search(rf"{heading}:(.*?)(?=\n\t\S[^\n]*:|\Z)", text, re.DOTALL)
    return {int(n) for n in re.findall(r"(\d+)base", found[1])} if found else set()


def hardware() -> dict[str, Any]:
    """What the firmware says that is in the box, as dmidecode prints it, for people to look up."""
    done = run(["dmidecode", "-q", "-t", "system", "-t", "processor", "-t", "memory"])
    return {"dmidecode": done.out[:100_000]} if done.code == 0 else {"why": done.said}
