"""The law of silence: no piece of evidence can be missing, nothing or nonsense, and the server
accepted all the same. From the bodies as the live system posts them to the grade."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from metal.burnin.evidence import gather
from metal.burnin.grade import appraise
from metal.model.burnin import BmcSaid, DiskTest, Evidence
from tests.burnin.test_grade import GOOD

Path = tuple[str | int, ...]
DESCRIBES = {"name", "mac", "serial", "model", "size_bytes", "rotational", "transport", "blank"}
"""What tells parts apart, and whether they are brothers."""
MAY_LACK = {
    "driver", "link", "mbit", "best_mbit",  # of a card without a cable
    "throttled", "hottest", "critical", "celsius", "rpm",  # where the kernel has no driver
    "fans", "temperatures", "edac",
    "power_on_time", "hours",
    "said", "tool", "unfinished", "smart_why", "self_test_why", "read_why", "write_why",
}  # fmt: skip
"""What many sound servers cannot tell."""


def bodies() -> dict[str, Any]:
    """All that is well, as it is posted."""
    all_ = GOOD.model_dump(mode="json")
    told = {part: all_[part] for part in ("memory", "cpu", "kernel")}
    told["nics"] = {"nics": all_["nics"], "network_mib_s": all_["network_mib_s"]}
    told["sensors"] = {"fans": all_["fans"], "temperatures": all_["temperatures"]}
    told["disks"] = {"count": len(all_["disks"])}
    return told | {f"disk-{n:03d}": disk for n, disk in enumerate(all_["disks"])}


def judged(told: dict[str, Any], **more: Any) -> Any:
    bmc = BmcSaid(health="ok", log=(), watts=180)
    return appraise(gather(told, **({"minutes": 60, "bmc": bmc} | more)))


def paths(body: Any, at: Path = ()) -> Iterator[Path]:
    """Every place in it that holds something one could take away."""
    keys = body if isinstance(body, dict) else range(len(body)) if isinstance(body, list) else ()
    for key in keys:
        yield (*at, key)
        yield from paths(body[key], (*at, key))


PATHS = [
    path
    for path in paths(bodies())
    if not (DESCRIBES | MAY_LACK) & set(path) and path[:2] != ("nics", "nics", 0)
]
GONE = object()
NOTHINGS = [GONE, None, {}, [], "", float("nan"), -1]
"""Zero is another matter: of errors it is what one hopes for."""


def without(path: Path, value: Any) -> dict[str, Any]:
    told = copy.deepcopy(bodies())
    place: Any = told
    for key in path[:-1]:
        place = place[key]
    if value is GONE:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return told


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("memory", "seconds", 0.1),
        ("cpu", "seconds", 0.1),
        ("disk-000", "read_mib_s", 0.01),
    ],
)
def test_what_was_hardly_tested_is_not_accepted(part: str, key: str, value: float) -> None:
    assert judged(without((part, key), value)).verdict != "accept"


def test_what_cannot_be_a_figure_is_not_taken_for_a_cool_one() -> None:
    heat = [{"name": "Package", "celsius": float("nan"), "critical": 100.0}]
    assert judged(without(("sensors", "temperatures"), heat)).verdict != "accept"


def test_all_is_well() -> None:
    assert judged(bodies()).grade == "A"
    assert len(PATHS) > 40


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_nothing_that_is_missing_is_taken_for_well(path: Path) -> None:
    for value in NOTHINGS if len(path) > 1 else (GONE, {}):
        told = without(path, value)
        if told != bodies():
            assert judged(told).verdict != "accept", (path, value)


MEASURES = [
    ("memory", "seconds"), ("memory", "mib"), ("memory", "total_mib"), ("cpu", "seconds"),
    ("nics", "network_mib_s"), ("disks", "count"), ("disk-001", "read_mib_s"),
    ("disk-001", "written_mib"), ("disk-001", "write_mib_s"),
]  # fmt: skip


@pytest.mark.parametrize("path", MEASURES, ids=".".join)
def test_a_measure_of_zero_measured_nothing(path: Path) -> None:
    for value in (0, 0.0):
        assert judged(without(path, value)).verdict != "accept", path


@pytest.mark.parametrize("part", [("nics", "nics"), ("sensors", "fans"), ("cpu", "temperatures")])
def test_an_entry_that_cannot_be_read_is_not_left_out(part: tuple[str, str]) -> None:
    told = bodies()
    told[part[0]].setdefault(part[1], []).append({"x": 1})
    appraisal = judged(told)
    assert (appraisal.grade, appraisal.verdict) == ("unknown", "unknown")
    assert "not all that came can be read" in appraisal.marks[0].what


def test_a_bmc_that_did_not_tell() -> None:
    for bmc in (None, BmcSaid(health="unknown", log=()), BmcSaid(health="ok", log=None)):
        assert judged(bodies(), bmc=bmc).verdict == "unknown"


def test_a_live_system_that_ended_badly_after_its_last_word() -> None:
    appraisal = judged(bodies(), why="the live system did not get there: OSError")
    assert (appraisal.verdict, appraisal.marks[0].part) == ("unknown", "the end")


def test_what_was_kept_by_an_older_metal_can_be_read() -> None:
    kept = Evidence.model_validate(GOOD.model_dump(mode="json"))
    assert kept == GOOD
    old = DiskTest.model_validate({"name": "sda", "written_mib": 4, "mismatches": 0})
    assert old.write_errors is None
