"""A site of whole machines: its wire, its workspace, `metal serve` there, and a BMC each."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyrage
import pytest

from metal.controller.workspace import Workspace
from metal.drivers.commands import Here
from metal.drivers.luks import Luks
from metal.drivers.web import WebServer
from metal.inventory.apt import apt_mirror
from metal.lab.machines import Machine, Wire
from metal.lab.machines.lab import SBIN, why_not
from metal.lab.machines.workspace import ANNOUNCED, BMC_OURS, OURS, write
from metal.model.errors import MetalError

from .mirror import lend, pinned_installer, relay

CACHE = Path(os.environ.get("METAL_LAB_CACHE", "/var/tmp/metal-lab-cache"))
ADDRESS, BMC = "10.77.0.11", "10.78.0.11"
PASSWORD, SERIAL = "a-lab-of-machines", "DISK0001"


class Site:
    """One machine and who looks after it; commands of metal run on its wire."""

    def __init__(self, folder: Path, wire: Wire, machine: Machine) -> None:
        self.folder, self.wire, self.machine = folder, wire, machine
        self.workspace = Workspace(folder)
        self.relay: WebServer | None = None
        """Of the Debian mirror, where its packages come over the wire."""
        self._before: str | None = None
        self._closed = False

    @property
    def identity(self) -> Path:
        """The administrator's SSH key."""
        return self.folder / "ana"

    def metal(self, *words: str, timeout: float = 600) -> str:
        """What it printed; it must succeed."""
        done = self.wire.run(*self._metal(*words), timeout=timeout)
        assert done.returncode == 0, (words, done.stdout[-3000:], done.stderr[-3000:])
        return done.stdout

    def tries(self, *words: str) -> None:
        """As `metal`, but it need not succeed."""
        self.wire.run(*self._metal(*words), timeout=900)

    @property
    def power(self) -> str:
        """What its power button did last: "off", or "on, from …"."""
        log = (self.machine.folder / "power.log").read_text().splitlines()
        return log[-1].partition(" power ")[2]

    def build(self) -> None:
        """The live system and the root, where they are not kept already. Not on the wire: it has
        no way out."""
        words = self._metal("live", "build")
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def begin_install(self) -> "subprocess.Popen[bytes]":
        """`metal apply` of the plan's install alone: no cluster is formed of it."""
        file = self.folder / "plan.json"
        self.wire.run(*self._metal("plan", "--out", str(file)))
        plan = json.loads(file.read_text())
        plan["actions"] = plan["actions"][:1]
        file.write_text(json.dumps(plan))
        return self.start("install.log", "apply", "--yes", str(file))

    def install(self, seconds: float = 1800) -> str:
        """To its end; the throw-away key that crossed the wire."""
        install = self.begin_install()
        self.wait(lambda: self.workspace.store.installs.latest("one"), "the install to open", 60)
        key = self.workspace.secrets.reveal("disk/one")
        assert key is not None
        self.wait(lambda: install.poll() is not None, "the install", seconds)
        assert install.returncode == 0, self.log("install.log") + self.machine.console[-5000:]
        return key

    def said(self) -> list[str]:
        """What was told of the machine while metal worked on it."""
        return [event.text for event in self.workspace.store.events.since()]

    def log(self, name: str) -> str:
        return (self.wire.folder / name).read_text(errors="replace")

    def tell(self, what: str) -> None:
        """When each phase began, in seconds from power-on."""
        power = (self.machine.folder / "power.log").read_text().splitlines()
        began = float(power[0].split()[0])
        found = {line.split(" ", 1)[1]: float(line.split()[0]) for line in power}
        for event in self.workspace.store.events.since():
            found.setdefault(event.text.split()[0] if event.at > began else "", event.at)
        with sqlite3.connect(self.folder / "state" / "metal.db") as database:
            found |= dict(
                database.execute("select name, ended from steps where ended > ?", (began,))
            )
        rows = sorted((at - began, name) for name, at in found.items() if at >= began)
        print(f"{what}: " + ", ".join(f"{name} {seconds:.0f}" for seconds, name in rows))

    def administrator_opens(self, name: str) -> str:
        sealed = (self.folder / "secrets" / f"{name}.age").read_bytes()
        key = pyrage.ssh.Identity.from_buffer(self.identity.read_bytes())
        return pyrage.decrypt(sealed, [key]).decode()

    def start(self, log: str, *words: str) -> "subprocess.Popen[bytes]":
        return self.wire.start(log, *self._metal(*words))

    def _metal(self, *words: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "metal", "-C", str(self.folder), *words)

    def close(self) -> None:
        """Nothing of it runs any more; what it wrote stays."""
        if self._closed:
            return
        self._closed = True
        self.workspace.store.close()
        if self.relay:
            self.relay.stop()
        self.wire.__exit__()

    def serve(self) -> None:
        options = ("--interface", "br0", "--announce", "fd77::/64")
        served = self.start("serve.log", "serve", "--site", "here", *options)
        log = self.wire.folder / "serve.log"

        def up() -> bool:
            assert served.poll() is None, log.read_text()
            return "TFTP and HTTP" in log.read_text()

        self.wait(up, "metal serve", 60)

    def ssh(self, command: str, *, port: int = 22, door: str = "system") -> str | None:
        """What `command` printed there, by the pinned host key; None where it cannot log in."""
        known = self.wire.folder / f"known-{door}"
        name = ADDRESS if port == 22 else f"[{ADDRESS}]:{port}"
        pins = self.workspace.host_keys.of("one", door)
        known.write_text("".join(f"{name} {key}\n" for key in pins))
        options = ("BatchMode=yes", "ConnectTimeout=5", f"UserKnownHostsFile={known}")
        words = ["ssh", "-F", "none", "-i", str(self.identity), "-p", str(port)]
        words += [word for option in options for word in ("-o", option)]
        try:
            done = self.wire.run(*words, f"root@{ADDRESS}", command)
        except subprocess.TimeoutExpired:  # it went away meanwhile
            return None
        return done.stdout if done.returncode == 0 else None

    def boot(self) -> str | None:
        """The id of its boot; None where nobody can log in."""
        return self.ssh("cat /proc/sys/kernel/random/boot_id")

    def restart(self) -> None:
        """Its operator's word; nobody answers any more."""
        self._before = self.boot()
        self.ssh("systemctl --no-block reboot")
        self.wait(lambda: not self.ssh("true"), "it to restart", 120)

    def returns(self, how: str) -> None:
        """From its restart, nobody giving it a key."""
        began = time.monotonic()
        self.wait(lambda: self.boot() not in (self._before, None), f"it to be {how}", 600)
        print(f"restarted, and {how}: {time.monotonic() - began:.0f} s")

    def header(self) -> Luks:
        """A copy of the header on its encrypted partition: what is on the disk really."""
        copy = self.wire.folder / "header.img"
        with self.machine.disk.open("rb") as disk:
            disk.seek(2 * 512)  # the entries of a GPT; the encrypted partition is the last
            entries = [disk.read(128) for _ in range(128)]
            first = [int.from_bytes(e[32:40], "little") for e in entries if any(e[:16])]
            disk.seek(first[-1] * 512)
            copy.write_bytes(disk.read(32 << 20))
        return Luks(Here(), str(copy))

    def wait(self, reached: Callable[[], object], what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not reached():
            late = f"waited {seconds:g} s for {what}\n{self.machine.console[-3000:]}"
            assert time.monotonic() < deadline, late
            time.sleep(0.2)


@pytest.fixture(scope="session")
def mirror() -> str:
    """Skips, saying why, where whole machines cannot be had."""
    if why := why_not():
        pytest.skip(why)
    if not shutil.which("cryptsetup", path=SBIN):
        pytest.skip("needs the package cryptsetup-bin")
    found = apt_mirror()
    assert found is not None
    return found


@pytest.fixture
def site_of(tmp_path: Path, mirror: str) -> Iterator[Callable[..., Site]]:
    """Makes the test's site: enrolled, `metal serve` answers, the machine is off."""
    opened: list[Site] = []

    def make(
        firmware: Any,
        *,
        method: str = "image",
        packages: str = "[]",
        more: str = "",
        known: bool = True,
        **kind: Any,
    ) -> Site:
        """`known`: the inventory says whether its firmware asks for signatures."""
        number = len(opened) + 1
        folder = tmp_path / str(number)
        folder.mkdir()
        wire = Wire(folder, (OURS, BMC_OURS, f"{BMC}/24", ANNOUNCED)).__enter__()
        machine = Machine(
            name="one",
            folder=folder / "one",
            firmware=firmware,
            mac=f"52:54:00:77:01:{number:02x}",
            uuid=str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{firmware}.machines.example.org")),
            serial=SERIAL,
            bmc=BMC,
            password=PASSWORD,
            tap=wire.tap(),
            **kind,
        )
        site = Site(folder / "fleet", wire, machine)
        opened.append(site)
        if method == "preseed":
            _by_preseed(site, mirror, packages, more)
        else:
            _workspace(site, mirror, packages=packages, more=more)
            site.build()
        if not known:
            file = site.folder / "inventory.toml"
            file.write_text(file.read_text().replace("secure_boot = true\n", ""))
        machine.write()
        wire.start("bmc.log", sys.executable, "-m", "metal.lab.machines", str(machine.folder))
        site.serve()
        return site

    try:
        yield make
    finally:
        for site in opened:
            site.close()


def _by_preseed(site: Site, mirror: str, packages: str, more: str) -> None:
    """Its packages come over a cable of their own, from the mirror that this machine uses itself:
    a site's controller has an uplink, the boot network none."""
    kept = CACHE / "installer"
    kept.mkdir(parents=True, exist_ok=True)
    try:
        pinned_installer(mirror, "trixie", kept)
    except MetalError as error:
        pytest.skip(f"this machine's mirror has no installer: {error.what[:200]}")
    ours, theirs = (f"10.76.{os.getpid() % 256}.{end}" for end in (2, 1))
    site.wire.door([f"{ours}/24"], inside=[f"{theirs}/24"])
    site.relay = relay(mirror, ours).start()
    mirror = f"{site.relay.url}/debian"
    _workspace(site, mirror, method="preseed", packages=packages, more=more)
    lend(kept, site.folder)


def _workspace(site: Site, mirror: str, **told: str) -> None:
    folder = site.folder
    folder.mkdir()
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(site.identity)], check=True
    )
    key = (folder / "ana.pub").read_text().strip()
    (folder / "state").mkdir()
    for kept in ("live", "image"):
        (CACHE / kept).mkdir(parents=True, exist_ok=True)
        (folder / "state" / kept).symlink_to(CACHE / kept)
    write(folder, [site.machine], mirror=mirror, key=key, **told)
