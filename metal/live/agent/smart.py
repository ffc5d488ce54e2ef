"""What disks say of themselves: smartctl, also through RAID controllers, and self-tests."""

import time
from pathlib import Path
from typing import Any

from .programs import run_json

NOT_OPENED = 0b011
"""Bits of smartctl's exit code: its command line was wrong, or the device could not be opened."""
BEHIND = 16
"""Bays that are tried behind a controller that does not list them."""
HIDING = {"/dev/twa0": "3ware", "/dev/twe0": "3ware", "/dev/twl0": "3ware"}


def devices() -> list[tuple[str, str]]:
    """(path, type for -d) of all that smartctl finds, and of what it does not look for itself."""
    body, _ = run_json(["smartctl", "-j", "--scan-open"], 120)
    found = [(d["name"], d["type"]) for d in body.get("devices", []) if "open_error" not in d]
    for path, kind in HIDING.items():
        if Path(path).exists():
            found += _bays(path, kind)
    for block in sorted(Path("/sys/block").glob("sd*")):
        vendor, model = _word(block / "device/vendor"), _word(block / "device/model")
        if vendor in ("HP", "COMPAQ") and model.startswith("LOGICAL VOLUME"):
            found += [bay for bay in _bays(f"/dev/{block.name}", "cciss") if bay not in found]
            break
    return found


def _bays(path: str, kind: str) -> list[tuple[str, str]]:
    """Those behind a controller that answer."""
    return [
        (path, f"{kind},{bay}")
        for bay in range(BEHIND)
        if read(path, f"{kind},{bay}")[0] is not None
    ]


def _word(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


def read(path: str, kind: str) -> tuple[dict[str, Any] | None, str]:
    """(all that it tells, ""), or (None, why)."""
    body, done = run_json(["smartctl", "-j", "-x", "-d", kind, path], 120)
    if not body or done.code & NOT_OPENED or "serial_number" not in body:
        messages = body.get("smartctl", {}).get("messages", [])
        return None, str(messages[0]["string"]) if messages else done.said
    return body, ""


class SelfTest:
    """A short self-test that runs in the disk while other things are tested."""

    def __init__(self, path: str, kind: str) -> None:
        self._argv = ["-d", kind, path]
        self._before = _logs(self._now())
        _, done = run_json(["smartctl", "-j", "-t", "short", *self._argv])
        self.why = "" if done.code & 0b111 == 0 else "the disk does not take it"
        # Of an NVMe disk that has none, smartctl ends as if it had begun.
        self._begun = not self.why and running(self._now())

    def result(self, deadline: float) -> tuple[str | None, str]:
        """("passed" | "failed", ""), ("unfinished", why) for one that was seen to begin, or
        (None, why); `deadline` by time.monotonic()."""
        while not self.why:
            body = self._now()
            runs, logged = running(body), _logs(body) != self._before
            self._begun = self._begun or runs or logged
            told = newest(body) if logged else None
            if not runs:
                return (told, "") if told else self._no_end("the disk's log holds no new one")
            if time.monotonic() > deadline:
                return self._no_end("it did not end in time")
            time.sleep(2.0)
        return None, self.why

    def _no_end(self, why: str) -> tuple[str | None, str]:
        return ("unfinished", why) if self._begun else (None, "the disk did not begin it")

    def _now(self) -> dict[str, Any]:
        return run_json(["smartctl", "-j", "-c", "-l", "selftest", *self._argv])[0]


def running(body: dict[str, Any]) -> bool:
    ata = body.get("ata_smart_data", {}).get("self_test", {}).get("status", {}).get("value", 0)
    nvme = body.get("nvme_self_test_log", {}).get("current_self_test_operation", {}).get("value", 0)
    scsi = body.get("scsi_self_test_0", {}).get("result", {}).get("value", 0)
    return ata >> 4 == 15 or nvme not in (0, None) or scsi == 15


def newest(body: dict[str, Any]) -> str | None:
    """How the newest in its log ended; None for one that was aborted."""
    for log in ("standard", "extended"):
        table = body.get("ata_smart_self_test_log", {}).get(log, {}).get("table", [])
        if table and "passed" in table[0].get("status", {}):
            return "passed" if table[0]["status"]["passed"] else "failed"
    table = body.get("nvme_self_test_log", {}).get("table", [])
    first = table[0].get("self_test_result", {}) if table else {}
    first = first or body.get("scsi_self_test_0", {}).get("result", {})
    if "value" in first:
        return "passed" if first["value"] == 0 else "failed" if 3 <= first["value"] <= 7 else None
    said = str(first.get("string", "")).lower()
    return "failed" if "fail" in said else "passed" if said.startswith("completed") else None


def _logs(body: dict[str, Any]) -> list[Any]:
    names = ("ata_smart_self_test_log", "scsi_self_test_0")
    return [body.get("nvme_self_test_log", {}).get("table"), *(body.get(n) for n in names)]
