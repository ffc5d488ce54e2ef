"""The live system's agent, as far as it goes without a machine: what it reads, and what it does
to a disk (a file that is opened as one)."""

from __future__ import annotations

import errno
import json
import mmap
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from metal.burnin.disks import disk_marks
from metal.live.agent import cpu, disks, machine, memory, sensors, smart, surface, system, wipe
from metal.live.agent.__main__ import arguments, perform
from metal.live.agent.disks import Disk, smart_name
from metal.live.agent.programs import Done
from metal.live.agent.talk import Gone, Talk
from metal.model.burnin import DiskTest

MIB = 2**20


@pytest.fixture
def disk(tmp_path: Path) -> str:
    """12 MiB of zeros on a file system that bears being read past the cache."""
    file = tmp_path / "disk"
    file.write_bytes(bytes(12 * MIB))
    try:
        with surface.opened(str(file)):
            return str(file)
    except OSError:
        pytest.skip("this file system knows no O_DIRECT")


def test_every_block_is_visited_once() -> None:
    for blocks in (1, 5, 63, 64, 65, 200, 1000):
        visited = [at for offsets in surface.places(blocks * MIB + 17) for at in offsets]
        assert sorted(visited) == [block * MIB for block in range(blocks)], blocks


def test_the_first_pass_is_spread_over_the_disk() -> None:
    first = next(surface.places(6400 * MIB))
    assert len(first) == surface.REGIONS
    assert (first[0], first[-1]) == (0, 6300 * MIB)


def test_samples_have_first_and_last() -> None:
    assert surface.samples(3 * MIB) == [0, MIB, 2 * MIB]
    many = surface.samples(100_000 * MIB)
    assert (len(many), many[0], many[-1]) == (256, 0, 99_999 * MIB)


def test_written_compared_and_zero_again(disk: str) -> None:
    passed, wrong = surface.write_and_compare(disk, 12 * MIB, lambda: False)
    assert (passed.blocks, passed.errors, wrong) == (12, 0, 0)
    assert passed.mib_s and passed.mib_s > 0
    assert surface.blank(disk, 12 * MIB) is True
    assert not any(Path(disk).read_bytes())


