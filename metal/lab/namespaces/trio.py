"""The trio: three servers in namespaces, brought up, broken and taken down without a trace."""

import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metal.drivers.libvirt import Host, Libvirt, Patience
from metal.drivers.libvirt.domain import Accelerator, Boot, Machine
from metal.lab.namespaces import sshd, wire
from metal.lab.namespaces.accel import accelerator
from metal.lab.namespaces.bmc import CPU_ILL, CPU_WELL, Bmc
from metal.lab.namespaces.ceph import Ceph
from metal.lab.namespaces.ceph import missing as ceph_missing
from metal.lab.namespaces.guest import Guest, ensure_guest
from metal.lab.namespaces.server import Server
from metal.lab.namespaces.wire import Names
from metal.model.errors import BadInput, Failed, Refused

SERVERS = ("trio1", "trio2", "trio3")
NEEDED = {
    "ip": "iproute2",
    "unshare": "util-linux",
    "libvirtd": "libvirt-daemon-system",
    "qemu-system-x86_64": "qemu-system-x86",
    "ipmi_sim": "openipmi",
}
FAULTS = {
    "crash": "its power supply fails for a moment: all in it dies, and it stays off",
    "dead": "the same, and its BMC cannot switch it on again",
    "partition": "its network cable is pulled: it runs on, its BMC answers",
    "bmc-silent": "its BMC answers nobody",
    "dark": "server and BMC lose their power together",
    "hot": "its CPU's temperature is critical, its BMC says so",
    "repair": "everything is well again, and it is on",
}
UP_SECONDS = 30.0
LIBVIRT_PORT = 16509


class Trio:
    """A lab of namespaces in `folder`; `up` makes it, `Trio.of` finds it again."""

    def __init__(
        self,
        folder: Path,
        names: Names,
        accel: Accelerator,
        why: str,
        guest: Guest,
        password: str,
        *,
        ceph: bool = False,
    ) -> None:
        """`ceph`: the disks of its VMs are in a Ceph on its servers, else in a shared folder."""
        self.folder, self.names = folder, names
        self.accel, self.why, self.guest, self.password = accel, why, guest, password
        self.servers: dict[str, Server] = {}
        self.bmcs: dict[str, Bmc] = {}
        for number, name in enumerate(SERVERS, 1):
            own = folder / "servers" / name
            self.servers[name] = Server(name, own, names, number)
            self.bmcs[name] = Bmc(name, own, names, number)
        self.ceph = Ceph(folder, self.servers) if ceph else None

    # ── up and down ─────────────────────────────────────────────────────────────────────────

    @classmethod
    def up(cls, folder: Path, *, ceph: bool = False) -> "Trio":
        """Returns once every libvirtd answers, and Ceph is well. What fails on the way is taken
        down again."""
        missing = why_not(ceph=ceph)
        if missing:
            raise Refused(
                missing, where="this machine", mend="as root; apt install what is missing"
            )
        folder = folder.absolute()
        if folder.exists() and any(folder.iterdir()):
            raise Refused("it is not empty", where=str(folder), mend="name another folder")
        guest = ensure_guest()
        accel, why = accelerator(guest)
        names = wire.claim()
        password = secrets.token_urlsafe(12)[:16]
        trio = cls(folder, names, accel, why, guest, password, ceph=ceph)
        try:
            trio._start()
        except BaseException:
            trio.down()
            raise
        return trio

    @classmethod
    def of(cls, folder: Path) -> "Trio":
        """The lab that is up in `folder`; Refused if there is none."""
        file = folder.absolute() / "trio.json"
        try:
            told = json.loads(file.read_text())
        except OSError:
            raise Refused(
                "no lab of namespaces here",
                where=str(folder),
                mend="start one: `metal lab up --engine namespaces FOLDER`",
            ) from None
        guest = Guest(Path(told["kernel"]), Path(told["initrd"]))
        names = Names(told["lab"])
        known = (told["accel"], told["why"], guest, told["password"])
        return cls(file.parent, names, *known, ceph=told["ceph"])

    def _start(self) -> None:
        (self.folder / "disks").mkdir(parents=True)
        self._remember()
        wire.build(self.names, SERVERS)
        hosts = "127.0.0.1 localhost\n" + "".join(
            f"{server.address} {name}\n" for name, server in self.servers.items()
        )
        for name, server in self.servers.items():
            server.folder.mkdir(parents=True)
            server.write(hosts)
            self.bmcs[name].write(self.password)
            if self.ceph:
                sshd.write(server)
        if self.ceph:
            self.ceph.write()
        for name, server in self.servers.items():
            server.power("on")
            self.bmcs[name].start()
        for name in SERVERS:
            self.await_up(name)
        if self.ceph:
            self.ceph.form(self.wait)

    def down(self) -> None:
        """No process, mount, namespace, cable or file of it is left."""
        for bmc in self.bmcs.values():
            _end(bmc.folder / "bmc.pid", "ipmi_sim")
        for server in self.servers.values():
            if server.pid is not None:
                server.power("off")
        wire.remove(self.names, SERVERS)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _remember(self) -> None:
        file = self.folder / "trio.json"
        file.touch(mode=0o600)
        told = {
            "lab": self.names.lab,
            "accel": self.accel,
            "why": self.why,
            "kernel": str(self.guest.kernel),
            "initrd": str(self.guest.initrd),
            "password": self.password,
            "ceph": self.ceph is not None,
        }
        file.write_text(json.dumps(told, indent=2) + "\n")

    def driver(self, patience: Patience | None = None) -> Libvirt:
        """The libvirt driver for its servers."""
        hosts = [Host(n, f"qemu+tcp://{s.address}/system") for n, s in self.servers.items()]
        boot = Boot(str(self.guest.kernel), str(self.guest.initrd), self.guest.cmdline)
        return Libvirt(
            hosts,
            cluster="trio",
            machine=Machine(accel=self.accel, boot=boot),
            shared_unseen=self.ceph is None,
            patience=patience or Patience(connect=1, poll=0.1),
        )

    # ── faults and truth ────────────────────────────────────────────────────────────────────

    def break_(self, name: str, fault: str) -> None:
        """Let `fault` (see FAULTS) happen to a server."""
        if name not in self.servers:
            raise BadInput("no such server", where=name, mend=f"it has {', '.join(SERVERS)}")
        server, bmc = self.servers[name], self.bmcs[name]
        match fault:
            case "crash":
                server.power("off")
            case "dead":
                (server.folder / "unplugged").touch()
                server.power("off")
            case "partition":
                (server.folder / "cut").touch()
                wire.cut(self.names, server.number)
            case "bmc-silent":
                _end(bmc.folder / "bmc.pid", "ipmi_sim")
            case "dark":
                (server.folder / "unplugged").touch()
                server.power("off")
                _end(bmc.folder / "bmc.pid", "ipmi_sim")
            case "hot":
                bmc.heat(CPU_ILL)
            case "repair":
                self._repair(server, bmc)
            case _:
                known = ", ".join(FAULTS)
                raise BadInput(f"unknown fault {fault!r}", where=name, mend=f"one of {known}")

    def _repair(self, server: Server, bmc: Bmc) -> None:
        bmc.heat(CPU_WELL)
        for mark in ("unplugged", "cut"):
            (server.folder / mark).unlink(missing_ok=True)
        wire.mend(self.names, server.number)
        server.power("on")
        if not _runs(bmc.folder / "bmc.pid", "ipmi_sim"):
            bmc.start()
        self.await_up(server.name)

    def await_up(self, name: str) -> None:
        """Until its libvirtd takes connections."""
        address = self.servers[name].address

        def answers() -> bool:
            try:
                socket.create_connection((address, LIBVIRT_PORT), 0.5).close()
            except OSError:
                return False
            return True

        self.wait(answers, UP_SECONDS, f"{name}: its libvirtd does not answer")

    def wait(self, reached: Callable[[], bool], seconds: float, late: str) -> None:
        deadline = time.monotonic() + seconds
        while not reached():
            if time.monotonic() > deadline:
                raise Failed(
                    f"{late} within {seconds:g} s",
                    where=str(self.folder),
                    mend="see its logs there",
                )
            time.sleep(0.02)

    def truth(self) -> dict[str, Any]:
        """What really is: power, and which QEMU processes run where."""
        return {
            "servers": {
                name: {
                    "power": "on" if server.pid else "off",
                    "address": server.address,
                    "bmc": self.bmcs[name].address,
                    "vms": _guests_of(server.pid),
                }
                for name, server in self.servers.items()
            },
            "accelerator": f"{self.accel}: {self.why}",
        }


