"""Evidence → grade. Each fault alone as a case, and the law: more faults are never better."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metal.burnin.grade import appraise, worth
from metal.model.burnin import (
    BmcSaid,
    CpuTest,
    DiskTest,
    Edac,
    Evidence,
    Fan,
    KernelLog,
    MemoryTest,
    NicTest,
    Temperature,
)

GOOD_SMART = {"smart_status": {"passed": True}, "power_on_time": {"hours": 9000}}


def disk(serial: str, **more: Any) -> DiskTest:
    told: dict[str, Any] = {
        "name": f"sd{serial[-1].lower()}",
        "serial": serial,
        "size_bytes": 960 * 10**9,
        "rotational": False,
        "transport": "sata",
        "blank": True,
        "smart": GOOD_SMART,
        "self_test": "passed",
        "read_mib_s": 500.0,
        "read_errors": 0,
        "written_mib": 1024,
        "write_mib_s": 400.0,
        "write_errors": 0,
        "mismatches": 0,
    }
    return DiskTest.model_validate(told | more)


def kernel(**more: Any) -> KernelLog:
    return KernelLog.model_validate({"machine_checks": (), "corrected": (), "io_errors": ()} | more)


NIC = NicTest(name="eno1", mac="02:00:5e:00:00:01", link=True, mbit=1000, best_mbit=1000, errors=0)
GOOD = Evidence(
    minutes=60,
    memory=MemoryTest(tool="stressapptest", seconds=1200, mib=120_000, total_mib=128_000, errors=0),
    cpu=CpuTest(seconds=600, failures=0, throttled=0, hottest=71, critical=100),
    disks=(disk("SA"), disk("SB"), disk("SC")),
    nics=(NIC,),
    network_mib_s=110,
    temperatures=(Temperature(name="inlet", celsius=24, critical=47),),
    fans=(Fan(name="1", rpm=5400), Fan(name="2", rpm=5500)),
    kernel=kernel(edac=(Edac(dimm="A1", corrected=0, uncorrected=0),)),
    bmc=BmcSaid(health="ok", log=(), watts=180),
)


def change(**changes: Any) -> Evidence:
    return GOOD.model_copy(update=changes)


def first_disk(**changes: Any) -> Evidence:
    assert GOOD.disks
    return change(disks=(GOOD.disks[0].model_copy(update=changes), *GOOD.disks[1:]))


def smart(**changes: Any) -> Evidence:
    return first_disk(smart=GOOD_SMART | changes)


def dimm(corrected: int, uncorrected: int) -> Evidence:
    return change(
        kernel=kernel(edac=(Edac(dimm="A2", corrected=corrected, uncorrected=uncorrected),))
    )


def blind(*, cooling: bool = False) -> Evidence:
    """Its kernel has no driver for its sensors."""
    bmc = BmcSaid(health="ok", log=(), cooling=cooling)
    return change(fans=None, temperatures=(), cpu=CpuTest(seconds=600, failures=0), bmc=bmc)


DISK = "disk Bay 3, serial SA (sda)"
CASES: dict[str, tuple[Evidence, str, str, str]] = {
    # fault: evidence, grade, verdict, part named
    "none": (GOOD, "A", "accept", ""),
    "disk says it fails": (smart(smart_status={"passed": False}), "D", "repair", DISK),
    "sectors pending": (
        smart(ata_smart_attributes={"table": [{"id": 197, "raw": {"value": 8}}]}),
        "D",
        "repair",
        DISK,
    ),
    "few reallocated": (
        smart(ata_smart_attributes={"table": [{"id": 5, "raw": {"value": 3}}]}),
        "B",
        "accept",
        DISK,
    ),
    "many reallocated": (
        smart(ata_smart_attributes={"table": [{"id": 5, "raw": {"value": 300}}]}),
        "D",
        "repair",
        DISK,
    ),
    "worn SSD": (
        smart(nvme_smart_health_information_log={"percentage_used": 85}),
        "C",
        "accept",
        DISK,
    ),
    "self-test failed": (first_disk(self_test="failed"), "D", "repair", DISK),
    "slower than its brothers": (first_disk(read_mib_s=200.0), "C", "accept", DISK),
    "very slow": (first_disk(write_mib_s=20.0), "D", "repair", DISK),
    "reads fail": (first_disk(read_errors=3), "D", "repair", DISK),
    "reads back other than written": (first_disk(mismatches=1), "D", "repair", DISK),
    "writes fail": (
        first_disk(write_errors=1, write_why="Input/output error"),
        "D",
        "repair",
        DISK,
    ),
    "writing never began": (
        first_disk(written_mib=0, write_mib_s=None, write_errors=None, mismatches=None),
        "unknown",
        "unknown",
        DISK,
    ),
    "may not be written": (
        first_disk(
            written_mib=None,
            write_mib_s=None,
            write_errors=None,
            mismatches=None,
            write_why="it is not blank",
        ),
        "A",
        "accept",
        "",
    ),
    "self-test did not end": (
        first_disk(self_test="unfinished", self_test_why="it did not end in time"),
        "unknown",
        "unknown",
        DISK,
    ),
    "takes no self-test": (
        first_disk(self_test=None, self_test_why="the disk does not take it"),
        "B",
        "accept",
        DISK,
    ),
    "read for no time": (first_disk(read_mib_s=None), "unknown", "unknown", DISK),
    "disk tells no SMART": (
        first_disk(smart=None, smart_why="no such log"),
        "unknown",
        "unknown",
        DISK,
    ),
    "disk not read": (first_disk(read_errors=None, read_mib_s=None), "unknown", "unknown", DISK),
    "DIMM corrects a little": (dimm(2, 0), "C", "accept", "DIMM A2"),
    "DIMM corrects much": (dimm(500, 0), "D", "repair", "DIMM A2"),
    "DIMM fails": (dimm(0, 1), "D", "repair", "DIMM A2"),
    "memory errors, nobody knows where": (
        change(memory=GOOD.memory.model_copy(update={"errors": 4})),  # type: ignore[union-attr]
        "E",
        "repair",
        "memory",
    ),
    "nobody may have listened": (
        change(kernel=None, unheard="nothing was heard of it"),
        "unknown",
        "unknown",
        "machine",
    ),
    "little memory tested": (
        change(memory=GOOD.memory.model_copy(update={"mib": 1000})),  # type: ignore[union-attr]
        "unknown",
        "unknown",
        "memory",
    ),
    "CPU computes wrongly": (
        change(cpu=CpuTest(seconds=600, failures=1)),
        "F",
        "refuse",
        "processor",
    ),
    "throttled": (
        change(cpu=CpuTest(seconds=600, failures=0, throttled=9)),
        "C",
        "accept",
        "cooling",
    ),
    "hot": (
        change(cpu=CpuTest(seconds=600, failures=0, throttled=0, hottest=98, critical=100)),
        "C",
        "accept",
        "cooling",
    ),
    "machine check": (
        change(kernel=kernel(machine_checks=("mce: CPU 3: Machine Check Exception",))),
        "F",
        "refuse",
        "machine",
    ),
    "fan stands": (
        change(fans=(Fan(name="1", rpm=0), Fan(name="2", rpm=5000))),
        "C",
        "accept",
        "fan 1",
    ),
    "power supply": (
        change(
            bmc=BmcSaid(
                health="critical", reasons=("PSU 2: power supply failure detected",), log=()
            )
        ),
        "D",
        "repair",
        "PSU 2",
    ),
    "BMC critical without a word": (
        change(bmc=BmcSaid(health="critical", log=())),
        "D",
        "repair",
        "machine",
    ),
    "slow link": (
        change(nics=(NIC.model_copy(update={"mbit": 100}),)),
        "B",
        "accept",
        "network card eno1 (02:00:5e:00:00:01)",
    ),
    "died": (change(died_in="memory"), "F", "refuse", "machine"),
    "nothing downloaded": (change(network_mib_s=None), "unknown", "unknown", "network"),
    "no network card": (change(nics=()), "unknown", "unknown", "nics"),
    "BMC's log unread": (
        change(bmc=BmcSaid(health="ok", log=None)),
        "unknown",
        "unknown",
        "BMC's log",
    ),
    "nobody sees how it is cooled": (blind(), "unknown", "unknown", "cooling"),
    "its BMC alone sees how it is cooled": (blind(cooling=True), "A", "accept", ""),
    "ended badly": (
        change(unknown={"the end": "ValueError: 7"}),
        "unknown",
        "unknown",
        "the end",
    ),
    "no memory test": (change(memory=None), "unknown", "unknown", "memory"),
    "no disks": (change(disks=()), "unknown", "unknown", "disks"),
    "no kernel log": (change(kernel=None), "unknown", "unknown", "kernel"),
    "BMC silent": (change(bmc=None), "unknown", "unknown", "bmc"),
}


@pytest.mark.parametrize("case", CASES)
def test_fault(case: str) -> None:
    evidence, grade, verdict, part = CASES[case]
    appraisal = appraise(evidence, slots={"SA": "Bay 3"}, usable_gib=120)
    assert (appraisal.grade, appraisal.verdict) == (grade, verdict), appraisal.marks
    if part:
        assert part in [mark.part for mark in appraisal.marks if mark.grade == grade]
    if verdict == "repair":
        assert part in appraisal.repair


def test_three_parts_are_more_than_one_repair() -> None:
    assert GOOD.disks
    bad = [d.model_copy(update={"read_errors": 1}) for d in GOOD.disks]
    appraisal = appraise(change(disks=tuple(bad)))
    assert (appraisal.grade, appraisal.verdict, len(appraisal.repair)) == ("E", "repair", 3)


def test_watts() -> None:
    assert appraise(GOOD, usable_gib=120).watts_per_gib == 1.5
    assert appraise(GOOD).watts_per_gib is None
    silent = change(bmc=BmcSaid(health="ok", log=()))
    assert appraise(silent, usable_gib=120).watts_per_gib is None


FAULTS = {
    "memory": st.just(None) | st.integers(0, 9).map(lambda n: {"errors": n}),
    "cpu": st.just(None) | st.integers(0, 9).map(lambda n: {"failures": n, "throttled": n}),
    "nics": st.just(None),
    "kernel": st.just(None) | st.just({"io_errors": ("critical medium error, dev sda",)}),
    "bmc": st.just(None) | st.sampled_from(["warning", "critical"]).map(lambda h: {"health": h}),
    "died_in": st.sampled_from(["memory", "disks"]),
    "first disk": st.fixed_dictionaries(
        {},
        optional={
            "smart": st.just(None) | st.just({"smart_status": {"passed": False}}),
            "self_test": st.just(None) | st.just("failed"),
            "read_errors": st.just(None) | st.integers(1, 5),
            "mismatches": st.integers(1, 5),
            "read_mib_s": st.floats(1, 490),
        },
    ),
}


def worsened(evidence: Evidence, faults: dict[str, Any]) -> Evidence:
    for part, fault in faults.items():
        if part == "first disk":
            assert evidence.disks
            spoilt = evidence.disks[0].model_copy(update=fault)
            evidence = evidence.model_copy(update={"disks": (spoilt, *evidence.disks[1:])})
            continue
        old = getattr(evidence, part)
        new = old.model_copy(update=fault) if isinstance(fault, dict) else fault
        evidence = evidence.model_copy(update={part: new})
    return evidence


@given(st.fixed_dictionaries({}, optional=FAULTS), st.fixed_dictionaries({}, optional=FAULTS))
def test_more_faults_are_never_better(some: dict[str, Any], more: dict[str, Any]) -> None:
    before = worsened(GOOD, some)
    after = worsened(before, {part: fault for part, fault in more.items() if part not in some})
    assert worth(appraise(after).grade) >= worth(appraise(before).grade)
    if appraise(before).verdict == "repair":
        assert appraise(after).verdict != "accept"
