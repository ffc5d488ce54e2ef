"""A whole site on loopback: store, desk, boot service, mirror, and one machine with firmware."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pyrage
import pytest

from metal.drivers.authority import Authority
from metal.drivers.host_keys import HostKeys
from metal.drivers.luks import Luks, encrypted_disks
from metal.drivers.netboot import boot_app
from metal.drivers.secrets import AgeSecrets
from metal.drivers.ssh import controller_key
from metal.drivers.web import WebServer
from metal.install.desk import Desk
from metal.install.flow import install
from metal.install.installer.pinning import Source, ensure_installer
from metal.install.medium import medium_of
from metal.install.plan import plan_installs
from metal.install.ports import InstallPorts, Patience
from metal.lab.clock import Clock
from metal.lab.doors import new_door_key
from metal.lab.firmware import Firmware
from metal.lab.luks_double import PretendSystem
from metal.lab.machine import Hardware, Machine
from metal.lab.mirror import LabArchive, mirror_app
from metal.model.errors import Unreachable
from metal.model.facts import Cpu, Drive, Nic
from metal.model.fleet import Inventory
from metal.model.life import Life, Status
from metal.model.passport import Method
from metal.model.plan import InstallServer
from metal.model.world import SeenServer, World
from metal.operations.run import perform
from metal.operations.store import open_store
from metal.operations.switching import Switching

PIN = ":".join(["AB"] * 32)
MAC, UUID = "02:00:5e:00:01:01", "4c4c4544-0042-4a10-8036-b4c04f4d3132"
DOORS = {door: new_door_key().public for door in ("host_key", "initramfs_key")}
SPEED = 1000.0
PATIENCE = Patience(boot=30, preseed=30, partitioned=60, base=60, finished=60, up=60, poll=0.005)


def make_inventory(**changes: Any) -> Inventory:
    """One site, one enrolled server alba1 with two drives; `changes` go into [servers.alba1]."""
    admin = str(pyrage.x25519.Identity.from_str(ADMIN).to_public())
    server = {
        "site": "lisbon",
        "rack": "L2",
        "profile": "ceph-node",
        "address": "10.11.1.11",
        "bmc": {"address": "10.11.0.11"},
        "learned": {
            "uuid": UUID,
            "macs": [MAC, "02:00:5e:00:01:02"],
            "disks": [
                {"name": "sda", "size_gib": 3726, "serial": "ZC11ABCD"},
                {"name": "sdb", "size_gib": 223, "serial": "S3Z1NX0K"},
            ],
        },
        **changes,
    }
    return Inventory.model_validate(
        {
            "fleet": {"name": "attic", "domain": "attic.example.org"},
            "administrators": {
                "ana": {"name": "Ana", "keys": [admin, "ssh-ed25519 " + SSH + " ana@desk"]}
            },
            "sites": {
                "lisbon": {
                    "place": "row 2",
                    "donor": {"name": "Tejo", "contact": "noc@tejo.example.edu"},
                    "subnets": {
                        "bmc": "10.11.0.0/24",
                        "management": "10.11.1.0/24",
                        "gateway": "10.11.1.1",
                        "private_ipv4": "10.11.128.0/20",
                    },
                }
            },
            "servers": {"alba1": server},
            "clusters": {"alba": {"servers": ["alba1"], "ceph": False}},
            "profiles": {"ceph-node": {"description": "a node", "packages": ["postfix", "chrony"]}},
        }
    )


ADMIN = str(pyrage.x25519.Identity.generate())
SSH = "AAAAC3NzaC1lZDI1NTE5AAAAIOFQR82sR9l2HrhOaZOTKxsNOH7up80N8Q6GD7Tf1dWk"


def make_machine() -> Machine:
    drives = (Drive(name="sda", serial="ZC11ABCD"), Drive(name="sdb", serial="S3Z1NX0K"))
    nics = (Nic(name="eno1", mac=MAC), Nic(name="eno2", mac="02:00:5e:00:01:02"))
    return Machine("alba1", Hardware("Dell", "R640", "X1", UUID, "1", "1", Cpu(), (), drives, nics))


class MachineBmc:
    """A BMC's effect without its protocol: those have tests of their own."""

    by = "its BMC"

    def __init__(self, site: "Site") -> None:
        self.site = site

    def power(self) -> str:
        return self.site.machine.power

    def ensure_power(self, wanted: str) -> None:
        self.site.bmc_calls.append(f"power {wanted}")
        machine = self.site.machine
        machine.power_on() if wanted == "on" else machine.power_off()

    def ensure_boot_once(self, device: str) -> None:
        self.site.bmc_calls.append(device)
        self.site.machine.boot_once = device

    def ensure_media(self, url: str) -> str:
        self.site.bmc_calls.append("insert")
        self.site.machine.media = url
        return "CD"

    def ensure_no_media(self) -> None:
        self.site.bmc_calls.append("eject")
        self.site.machine.media = None

    def close(self) -> None:
        self.site.bmc_calls.append("close")


