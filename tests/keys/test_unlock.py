"""`metal unlock`: through a real dropbear to a real LUKS2 disk, and a site in its order."""

import json
import os
import shutil
import signal
import subprocess
import threading

import pytest

from metal.cli import main
from metal.cli.render.watch import watch_lines
from metal.controller.disk_keys import agent_of
from metal.controller.gatekeeping import Gatekeeper
from metal.controller.progress import silent
from metal.controller.unlocking import Unlocking, unlock_held
from metal.controller.watching import watch_once
from metal.controller.workspace import Workspace
from metal.drivers import dropbear as driver
from metal.drivers import identities
from metal.drivers.commands import Here
from metal.drivers.dropbear import Dropbear, WrongKey
from metal.drivers.ssh import SshHost
from metal.lab.doors import Doors, new_door_key
from metal.lab.luks_double import PretendInitramfs, PretendSystem, format_luks
from metal.lab.machine import DiskState
from metal.model.errors import Refused, Unreachable
from metal.model.life import Life

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""Dropbear's port is fixed: tests that run side by side have addresses of their own."""
DROPBEAR = f"127.17.{WORKER}.1"
KEY = "firstkeyfirstkeyfirstkey"
UNLOCK = """\
#!/bin/sh
# Stands in for cryptroot-unlock: its words and exit codes, on a real LUKS2 header.
[ -e {opened} ] && exit 0
echo "Please unlock disk system_crypt"
if cryptsetup open --test-passphrase --key-file=- {disk}; then
    touch {opened}
    {cut}
    echo "cryptsetup: system_crypt set up successfully" >&2
    exit 0
fi
echo "cryptsetup: cryptsetup failed, bad password or options?" >&2
exit 1
"""


def unshared():
    return Here().run(("unshare", "--mount", "true")).code == 0


@pytest.fixture
def dropbear(tmp_path, disk, new_key, monkeypatch):
    """A real dropbear, set up as in the initramfs; `cut`: what is done to it, as $PPID, once the
    disk is open."""
    if not shutil.which("dropbear") or not unshared():
        pytest.skip("needs dropbear (package dropbear-bin), and root with mount namespaces")
    processes = []

    def start(cut=""):
        home, script = tmp_path / "home", tmp_path / "cryptroot-unlock"
        (home / ".ssh").mkdir(parents=True)
        home.chmod(0o700)
        mine = new_key(tmp_path / "mine")
        (home / ".ssh" / "authorized_keys").write_text(f"{mine}\n")
        words = {"opened": tmp_path / "opened", "disk": disk.device}
        script.write_text(UNLOCK.format(cut=cut, **words))
        script.chmod(0o755)
        host_key = tmp_path / "host_key"
        make = ("dropbearkey", "-t", "ed25519", "-f", str(host_key))
        told = Here().run(make).out.decode().splitlines()
        public = next(" ".join(x.split()[:2]) for x in told if x.startswith("ssh-ed25519"))
        options = f"-F -E -s -j -k -I 300 -p {DROPBEAR}:2222 -r {host_key} -P {tmp_path}/pid"
        # Dropbear finds authorized_keys in root's own home only.
        inside = f"mount --bind {home} /root && exec dropbear {options} -c {script}"
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", inside], stderr=subprocess.PIPE, text=True
        )
        processes.append(process)
        for line in process.stderr:
            if "Not backgrounding" in line:
                break
        else:
            raise AssertionError("dropbear did not start")
        threading.Thread(target=process.stderr.read, daemon=True).start()
        system = SshHost("alba1", DROPBEAR, (), identity=tmp_path / "mine", patience=5)
        return Dropbear(system, [public])

    yield start
    for process in processes:
        process.terminate()
        process.wait()


def test_the_key_opens_the_disk_and_then_nothing_waits_any_more(dropbear, tmp_path):
    door = dropbear()
    assert door.ensure_unlocked(KEY) == 1
    assert (tmp_path / "opened").exists()
    assert door.ensure_unlocked(KEY) == 0


