"""What a disk says of itself: `smartctl -j -x` in its three dialects, read into one shape. Pure.

Formats: smartmontools 7.3 and 7.4. An attribute that a disk does not have is None, never zero.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from metal.model.base import Frozen

REALLOCATED, UNCORRECTABLE_TOLD, PENDING, OFFLINE_UNCORRECTABLE = 5, 187, 197, 198
WEAR = (231, 233, 202, 177, 173, 232)
"""Ids that makers use for the life that is left, as a normalized value: 100 new, 0 worn out."""
SSD_ONLY = 0
"""`rotation_rate` of an SSD."""


class DiskHealth(Frozen):
    passed: bool | None = None
    """The disk's own verdict."""
    failing: tuple[str, ...] = ()
    """Attributes below their maker's threshold now."""
    reallocated: int | None = None
    pending: int | None = None
    """Sectors that could not be read and wait to be written."""
    uncorrectable: int | None = None
    wear_percent: float | None = None
    spare_low: bool | None = None
    hours: int | None = None
    celsius: float | None = None
    self_test: Literal["passed", "failed"] | None = None
    """The newest in its own log."""

    @property
    def told(self) -> bool:
        """Whether it says anything that one could judge it by."""
        return self.passed is not None


def read_smart(smart: Mapping[str, Any] | None) -> DiskHealth:
    """What the JSON holds; an empty DiskHealth for one that has no SMART."""
    smart = smart or {}
    if "nvme_smart_health_information_log" in smart:
        return _nvme(smart)
    if _at(smart, "device", "protocol") == "SCSI" or "scsi_error_counter_log" in smart:
        return _scsi(smart)
    return _ata(smart)


def _ata(smart: Mapping[str, Any]) -> DiskHealth:
    table = _rows(smart, "ata_smart_attributes", "table")
    raw = {row.get("id"): _int(_at(row, "raw", "value")) for row in table}
    newest = next(iter(_rows(smart, "ata_smart_self_test_log", "standard", "table")), None)
    newest = newest or next(
        iter(_rows(smart, "ata_smart_self_test_log", "extended", "table")), None
    )
    uncorrectable = [raw.get(i) for i in (UNCORRECTABLE_TOLD, OFFLINE_UNCORRECTABLE)]
    return DiskHealth(
        passed=_bool(_at(smart, "smart_status", "passed")),
        failing=tuple(str(r.get("name")) for r in table if r.get("when_failed") == "now"),
        reallocated=raw.get(REALLOCATED),
        pending=raw.get(PENDING),
        uncorrectable=max((n for n in uncorrectable if n is not None), default=None),
        wear_percent=_ata_wear(smart, table),
        hours=_int(_at(smart, "power_on_time", "hours")),
        celsius=_number(_at(smart, "temperature", "current")),
        self_test=_passed(_at(newest or {}, "status", "passed")),
    )


def _ata_wear(smart: Mapping[str, Any], table: list[Mapping[str, Any]]) -> float | None:
    """From the device statistics where the disk keeps them, else from its maker's attribute."""
    for page in _rows(smart, "ata_device_statistics", "pages"):
        for row in _rows(page, "table"):
            if row.get("name") == "Percentage Used Endurance Indicator":
                return _number(row.get("value"))
    if smart.get("rotation_rate") != SSD_ONLY:
        return None
    values = {row.get("id"): _int(row.get("value")) for row in table}
    left = next((values[i] for i in WEAR if values.get(i) is not None), None)
    return None if left is None or left > 100 else 100.0 - left


def _nvme(smart: Mapping[str, Any]) -> DiskHealth:
    log = smart["nvme_smart_health_information_log"]
    spare, least = _int(log.get("available_spare")), _int(log.get("available_spare_threshold"))
    newest = next(iter(_rows(smart, "nvme_self_test_log", "table")), {})
    result = _int(_at(newest, "self_test_result", "value"))
    warning = _int(log.get("critical_warning"))
    return DiskHealth(
        passed=_bool(_at(smart, "smart_status", "passed")),
        failing=(f"critical warning {warning:#04x}",) if warning else (),
        uncorrectable=_int(log.get("media_errors")),
        wear_percent=_number(log.get("percentage_used")),
        spare_low=None if spare is None or least is None else spare < least,
        hours=_int(log.get("power_on_hours")),
        celsius=_number(log.get("temperature")),
        # 0: without error; 1, 2, 9: aborted, which says nothing; 3 to 7: failed.
        self_test=None if result is None or result in (1, 2, 8, 9) else _passed(result == 0),
    )


def _scsi(smart: Mapping[str, Any]) -> DiskHealth:
    counters = smart.get("scsi_error_counter_log") or {}
    totals = [
        _int(counter.get("total_uncorrected_errors"))
        for counter in counters.values()
        if isinstance(counter, Mapping)
    ]
    return DiskHealth(
        passed=_bool(_at(smart, "smart_status", "passed")),
        pending=_int(_at(smart, "scsi_pending_defects", "count")),
        reallocated=_int(smart.get("scsi_grown_defect_list")),
        uncorrectable=max((n for n in totals if n is not None), default=None),
        wear_percent=_number(smart.get("scsi_percentage_used_endurance_indicator")),
        hours=_int(_at(smart, "power_on_time", "hours")),
        celsius=_number(_at(smart, "temperature", "current")),
        self_test=_scsi_self_test(_at(smart, "scsi_self_test_0", "result")),
    )


def _scsi_self_test(result: Any) -> Literal["passed", "failed"] | None:
    """By its number (SPC-4: 0 passed, 1 and 2 aborted, 3 to 7 failed, 15 running); smartctl
    before 7.4 prints its words alone."""
    number = _int(_at(result, "value"))
    if number is not None:
        return None if number in (1, 2, 15) else _passed(number == 0)
    said = str(_at(result, "string") or "").lower()
    if "fail" in said:
        return "failed"
    return "passed" if said.startswith("completed") else None


def _at(body: Any, *path: str) -> Any:
    for key in path:
        body = body.get(key) if isinstance(body, Mapping) else None
    return body


def _rows(body: Any, *path: str) -> list[Mapping[str, Any]]:
    found = _at(body, *path)
    rows: Iterable[Any] = found if isinstance(found, list) else ()
    return [row for row in rows if isinstance(row, Mapping)]


def _int(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _bool(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _passed(value: Any) -> Literal["passed", "failed"] | None:
    return None if not isinstance(value, bool) else ("passed" if value else "failed")
