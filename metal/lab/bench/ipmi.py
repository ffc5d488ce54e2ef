"""One BMC that speaks only IPMI: `metal enroll --dry-run` against what ipmitool needs for less."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from metal.lab.bench.bmcs import PASSWORD, USER, hardware
from metal.lab.bench.sweep import REPOSITORY, measured
from metal.lab.ipmi_bmc import IpmiBmc
from metal.lab.machine import Machine

ADDRESS = "127.93.9.1"
ASKED = ("mc info", "fru print", "sdr elist", "chassis status")


def ipmi() -> None:
    """CPU and time of the whole command, its start included."""
    machine = Machine("m1", hardware(1))
    bmc = IpmiBmc(machine, ADDRESS, 0, {USER: PASSWORD}, cipher_suite=3).start()
    secret = {"METAL_BMC_USER": USER, "METAL_BMC_PASSWORD": PASSWORD, "IPMI_PASSWORD": PASSWORD}
    environment = {**os.environ, **secret, "PYTHONPATH": str(REPOSITORY)}
    at = ["-I", "lanplus", "-C", "3", "-H", ADDRESS, "-p", str(bmc.port), "-U", USER, "-E"]
    tool = shutil.which("ipmitool")
    print(f"\n{'one BMC over IPMI':<40} {'wall s':>8} {'cpu s':>7} {'peak MiB':>9}")
    try:
        with tempfile.TemporaryDirectory() as name:
            for what in ASKED if tool else ():
                _line(
                    f"ipmitool {what}",
                    measured([str(tool), *at, *what.split()], Path(name), environment),
                )
            words = ["enroll", "--dry-run", "-o", "json", f"{ADDRESS}:{bmc.port}"]
            ran = measured([sys.executable, "-m", "metal", *words], Path(name), environment)
            _line("metal enroll --dry-run", ran)
    finally:
        bmc.stop()
    if not tool:
        print("ipmitool is not installed: nothing to compare with")


def _line(what: str, ran: tuple[float, float, float]) -> None:
    print(f"{what:<40} {ran[0]:8.2f} {ran[1]:7.2f} {ran[2]:9.0f}")