def test_a_wrong_key_is_told_from_a_door_that_is_not_there(dropbear, tmp_path):
    door = dropbear()
    with pytest.raises(WrongKey):
        door.ensure_unlocked("awrongkeyawrongkey")
    assert not (tmp_path / "opened").exists()
    nobody = Dropbear(SshHost("alba1", "127.17.0.9", (), identity=tmp_path / "mine"), ["x"])
    with pytest.raises(Exception, match="no SSH host key"):
        nobody.ensure_unlocked(KEY)


def test_a_system_that_boots_on_cuts_the_answer_off(dropbear, tmp_path):
    assert dropbear(cut="kill -9 $PPID").ensure_unlocked(KEY) == 0
    assert (tmp_path / "opened").exists()


def test_a_network_that_goes_away_with_the_answer_is_noticed(dropbear, tmp_path, monkeypatch):
    """Nothing closes the connection: it stands, and nobody speaks on it any more."""
    monkeypatch.setattr(driver, "SILENCE", 4.0)
    frozen = tmp_path / "frozen"
    door = dropbear(cut=f"echo $PPID >{frozen}; kill -STOP $PPID")
    try:
        assert door.ensure_unlocked(KEY) == 0
    finally:
        os.kill(int(frozen.read_text()), signal.SIGKILL)
    assert (tmp_path / "opened").exists()


def test_no_key_is_sent_to_another_host_key(dropbear, tmp_path, new_key):
    door = dropbear()
    stranger = new_key(tmp_path / "other")
    system = SshHost("alba1", DROPBEAR, (), identity=tmp_path / "mine")
    with pytest.raises(Refused, match="another host key"):
        Dropbear(system, [stranger]).ensure_unlocked(KEY)
    with pytest.raises(Refused, match="not known"):
        Dropbear(system, []).ensure_unlocked(KEY)
    assert door.ensure_unlocked(KEY) == 1


def test_nobody_at_the_door_is_unreachable(tmp_path, new_key):
    system = SshHost("alba1", "127.17.0.7", (), identity=None)
    with pytest.raises(Unreachable):
        Dropbear(system, [new_key(tmp_path / "k")]).ensure_unlocked(KEY)


# ── a site in its order, on the lab's doors ─────────────────────────────────────────────────


class Waiting:
    """A server that waits in its initramfs; once unlocked its system's door opens."""

    def __init__(self, name, doors, authorized, log, opened=None):
        self.name, self.doors, self.log = name, doors, log
        self.disk, self.off, self.closed = DiskState(), threading.Event(), threading.Event()
        format_luks(self.disk, f"{name}keykeykeykey")
        self.keys = {"system": new_door_key(), "initramfs": new_door_key()}
        self.authorized, self.opened = authorized, opened
        self.where = name

    def address(self, inventory):
        return str(inventory.servers[self.name].address)

    def start(self, inventory):
        self.inventory = inventory
        address, initramfs = self.address(inventory), PretendInitramfs(self.name, self.disk)
        self.initramfs = initramfs
        self.doors.open(address, 2222, self.keys["initramfs"], self.authorized, self, self.closed)

    def run(self, argv, *, stdin=b"", timeout=60):
        """The dropbear's forced command."""
        before = self.initramfs.unlocked.is_set()
        done = self.initramfs.run(argv, stdin=stdin)
        if self.initramfs.unlocked.is_set() and not before:
            self.log.append(f"{self.name} unlocked")
            threading.Thread(target=self.up, daemon=True).start()
        return done

    def up(self):
        """Its system answers; who can open itself by its Tang server does."""
        system = PretendSystem(self.name, self.disk)
        address = self.address(self.inventory)
        self.doors.open(address, 6022, self.keys["system"], self.authorized, system, self.off)
        for other in self.opened or ():
            self.log.append(f"{other.name} opened itself")
            other.up()


