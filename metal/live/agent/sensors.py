"""Temperatures, fans and throttling, as the kernel tells them; the hottest of a while."""

import threading
from pathlib import Path
from typing import Any

HWMON, CPUS = Path("/sys/class/hwmon"), Path("/sys/devices/system/cpu")
OF_CPUS = ("coretemp", "k10temp", "k8temp", "fam15h_power", "zenpower")
EVERY = 2.0


def number(file: Path) -> float | None:
    try:
        return float(file.read_text())
    except (OSError, ValueError):
        return None


def text(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


def temperatures() -> list[dict[str, Any]]:
    """[{"chip", "name", "celsius", "critical"}]; hwmon counts in thousandths."""
    found = []
    for chip in sorted(HWMON.glob("hwmon*")):
        for file in sorted(chip.glob("temp*_input")):
            celsius, stem = number(file), file.name.removesuffix("_input")
            critical = number(chip / f"{stem}_crit")
            if celsius is None or not -20 < celsius / 1000 < 150:
                continue
            label = text(chip / f"{stem}_label") or stem
            found.append(
                {
                    "chip": text(chip / "name"),
                    "name": f"{text(chip / 'name')} {label}",
                    "celsius": celsius / 1000,
                    "critical": critical / 1000 if critical and critical > 0 else None,
                }
            )
    return found


def fans() -> list[dict[str, Any]] | None:
    """[{"name", "rpm"}]; None where the kernel knows of none."""
    found = []
    for chip in sorted(HWMON.glob("hwmon*")):
        for file in sorted(chip.glob("fan*_input")):
            rpm, stem = number(file), file.name.removesuffix("_input")
            if rpm is not None:
                found.append({"name": text(chip / f"{stem}_label") or stem, "rpm": int(rpm)})
    return found or None


def throttles() -> int | None:
    """How often cores and packages were slowed down since the start; None: nobody counts."""
    counts = [number(file) for file in CPUS.glob("cpu*/thermal_throttle/*_throttle_count")]
    known = [count for count in counts if count is not None]
    return int(sum(known)) if known else None


class Watch:
    """Keeps the highest temperature of each sensor while the `with` block lasts."""

    def __init__(self) -> None:
        self.hottest: dict[str, dict[str, Any]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._note()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._note()

    def of_cpus(self) -> tuple[float | None, float | None]:
        """(hottest, its critical temperature) of the processors."""
        mine = [one for one in self.hottest.values() if one["chip"] in OF_CPUS]
        top = max(mine, key=lambda one: one["celsius"], default=None)
        return (None, None) if top is None else (top["celsius"], top["critical"])

    def _look(self) -> None:
        while not self._over.wait(EVERY):
            self._note()

    def _note(self) -> None:
        for one in temperatures():
            before = self.hottest.get(one["name"])
            if before is None or one["celsius"] > before["celsius"]:
                self.hottest[one["name"]] = one