def why_not(*, ceph: bool = False) -> str:
    """Why no such lab can run here; "" when it can, as far as that can be told beforehand."""
    if os.geteuid() != 0:
        return "only root may make namespaces"
    if importlib.util.find_spec("libvirt") is None:
        return "missing: libvirt-python, metal's extra: pip install 'metal[libvirt]'"
    missing = [package for tool, package in NEEDED.items() if shutil.which(tool) is None]
    missing += ceph_missing() if ceph else []
    if missing:
        return f"missing: apt install {' '.join(missing)}"
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "true"],
        capture_output=True,
        timeout=10,
    )
    return "" if done.returncode == 0 else "this container may not make namespaces"


def _guests_of(pid: int | None) -> list[str]:
    """Names of the VMs whose QEMU is in the process namespace of `pid`."""
    if pid is None:
        return []
    try:
        space = Path(f"/proc/{pid}/ns/pid").readlink()
    except OSError:
        return []
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "ns" / "pid").readlink() != space:
                continue
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"qemu-system" in words[0]:
            name = next((w for w in words if w.startswith(b"guest=")), b"guest=?")
            found.append(name.partition(b"=")[2].partition(b",")[0].decode())
    return sorted(found)


def _runs(file: Path, program: str) -> int | None:
    """The process in a pid file, if it is still that program: ids are used again."""
    try:
        pid = int(file.read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if program.encode() in words else None


def _end(file: Path, program: str) -> None:
    pid = _runs(file, program)
    if pid is None:
        return
    os.kill(pid, signal.SIGKILL)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        while _runs(file, program):
            time.sleep(0.01)