SITE = """\
[fleet]
name = "attic"
domain = "attic.example.org"
ssh_port = 6022
[administrators]
ana = {{ name = "Ana", keys = ["{ana}"] }}
[sites.lisbon]
place = "row 2"
donor = {{ name = "Tejo", contact = "noc@tejo.example.edu" }}
[sites.lisbon.subnets]
bmc = "127.16.0.0/24"
management = "127.16.1.0/24"
gateway = "127.16.1.254"
private_ipv4 = "10.11.128.0/20"
[servers.alba1]
site = "lisbon"
rack = "L2"
profile = "solo"
address = "127.16.1.1"
bmc = {{ address = "127.16.0.1" }}
[servers.hub]
site = "lisbon"
rack = "L2"
profile = "solo"
address = "127.16.1.2"
bmc = {{ address = "127.16.0.2" }}
[servers.alba3]
site = "lisbon"
rack = "L2"
profile = "solo"
address = "127.16.1.3"
bmc = {{ address = "127.16.0.3" }}
unlock = {{ by = ["dropbear", "tang"], tang = ["t1", "t2"], threshold = 2 }}
[clusters.alba]
servers = ["alba1"]
ceph = false
[clusters.hub]
servers = ["hub"]
ceph = false
[clusters.alba3]
servers = ["alba3"]
ceph = false
[tang.t1]
url = "http://127.16.1.2:7500"
thumbprint = "{thumb}"
runs_on = "hub"
[tang.t2]
url = "http://127.16.1.9:7500"
thumbprint = "{thumb}"
runs_on = "outside"
"""


@pytest.fixture
def site(tmp_path, new_key):
    """alba1, hub and alba3 are dark; alba3 opens itself when hub's Tang server runs."""
    folder = tmp_path / "workspace"
    (folder / "profiles" / "servers").mkdir(parents=True)
    (folder / "profiles" / "servers" / "solo.toml").write_text('description = "alone"\n')
    ana = new_key(tmp_path / "ana", passphrase="correct horse")
    text = SITE.format(ana=ana, thumb="A" * 43)
    (folder / "inventory.toml").write_text(text.replace("127.16.1.", f"127.16.{1 + WORKER}."))
    workspace, doors, log = Workspace(folder), Doors(), []
    doors.start()
    let_in = [ana, workspace.controller_key]
    alba3 = Waiting("alba3", doors, let_in, log)
    servers = [
        Waiting("alba1", doors, let_in, log),
        Waiting("hub", doors, let_in, log, opened=[alba3]),
        alba3,
    ]
    for server in servers:
        workspace.secrets.escrow(
            f"disk/{server.name}", f"{server.name}keykeykeykey", controller=False
        )
        for door, key in server.keys.items():
            workspace.host_keys.pin(server.name, door, [key.public])
        server.start(workspace.inventory)
    yield workspace, log
    for server in servers:
        server.off.set()
        server.closed.set()
    doors.stop()


def test_a_site_comes_back_in_its_order_with_one_prompt(site, tmp_path):
    workspace, log = site
    asked = []

    def ask(what):
        asked.append(what)
        return "correct horse"

    identity = identities.load(tmp_path / "ana", ask)
    with agent_of(identity) as socket:
        unlocking = Unlocking(workspace, identity, socket, silent, patience=60, grace=30)
        told = unlocking.site("lisbon")
        assert [one.error for one in told] == ["", "", ""]
        assert [one.server for one in told] == ["hub", "alba3", "alba1"]
        assert log == ["hub unlocked", "alba3 opened itself", "alba1 unlocked"]
        assert [one.works[0] for one in unlocking.site("lisbon")] == [
            "it runs already",
            "it opened itself",
            "it runs already",
        ]
    assert len(asked) == 1


def test_a_server_that_does_not_open_itself_is_given_its_key(site, tmp_path):
    workspace, log = site
    identity = identities.load(tmp_path / "ana", lambda _what: "correct horse")
    with agent_of(identity) as socket:
        unlocking = Unlocking(workspace, identity, socket, silent, patience=60, grace=0)
        (told,) = unlocking.servers(["alba3"], itself=True)
    assert told.works == ("1 disks were unlocked, and it is up",)
    assert log == ["alba3 unlocked"]


