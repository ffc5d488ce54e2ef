"""The real live system on a whole machine: burnt in to a grade, then wiped."""

import os
import time
from typing import Any

import pytest

from metal.burnin.flow import Wishes
from metal.cli.render.burnin import worked_lines
from metal.controller import live_work
from metal.controller.erasures import verify
from metal.controller.progress import silent
from metal.model.life import Life

pytestmark = pytest.mark.lab


def test_burn_in_and_wipe(workspace: Any) -> None:
    qemu, began = workspace.qemu, time.monotonic()
    sata, nvme = qemu.disks
    (one,) = live_work.burn_in(workspace, ["alba1"], Wishes(1, overwrite=True), progress=silent)
    print(f"burn-in of one minute: {time.monotonic() - began:.0f} s from power-on to the report")
    assert one.burnin is not None, (one.error, qemu.console[-3000:])
    print("\n".join(worked_lines([one], 100)))
    evidence = one.burnin.evidence
    assert evidence.memory and evidence.memory.errors == 0 and evidence.memory.mib > 600
    assert evidence.cpu and evidence.cpu.failures == 0
    assert evidence.disks is not None
    assert {d.serial: d.blank for d in evidence.disks} == {sata: True, nvme: True}
    for disk in evidence.disks:
        assert disk.smart and disk.read_errors == 0 and (disk.read_mib_s or 0) > 0
        assert disk.mismatches == 0 and (disk.written_mib or 0) > 0, disk
    assert evidence.kernel and evidence.kernel.machine_checks == ()
    assert evidence.nics and evidence.nics[0].mac == qemu.mac and (evidence.network_mib_s or 0) > 1
    assert one.burnin.appraisal.grade in ("A", "B"), one.burnin.appraisal.marks
    assert workspace.life("alba1") is Life.TESTED
    assert qemu.power == "off"
    for file in qemu.disks.values():
        assert not any(file.read_bytes()), "what the burn-in wrote is zero again"
        file.write_bytes(os.urandom(file.stat().st_size))

    began = time.monotonic()
    (wiped,) = live_work.wipe(workspace, {"alba1": (sata, nvme)}, "ana", progress=silent)
    print(f"wipe of both disks: {time.monotonic() - began:.0f} s")
    assert wiped.ok, (wiped.error, qemu.console[-3000:])
    for file in qemu.disks.values():
        assert not any(file.read_bytes())
    records = [verify(workspace, file) for file in wiped.records]
    assert [(r.disk_serial, r.result, r.method, r.verified) for r in records if r] == [
        (sata, "erased", "overwrite with zeros", "zeros"),
        (nvme, "erased", "NVMe format, user data erase", "zeros"),
    ]
