"""Whether KVM really runs a guest here: some clouds have a /dev/kvm that hangs every kernel."""

import os
import selectors
import subprocess
import time
from pathlib import Path

from metal.drivers.libvirt.domain import Accelerator
from metal.lab.namespaces.guest import READY, Guest

DEADLINE = 10.0


def accelerator(guest: Guest, kvm: Path = Path("/dev/kvm")) -> tuple[Accelerator, str]:
    """(what to run guests with, why): a guest is booted with KVM, and must speak in time."""
    if not os.access(kvm, os.R_OK | os.W_OK):
        return "tcg", f"no {kvm} here"
    if _boots(guest):
        return "kvm", "a guest boots with it"
    return "tcg", f"{kvm} is there, but a guest did not boot with it within {DEADLINE:g} s"


def _boots(guest: Guest) -> bool:
    words = ["qemu-system-x86_64", "-accel", "kvm", "-machine", "q35", "-m", "128"]
    words += ["-display", "none", "-nodefaults", "-no-reboot", "-serial", "stdio"]
    words += ["-kernel", str(guest.kernel), "-initrd", str(guest.initrd)]
    process = subprocess.Popen(
        [*words, "-append", guest.cmdline],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        return _says(process, READY.encode(), DEADLINE)
    finally:
        process.kill()
        process.wait()


def _says(process: "subprocess.Popen[bytes]", words: bytes, seconds: float) -> bool:
    assert process.stdout is not None
    deadline, said = time.monotonic() + seconds, b""
    with selectors.DefaultSelector() as waiting:
        waiting.register(process.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not waiting.select(left):
                return False
            more = os.read(process.stdout.fileno(), 65536)
            if not more:
                return False
            said += more
            if words in said:
                return True
    return False