def test_what_the_controller_holds_needs_nobody(site, monkeypatch, capsys):
    workspace, log = site
    workspace.secrets.escrow("disk/alba1", "alba1keykeykeykey", controller=True)
    code = main(["-C", str(workspace.folder), "-o", "json", "unlock", "alba1"])
    assert (code, log) == (0, ["alba1 unlocked"])
    assert json.loads(capsys.readouterr().out)[0]["works"]
    monkeypatch.setenv("HOME", str(workspace.folder))
    assert main(["-C", str(workspace.folder), "unlock", "hub"]) == 2
    assert "--identity" in capsys.readouterr().err


def test_a_wrong_key_in_escrow_is_said_and_not_tried_again_and_again(site):
    workspace, log = site
    workspace.secrets.escrow("disk/hub", "notthehubskey", controller=True)
    unlocking = Unlocking(workspace, None, None, silent, patience=60, grace=0)
    (told,) = unlocking.servers(["hub"])
    assert told.exit_code == 3 and "does not open its disk" in told.error
    assert log == []


def test_who_waits_for_a_server_gives_it_what_the_controller_holds(site):
    workspace, log = site
    assert not unlock_held(workspace, "alba1"), "the administrators alone have its key"
    workspace.secrets.escrow("disk/alba1", "alba1keykeykeykey", controller=True)
    assert unlock_held(workspace, "alba1")
    assert log == ["alba1 unlocked"]
    assert not unlock_held(workspace, "alba1"), "nothing is locked any more"


def held(workspace, **changes):
    """The inventory lets the controller open those servers' disks; it holds their keys."""
    text = (workspace.folder / "inventory.toml").read_text()
    for name in ("alba1", "hub"):
        text += f"[servers.{name}.unlock]\nheld = {str(changes.get(name, True)).lower()}\n"
        workspace.secrets.escrow(f"disk/{name}", f"{name}keykeykeykey", controller=True)
        workspace.store.servers.move(name, Life.ENROLLED)
        workspace.store.servers.move(name, Life.INSTALLED)
    (workspace.folder / "inventory.toml").write_text(text)
    workspace.reload()


@pytest.fixture
def gatekeeper(site):
    keeper = Gatekeeper(site[0])
    yield keeper
    keeper.close()


def test_whoever_watches_unlocks_what_the_inventory_allows(site, gatekeeper):
    workspace, log = site
    held(workspace, hub=False)
    assert gatekeeper.round() == ()
    assert gatekeeper.finish() == ("alba1",)
    assert log == ["alba1 unlocked"]
    gatekeeper.round()
    assert gatekeeper.finish() == (), "nothing is locked any more"


def test_a_server_that_was_set_aside_stays_locked(site, gatekeeper):
    workspace, _log = site
    held(workspace)
    workspace.store.servers.hold("alba1", "fenced")
    gatekeeper.round()
    assert gatekeeper.finish() == ("hub",)
    workspace.store.servers.release("alba1")
    gatekeeper.round()
    assert gatekeeper.finish() == ("alba1",)


def test_a_key_that_is_wrong_is_given_once_and_told(site, gatekeeper):
    workspace, log = site
    held(workspace)
    workspace.secrets.escrow("disk/alba1", "notthekeyofthis", controller=True)
    for _ in range(4):
        gatekeeper.round()
        gatekeeper.finish()
    assert "hub unlocked" in log and "alba1 unlocked" not in log
    assert "does not open its disk" in gatekeeper.refused["alba1"]
    workspace.secrets.escrow("disk/alba1", "alba1keykeykeykey", controller=True)
    gatekeeper.refused.clear()
    gatekeeper.round()
    assert gatekeeper.finish() == ("alba1",), "it had one wrong try only"


def test_a_round_of_metal_watch_says_whom_it_unlocked(site):
    workspace, log = site
    held(workspace)
    workspace.reload()
    report = watch_once(workspace, act=True, progress=silent)
    assert sorted(report.unlocked) == ["alba1", "hub"]
    assert {"alba1 unlocked", "hub unlocked"} < {*log, ""}
    assert any("alba1: it waited at boot" in line for line in watch_lines(report))
