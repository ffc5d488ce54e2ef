"""A lab of whole machines in a folder, up until it is told to end.

Its daemon (`python -m metal.lab.machines.daemon`) holds the wire and all that runs on it; this
machine gets an address in each of the wire's networks, so that `metal -C FOLDER` works as ever.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Literal

from metal.inventory.apt import apt_mirror
from metal.lab.machines.machine import OVMF, Machine
from metal.lab.machines.own import copy_site
from metal.lab.machines.wire import until_said
from metal.lab.machines.workspace import (
    ANNOUNCED,
    BMC_OURS,
    DOOR,
    OURS,
    Plan,
    address_of,
    write,
)
from metal.lab.topology import MACHINES, check_empty
from metal.model.base import Frozen
from metal.model.errors import Refused

DAEMON = "metal.lab.machines.daemon"
READY_SECONDS = 60.0
KINDS: tuple[tuple[str, Literal["bios", "efi"], bool], ...] = (
    ("bios", "bios", False),
    ("uefi", "efi", False),
    ("tpm", "efi", True),
)
"""Name, firmware, whether it has a TPM."""
NEEDED = {
    "ip": "iproute2",
    "qemu-system-x86_64": "qemu-system-x86",
    "swtpm": "swtpm",
    "dnsmasq": "dnsmasq-base",
    "mmdebstrap": "mmdebstrap",
    "zstd": "zstd",
    "ssh-keygen": "openssh-client",
}
FILES = {"/usr/lib/ipxe/snponly.efi": "ipxe", str(OVMF / "OVMF_CODE_4M.fd"): "ovmf"}


class MachineSeen(Frozen):
    firmware: str
    power: str
    """The last that its BMC did with it."""
    address: str
    bmc: str
    console: Path
    """What it printed on its serial port."""


class MachinesStatus(Frozen):
    folder: Path
    machines: dict[str, MachineSeen]
    inside: str = ""
    """The network namespace in which they answer; "": here too."""


SBIN = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def why_not() -> str:
    """Why no such lab can run here; "" when it can, as far as that can be told beforehand."""
    if os.geteuid() != 0:
        return "only root may make namespaces"
    lacking = {p for tool, p in NEEDED.items() if not shutil.which(tool, path=SBIN)}
    lacking |= {package for file, package in FILES.items() if not Path(file).is_file()}
    if lacking:
        return f"missing: apt install {' '.join(sorted(lacking))}"
    return "" if apt_mirror() else "its apt sources name no Debian mirror"


def up(folder: Path, source: Path | None = None, site: str = "") -> MachinesStatus:
    """Machines that are off, their BMCs, the boot service, and a workspace, in the new `folder`.

    With `source` they are the servers of one `site` of that workspace. Refused where the folder
    holds anything, or no such lab can run; nothing is left then.
    """
    folder = folder.absolute()
    check_empty(folder)
    if why := why_not():
        raise Refused(why, where="this machine", mend="as root; apt install what is missing")
    try:
        if source:
            copy_site(source, site, folder)
        else:
            _write(folder)
        _start(folder)
    except BaseException:
        down(folder)
        raise
    return status(folder)


def machines(folder: Path) -> list[Machine]:
    found = (folder / "lab").glob("*/machine.json")
    return sorted((Machine.read(file.parent) for file in found), key=lambda m: m.bmc)


def status(folder: Path) -> MachinesStatus:
    """Refused where no such lab is up."""
    folder = folder.absolute()
    if not (folder / MACHINES).exists():
        raise Refused(
            "no lab of machines here",
            where=str(folder),
            mend="start one: `metal lab up --engine machines FOLDER`",
        )
    wire: str = json.loads((folder / MACHINES).read_text())["wire"]
    return MachinesStatus(
        folder=folder,
        machines={m.name: _seen(m) for m in machines(folder)},
        inside="" if Plan.read(folder).door else wire,
    )


def down(folder: Path) -> None:
    """Nothing of it is left: no process, namespace, cable or file."""
    folder = folder.absolute()
    mark = folder / MACHINES
    if mark.exists():
        told = json.loads(mark.read_text())
        _end(told["daemon"])
        _clear(told["wire"])
    shutil.rmtree(folder, ignore_errors=True)


def _seen(machine: Machine) -> MachineSeen:
    log = machine.folder / "power.log"
    last = log.read_text().splitlines()[-1:] if log.exists() else []
    return MachineSeen(
        firmware=("BIOS" if machine.firmware == "bios" else "UEFI") + (", TPM" * machine.tpm),
        power=last[0].partition(" ")[2] if last else "off, as it was delivered",
        address=address_of(machine),
        bmc=machine.bmc,
        console=machine.folder / "console.log",
    )


def _write(folder: Path) -> None:
    (folder / "lab").mkdir(parents=True)
    key = folder / "lab" / "administrator"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    made = []
    for number, (name, firmware, tpm) in enumerate(KINDS):
        machine = Machine(
            name=name,
            folder=folder / "lab" / name,
            firmware=firmware,
            mac=f"52:54:00:77:02:{number:02x}",
            uuid=str(uuid.uuid4()),
            serial=f"DISK{number:04}",
            bmc=f"10.78.0.{11 + number}",
            password=secrets.token_urlsafe(12)[:16],
            tap=f"tap{number}",
            tpm=tpm,
        )
        machine.write()
        made.append(machine)
    public = key.with_suffix(".pub").read_text().strip()
    mirror = apt_mirror()
    assert mirror is not None, "why_not told it"
    write(folder, made, mirror=mirror, key=public, packages='["clevis-luks", "clevis-tpm2"]')
    bmcs = tuple(f"{machine.bmc}/24" for machine in made)
    Plan(site="here", addresses=(OURS, BMC_OURS, *bmcs, ANNOUNCED), door=DOOR).write(folder)


def _start(folder: Path) -> None:
    """Its daemon, which outlives us; returns once all of it answers."""
    log = folder / "lab" / "daemon.log"
    with log.open("ab") as file:
        daemon = subprocess.Popen(
            [sys.executable, "-m", DAEMON, str(folder)],
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    until_said(daemon, log, "up\n", READY_SECONDS)


def _end(pid: int) -> None:
    """The daemon, if it is still that: ids are used again. It takes its machines along."""

    def runs() -> bool:
        try:
            return DAEMON.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False

    if runs():
        os.kill(pid, signal.SIGTERM)
    while runs():
        time.sleep(0.05)


def _clear(wire: str) -> None:
    """What a daemon that was killed left on its wire."""
    pids = subprocess.run(["ip", "netns", "pids", wire], capture_output=True, text=True)
    for pid in pids.stdout.split():
        os.kill(int(pid), signal.SIGKILL)
    subprocess.run(["ip", "netns", "delete", wire], capture_output=True)
