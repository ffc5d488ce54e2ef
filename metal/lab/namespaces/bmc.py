"""A server's BMC: OpenIPMI's simulator, its power button wired to the real thing."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from metal.lab.namespaces.wire import Names

USER = "metal"
CPU_WELL, CPU_ILL = 40, 85
"""Degrees; above 80 is critical."""
_CONFIG = """\
name "{name}"
set_working_mc 0x20
  startlan 1
    addr {address} 623
    priv_limit admin
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid {guid}
  endlan
  chassis_control "{chassis} {folder} {switch}"
  user 1 false "" "" user 10 none md2 md5 straight
  user 2 true "{user}" "{password}" admin 10 none md2 md5 straight
"""
_COMMANDS = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
sensor_add 0x20 0 1 0x01 0x01 poll 500 file "{folder}/cpu-temperature"
sensor_set_threshold 0x20 0 1 readable 111000 0x60 0x50 0x46 0 0 0
sensor_set_event_support 0x20 0 1 enable scanning per-state {events} {events} {events} {events}
{sdr}
mc_enable 0x20
"""
_EVENTS = "000111111000000"


@dataclass(frozen=True)
class Bmc:
    """One server's BMC, its files in `folder`."""

    name: str
    folder: Path
    names: Names
    number: int

    @property
    def address(self) -> str:
        return self.names.bmc_address(self.number)

    def write(self, password: str) -> None:
        config = _CONFIG.format(
            name=self.name,
            address=self.address,
            guid=f"{self.names.lab:08x}{self.number:024x}",
            chassis=self.folder / "chassis.sh",
            folder=self.folder,
            switch=self.names.switch,
            user=USER,
            password=password,
        )
        _private(self.folder / "bmc.conf", config)
        commands = _COMMANDS.format(folder=self.folder, sdr=_sdr("CPU Temp"), events=_EVENTS)
        (self.folder / "bmc.commands").write_text(commands)
        (self.folder / "bmc").mkdir()
        self.heat(CPU_WELL)

    def heat(self, degrees: int) -> None:
        """What the CPU's sensor reads from now on."""
        (self.folder / "cpu-temperature").write_text(f"{degrees}\n")

    def start(self) -> int:
        """Its process id. It answers as soon as its socket is there."""
        # It keeps its sensors' records, and would add them again to those of an earlier start.
        for kept in (self.folder / "bmc").rglob("sdr.*"):
            kept.unlink()
        words = ["ip", "netns", "exec", self.names.bmc(self.name), "ipmi_sim", "-n"]
        words += ["-c", str(self.folder / "bmc.conf"), "-f", str(self.folder / "bmc.commands")]
        with (self.folder / "bmc.log").open("ab") as log:
            process = subprocess.Popen(
                [*words, "-s", str(self.folder / "bmc")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (self.folder / "bmc.pid").write_text(f"{process.pid}\n")
        return process.pid


def _sdr(name: str) -> str:
    """A full sensor record: an analog temperature in °C with upper thresholds."""
    body = bytes(
        [
            *(0x20, 0x00, 0x01, 0x03, 0x01, 0x7F, 0x68, 0x01, 0x01),
            *(0x80, 0x7A, 0x80, 0x7A, 0x38, 0x38, 0x00, 0x01, 0x00, 0x00),
            *(1, 0, 0, 0, 0, 0, 0, CPU_WELL, 90, 0, 0xFF, 0),
            *(0x60, 0x50, 0x46, 0, 0, 0, 2, 2, 0, 0, 0, 0xC0 | len(name)),
        ]
    )
    record = bytes([0, 0, 0x51, 0x01, len(body) + len(name)]) + body + name.encode()
    return "main_sdr_add 0x20 " + " ".join(f"0x{byte:02x}" for byte in record)


def _private(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text)