def test_a_disk_whose_cache_cannot_be_flushed_is_not_accepted(
    disk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It read well, and broke while it was written."""
    one = as_disk(disk, monkeypatch)
    monkeypatch.setattr(os, "fsync", broken)
    disks._guarded(one, ["S1"], time.monotonic() + 60)
    told = DiskTest.model_validate(one.told)
    assert (told.read_errors, told.mismatches) == (0, 0)
    assert told.write_errors == 2, "after the first pass, and at the end"
    marks = list(disk_marks([told], {}))
    assert "D" in [m.grade for m in marks if "writes failed" in m.what], marks


def test_a_disk_that_cannot_be_opened_for_writing_is_unknown(
    disk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = as_disk(disk, monkeypatch)
    opened = os.open

    def read_only(path: str, flags: int, *mode: int) -> int:
        mine = path == disk and flags & os.O_RDWR
        return broken() if mine else opened(path, flags, *mode)

    monkeypatch.setattr(os, "open", read_only)
    disks._guarded(one, ["S1"], time.monotonic() + 60)
    (mark,) = [
        m
        for m in disk_marks([DiskTest.model_validate(one.told | {"self_test": "passed"})], {})
        if "written" in m.what
    ]
    assert (mark.grade, "Input/output error" in mark.what) == ("unknown", True)


def as_disk(path: str, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """A file as a disk of the machine that nothing uses."""
    monkeypatch.setattr(disks, "in_use", lambda _disk: False)
    told = {"name": "sda", "serial": "S1", "size_bytes": 12 * MIB, "transport": "sata"}
    return Disk("sda", path, serial="S1", told=dict(told))


def broken(*_: Any) -> int:
    raise OSError(errno.EIO, "Input/output error")


def test_a_block_that_was_written_elsewhere_is_noticed(disk: str) -> None:
    seed, out, back = os.urandom(MIB), surface.buffer(), surface.buffer()
    surface.pattern(seed, 7 * MIB, out)
    with surface.opened(disk, write=True) as fd:
        os.pwritev(fd, [out], 8 * MIB)
        assert surface._holds(fd, back, out, 8 * MIB)
        surface.pattern(seed, 8 * MIB, out)
        assert not surface._holds(fd, back, out, 8 * MIB)
        wrong_bit: mmap.mmap = surface.buffer()
        surface.pattern(seed, 7 * MIB, wrong_bit)
        wrong_bit[MIB // 2] ^= 1
        assert not surface._holds(fd, back, wrong_bit, 8 * MIB)


def test_not_blank(disk: str) -> None:
    with Path(disk).open("r+b") as file:
        file.seek(12 * MIB - 512)
        file.write(b"GPT's second header")
    assert surface.blank(disk, 12 * MIB) is False


def test_reads_that_fail_are_counted(disk: str) -> None:
    passed = surface.scan(disk, 16 * MIB, lambda: False)  # the last 4 MiB are not there
    assert (passed.blocks, passed.errors) == (12, 4)


def test_overwritten_and_verified(disk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = 12 * MIB - 512
    os.truncate(disk, odd)
    Path(disk).write_bytes(os.urandom(odd))
    offsets = surface.samples(odd)
    before = wipe._digests(disk, offsets)
    assert len(before) == len(offsets)
    assert wipe._verify(disk, offsets, before) == "", "old data is seen"
    one = Disk("disk", disk, told={"size_bytes": odd, "transport": "sata"})
    said: list[float] = []
    assert wipe._overwrite(one, lambda fraction, _text: said.append(fraction)) == ""
    assert not any(Path(disk).read_bytes())
    assert wipe._verify(disk, offsets, before) == "zeros"


def test_a_new_key_is_seen_as_a_change(disk: str) -> None:
    Path(disk).write_bytes(os.urandom(12 * MIB))
    offsets = surface.samples(12 * MIB)
    before = wipe._digests(disk, offsets)
    Path(disk).write_bytes(os.urandom(12 * MIB))
    assert wipe._verify(disk, offsets, before) == "changed"
    with Path(disk).open("r+b") as file:
        file.write(b"one sector is enough" * 26)
    assert wipe._verify(disk, offsets, wipe._digests(disk, offsets)) == ""


HDPARM = """
/dev/sda:

ATA device, with non-removable media
\tModel Number:       Samsung SSD 860 PRO 512GB
Commands/features:
\tEnabled\tSupported:
\t   *\tSMART feature set
\t    \tSecurity Mode feature set
Security:
\tMaster password revision code = 65534
\t\tsupported
\tnot\tenabled
\tnot\tlocked
\t{frozen}frozen
\tnot\texpired: security count
\t\tsupported: enhanced erase
\t4min for SECURITY ERASE UNIT. 8min for ENHANCED SECURITY ERASE UNIT.
Logical Unit WWN Device Identifier: 5002538e40a0b0c0
"""


@pytest.mark.parametrize(("word", "frozen"), [("not\t", False), ("\t", True)])
def test_hdparm(word: str, frozen: bool) -> None:
    told = wipe.security(HDPARM.format(frozen=word))
    assert told == {
        "supported": True,
        "enabled": False,
        "locked": False,
        "frozen": frozen,
        "enhanced": True,
    }
    assert wipe.security("ATA device\n\tModel Number: QEMU HARDDISK\n") == {}
    assert (
        wipe.security(HDPARM.format(frozen=word).replace("\t\tsupported\n", "\tnot\tsupported\n"))
        == {}
    )


def test_kernel_log() -> None:
    told = machine.read_log(
        "\n".join(
            (
                "mce: [Hardware Error]: CPU 3: Machine Check Exception: 5 Bank 7: be00000000800400",
                "{1}[Hardware Error]: event severity: corrected",
                "I/O error, dev sdb, sector 2056 op 0x0:(READ) flags 0x80700 phys_seg 4",
                "critical medium error, dev sdc, sector 81",
                "I/O error, dev fd0, sector 0 op 0x0:(READ)",
                "I/O error, dev sr0, sector 0",
                "EDAC MC0: Giving out device to module skx_edac",
            )
        )
    )
    assert [len(told[k]) for k in ("machine_checks", "corrected", "io_errors")] == [1, 1, 2]


def test_edac(tmp_path: Path) -> None:
    assert machine.edac(tmp_path) is None, "nobody counts"
    dimm = tmp_path / "mc0" / "dimm3"
    dimm.mkdir(parents=True)
    for name, text in (("label", "CPU1_DIMM_A2\n"), ("ce_count", "17\n"), ("ue_count", "0\n")):
        (dimm / f"dimm_{name}").write_text(text)
    assert machine.edac(tmp_path) == [{"dimm": "CPU1_DIMM_A2", "corrected": 17, "uncorrected": 0}]


ETHTOOL = """Settings for eno1:
\tSupported ports: [ TP ]
\tSupported link modes:   1000baseT/Full
\t                        10000baseT/Full
\tSupported pause frame use: Symmetric
\tAdvertised link modes:  1000baseT/Full
\t                        10000baseT/Full
\tLink partner advertised link modes:  100baseT/Full
\t                                     1000baseT/Full
\tLink partner advertised pause frame use: No
\tSpeed: 100Mb/s
"""


def test_best_link() -> None:
    assert machine.best(ETHTOOL) == 1000
    assert machine.best(ETHTOOL.replace("Link partner advertised link", "Other")) is None
    assert machine.best("no data available") is None


def test_stressapptest() -> None:
    passed = "Stats: Found 0 hardware incidents\nStatus: PASS - please verify no corrected errors\n"
    assert memory.incidents(passed) == 0
    assert memory.incidents("Stats: Found 3 hardware incidents\nStatus: FAIL - test") == 3
    assert memory.incidents("Stats: Found 0 hardware incidents\nStatus: FAIL - process error") == 1
    assert memory.incidents("Process Error: Can't allocate memory\n") is None


def test_stress_ng() -> None:
    wrong = "stress-ng: fail:  [71] cpu: sqrt error detected on sqrt(1.0)\n"
    assert cpu.failures(wrong + "stress-ng: info:  [70] skipped: 0\nstress-ng: fail: [70] x\n") == 2
    assert cpu.failures("stress-ng: info:  [70] successful run completed in 15 secs\n") == 0


@pytest.mark.parametrize(
    ("body", "runs", "newest"),
    [
        ({"ata_smart_data": {"self_test": {"status": {"value": 249}}}}, True, None),
        (
            {"ata_smart_self_test_log": {"standard": {"table": [{"status": {"passed": True}}]}}},
            False,
            "passed",
        ),
        ({"nvme_self_test_log": {"current_self_test_operation": {"value": 1}}}, True, None),
        ({"nvme_self_test_log": {"table": [{"self_test_result": {"value": 7}}]}}, False, "failed"),
        ({"nvme_self_test_log": {"table": [{"self_test_result": {"value": 1}}]}}, False, None),
        ({"scsi_self_test_0": {"result": {"value": 15}}}, True, None),
        ({"scsi_self_test_0": {"result": {"string": "Completed"}}}, False, "passed"),
        ({}, False, None),
    ],
)
def test_self_tests(body: dict[str, Any], runs: bool, newest: str | None) -> None:
    assert (smart.running(body), smart.newest(body)) == (runs, newest)


RUNS: dict[str, Any] = {"ata_smart_data": {"self_test": {"status": {"value": 249}}}}
ABORTED = {"nvme_self_test_log": {"table": [{"self_test_result": {"value": 1}}]}}


@pytest.mark.parametrize(
    ("after", "code", "told"),
    [
        ([RUNS, RUNS], 0, ("unfinished", "it did not end in time")),
        ([RUNS, {}], 0, ("unfinished", "the disk's log holds no new one")),
        ([{}, RUNS], 0, ("unfinished", "it did not end in time")),
        ([{}, ABORTED], 0, ("unfinished", "the disk's log holds no new one")),
        ([{}, {}], 0, (None, "the disk did not begin it")),  # NVMe of before 1.3
        ([{}], 4, (None, "the disk does not take it")),
    ],
)
def test_a_self_test_that_began_and_did_not_end(
    monkeypatch: pytest.MonkeyPatch,
    after: list[dict[str, Any]],
    code: int,
    told: tuple[str | None, str],
) -> None:
    said = [{}, {}, *after]  # its log before, the answer to the order, and what is seen then
    monkeypatch.setattr(smart, "run_json", lambda *_: (said.pop(0), Done(code, "", "")))
    test = smart.SelfTest("/dev/nvme0", "nvme")
    assert test.result(time.monotonic() - 1) == told


def test_errors_of_a_card_whose_driver_began_anew() -> None:
    assert (machine.since(3, 5), machine.since(3, 1)) == (2, 1)


def test_names() -> None:
    assert [smart_name(x) for x in ("/dev/sda", "/dev/nvme0", "/dev/nvme1n1")] == [
        "sda",
        "nvme0n1",
        "nvme1n1",
    ]
    line = "initrd=initrd metal.url=http://[fd77::1]:8080 metal.job=x-_Y metal.mac=02:00 quiet"
    assert arguments(line) == {"url": "http://[fd77::1]:8080", "job": "x-_Y", "mac": "02:00"}


def test_sensors_of_this_machine_are_in_degrees() -> None:
    with sensors.Watch() as watch:
        pass
    assert all(-20 < one["celsius"] < 150 for one in watch.hottest.values())


class Wire:
    """Keeps what a Talk sends; hands out one job."""

    def __init__(self, job: dict[str, Any] | None) -> None:
        self.job, self.ends = job, list[dict[str, Any]]()


def talk_to(wire: Wire) -> Talk:
    class Told(Talk):
        def job(self) -> dict[str, Any]:
            if wire.job is None:
                raise Gone("410")
            return wire.job

        def end(self, said: dict[str, Any]) -> None:
            wire.ends.append(said)

    return Told("http://127.0.0.1:9", "token")


def test_a_defect_of_the_agent_is_told() -> None:
    wire = Wire({"kind": "burnin"})  # without its minutes
    assert perform(talk_to(wire), {}) == 0
    assert wire.ends == [{"ok": False, "why": "KeyError: 'minutes'"}]


def test_what_was_found_waits_for_a_controller_that_is_away(desk: Desk) -> None:
    """For longer than any person is away; then it is delivered, once."""
    pauses = list[float]()

    def until_it_is_back(seconds: float) -> None:
        pauses.append(seconds)
        if sum(pauses) > 3 * 3600:
            desk.there = True

    Talk(desk.url, "token", sleep=until_it_is_back).evidence("cpu", {"failures": 0})
    assert desk.told == [("/job/token/evidence/cpu", {"failures": 0})]
    assert max(pauses) == 30, "it is there soon after the controller"


def test_what_nobody_wants_any_more_is_not_held(desk: Desk) -> None:
    desk.there, desk.status = True, 404
    with pytest.raises(Gone):
        Talk(desk.url, "token").evidence("cpu", {})


class Desk:
    """A controller that is away until it is `there`."""

    def __init__(self) -> None:
        self.there, self.status = False, 200
        self.told = list[tuple[str, Any]]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if outer.there:
                    outer.told.append((self.path, body))
                self.send_response(outer.status if outer.there else 503)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def test_without_a_job_it_does_nothing() -> None:
    wire = Wire(None)
    assert perform(talk_to(wire), {}) == 3
    assert wire.ends == []


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("ID_NET_NAMING_SCHEME=v257\nID_NET_NAME_MAC=enx02\nID_NET_NAME_PATH=enp0s3\n", "enp0s3"),
        ("ID_NET_NAME_PATH=enp3s0f0\nID_NET_NAME_SLOT=ens1f0\n", "ens1f0"),
        ("ID_NET_NAME_PATH=enp3s0f0\nID_NET_NAME_ONBOARD=eno1\n", "eno1"),
        ("ID_NET_NAME_MAC=enx02\nID_NET_LABEL_ONBOARD=NIC1\n", None),
    ],
)
def test_a_card_gets_the_name_that_udev_will_give_it(told: str, name: str | None) -> None:
    assert system.predictable(told) == name