@dataclass
class Site:
    """Also the workspace that the desk sees."""

    folder: Path
    inventory: Inventory
    machine: Machine
    bmc_calls: list[str] = field(default_factory=list)
    boot_url: str = ""
    mirror_url: str = ""
    patience: Patience = PATIENCE
    driver: Literal["bmc", "fence", "manual"] = "bmc"
    held: bool = False
    admin: str = ""
    given: list[str] = field(default_factory=list)
    boot_https_url: str = ""
    route: Method | None = None
    """What its passport leaves; None: it has none."""

    def __post_init__(self) -> None:
        self.state = self.folder / "state"
        self.admin = ADMIN
        self.store = open_store("sqlite", self.state)
        self.secrets = AgeSecrets(self.folder / "secrets", self.state, self.inventory.recipients())
        self.host_keys = HostKeys(self.folder / "pins")
        self.controller_key = controller_key(self.state)[1]
        self.authority = Authority(self.state / "tls")
        self.store.servers.move("alba1", Life.ENROLLED)
        self.firmware: Firmware | None = None

    def mirror(self, _site: str) -> str:
        return self.mirror_url

    @property
    def action(self) -> InstallServer:
        world = World(servers={"alba1": SeenServer(life=Life.ENROLLED, route=self.route)})
        return plan_installs(self.inventory, world)[0][0]

    @property
    def ports(self) -> InstallPorts:
        def fetch() -> None:
            keys, lock = self.folder / "mirror-keys", self.folder / "installer.lock"
            source = Source([self.mirror_url], keys, self.state / "installer", lock)
            ensure_installer(source, "trixie")

        bmc: Callable[[str], Any] = lambda _name: MachineBmc(self)  # noqa: E731
        power = Switching(lambda _key, _why: bmc("alba1"), self.driver, every=0.02)
        return InstallPorts(
            self.store,
            self.secrets,
            self.host_keys,
            bmc,
            power,
            self.disks,
            (),
            self.unlock,
            self.held,
            fetch,
            self.patience,
            medium_of(self, self.action) if self.action.by_medium else None,
        )

    def unlock(self, key: str) -> int:
        """Nobody waits there: the lab's first boots need a whole rack to ask for a key."""
        self.given.append(key)
        raise Unreachable("no dropbear", where="alba1")

    def disks(self) -> list[Luks]:
        """What is done over SSH on a real one; the doors have tests of their own."""
        runner = PretendSystem("alba1", self.disk)
        return [Luks(runner, device) for device in encrypted_disks(runner)]

    def open(self) -> Any:
        action = self.action
        params = {"action": action.model_dump(mode="json")}
        return self.store.journal.open("install", action.id, ["server alba1"], params)

    def install(self) -> Any:
        """Perform the open install of alba1, or a new one, to its end."""
        action, ports = self.action, self.ports
        return perform(self.store, self.open(), lambda run: install(run, action, ports))

    def administrator_opens(self, name: str) -> str:
        sealed = (self.folder / "secrets" / f"{name}.age").read_bytes()
        return pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(ADMIN)]).decode()

    @property
    def disk(self) -> Any:
        return self.machine.disks["sdb"]


class Killed(BaseException):
    """As SIGKILL is: no flow can take it for a failure."""


class Deadly:
    """A Run that dies at its `at`-th step or wait: `before` its effect, or after it unrecorded."""

    def __init__(self, run, at, *, before):
        self._run, self._left, self._before = run, at, before

    def __getattr__(self, name):
        return getattr(self._run, name)

    def step(self, name, act, **options):
        return self._run.step(name, self._mortal(act, lambda _result: True), **options)

    def wait(self, name, ready, **options):
        """What it waits for did happen when it dies afterwards."""
        return self._run.wait(name, self._mortal(ready, lambda seen: seen is not None), **options)

    def _mortal(self, act, over):
        if self._left:
            self._left -= 1
            return act

        def dies():
            if self._before:
                raise Killed
            result = act()
            if over(result):
                raise Killed
            return result

        return dies


def run_until_killed(site, at, *, before):
    """True if it was killed, False if it came to its end first."""
    action, ports = site.action, site.ports
    flow = lambda run: install(Deadly(run, at, before=before), action, ports)  # noqa: E731
    try:
        assert perform(site.store, site.open(), flow).status == Status.DONE
    except Killed:
        return True
    return False


def assert_installed_once(site):
    record = site.store.servers.get("alba1")
    assert (record.life, record.status) == (Life.INSTALLED, Status.DONE)
    assert record.node_fingerprint == PIN
    assert [disk.wipes for disk in site.machine.disks.values()] == [0, 1]
    key = site.administrator_opens("disk/alba1")
    assert list(site.disk.luks_slots.values()) == [hashlib.sha256(key.encode()).hexdigest()]
    assert site.secrets.reveal("disk/alba1") is None
    assert not site.store.journal.list(open_only=True)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "workspace", make_inventory(), make_machine())
    boot = WebServer(boot_app(Desk(site)), "127.0.0.1").start()
    archive = LabArchive(["trixie"])
    (site.folder / "mirror-keys").write_bytes(archive.keyring)
    mirror = WebServer(mirror_app(archive), "127.0.0.1").start()
    site.boot_url, site.mirror_url = boot.url, f"{mirror.url}/debian"
    site.firmware = Firmware(
        site.boot_url, Clock(SPEED), lambda _m: {"fingerprint": PIN}, lambda _m: DOORS
    )
    site.machine.on_boot = site.firmware
    try:
        yield site
    finally:
        site.machine.power_off()
        boot.stop()
        mirror.stop()
        site.store.close()


@pytest.fixture
def made() -> SimpleNamespace:
    """How to make an inventory and a machine of one's own."""
    return SimpleNamespace(
        inventory=make_inventory,
        machine=make_machine,
        pin=PIN,
        mac=MAC,
        doors=DOORS,
        run_until_killed=run_until_killed,
        assert_installed_once=assert_installed_once,
        patience=PATIENCE,
    )
