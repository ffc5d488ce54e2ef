"""A machine's BMC, as a process on its wire: python -m metal.lab.machines FOLDER.

The double of a BMC (metal/lab/ipmi_bmc.py, and redfish_bmc.py beside it where the machine has
that), with a real machine behind its power button:
OpenIPMI's simulator forgets that the boot device it was told is valid.
"""

import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from metal.lab import machine as simulated
from metal.lab.ipmi_bmc import IpmiBmc
from metal.lab.machines.machine import Machine
from metal.lab.machines.workspace import BMC_USER, CIPHER_SUITE
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.web import self_signed
from metal.model.facts import Cpu, Nic


class Button:
    """What power-on starts and power-off kills."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def __call__(self, button: simulated.Machine, boot: simulated.Boot) -> None:
        """One stretch of power: QEMU, and again QEMU where it restarts for the first time."""
        self._note(f"power on, from {boot.device}")
        ended = self._live(boot.device, boot.off)
        while ended == "restart" and not boot.off.is_set():
            self._note("restart, from disk")
            ended = self._live("disk", boot.off)
        self._note("power off")
        if not boot.off.is_set():
            button.power_off()

    def _live(self, device: str, off: threading.Event) -> str:
        machine = self._machine
        with ExitStack() as parts, (machine.folder / "qemu.log").open("ab") as log:
            if machine.tpm:
                parts.enter_context(_killed(subprocess.Popen(machine.tpm_words(), stderr=log)))
                _wait_for(machine.tpm_socket)
            qemu = subprocess.Popen(
                machine.qemu_words(device), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            parts.enter_context(_killed(qemu))
            while qemu.poll() is None and not off.wait(0.1):
                pass
            return "restart" if device == "network" and not off.is_set() else "off"

    def _note(self, what: str) -> None:
        with (self._machine.folder / "power.log").open("a") as file:
            file.write(f"{time.time():.1f} {what}\n")


class _killed:
    """The process does not outlive the `with` block."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def _wait_for(socket: Path) -> None:
    while not socket.exists():
        time.sleep(0.02)


def _redfish(
    button: simulated.Machine, machine: Machine, accounts: dict[str, str]
) -> RedfishBmc | None:
    """Beside IPMI, with the certificate that the inventory pins."""
    if machine.redfish_port is None:
        return None
    certificate = self_signed(machine.folder, "bmc", machine.bmc)
    return RedfishBmc(
        button, machine.bmc, machine.redfish_port, certificate, dict(accounts)
    ).start()


def main(folder: Path) -> None:
    machine = Machine.read(folder)
    nic = Nic(name="eth0", mac=machine.mac)
    hardware = simulated.Hardware(
        "QEMU", "Q35", machine.serial, machine.uuid, "1", "1", Cpu(), (), (), (nic,)
    )
    button = simulated.Machine(machine.name, hardware)
    button.on_boot = Button(machine)
    accounts = {BMC_USER: machine.password}
    suite = CIPHER_SUITE
    ipmi = IpmiBmc(button, machine.bmc, machine.ipmi_port, accounts, cipher_suite=suite).start()
    redfish = _redfish(button, machine, accounts)
    print("its BMC answers", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    ipmi.stop()
    if redfish:
        redfish.stop()
    button.power_off()
    for thread in threading.enumerate():
        if thread.name.startswith("boot-"):
            thread.join(10)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main(Path(sys.argv[1]))
