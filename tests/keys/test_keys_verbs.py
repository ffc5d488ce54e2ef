"""`metal keys` on a workspace with three administrators, a real LUKS2 disk and the lab's SSH."""

import json
import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

import pyrage
import pytest

from metal.cli import main
from metal.controller.rehearsing import refuse_unreturning
from metal.controller.workspace import Workspace
from metal.drivers.commands import Here
from metal.drivers.luks import Luks
from metal.install.rekey import RekeyPorts, rekey
from metal.lab.doors import Doors, new_door_key
from metal.lab.luks_double import PretendSystem, format_luks
from metal.lab.machine import DiskState
from metal.model.life import Life, Status
from metal.operations.run import perform

THROW_AWAY = "firstkeyfirstkeyfirstkey"
NETWORK = f"127.18.{1 + int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:])}."
"""A process's own: two that run side by side would want one port of one address."""
ADDRESS = f"{NETWORK}1"
INVENTORY = """\
[fleet]
name = "attic"
domain = "attic.example.org"
ssh_port = 6022
{recovery}
[administrators]
{administrators}
[sites.lisbon]
place = "row 2"
donor = {{ name = "Tejo", contact = "noc@tejo.example.edu" }}
[sites.lisbon.subnets]
bmc = "127.18.0.0/24"
management = "127.18.1.0/24"
gateway = "127.18.1.254"
private_ipv4 = "10.11.128.0/20"
[servers.alba1]
site = "lisbon"
rack = "L2"
profile = "solo"
address = "127.18.1.1"
bmc = {{ address = "127.18.0.1" }}
[clusters.alba]
servers = ["alba1"]
ceph = false
"""


@dataclass
class Team:
    folder: Path
    disk: Luks
    admins: dict[str, str]
    """Name → public key; the private one is at keys/NAME."""
    recovery: str = ""

    def write(self, *without: str) -> None:
        people = [n for n in self.admins if n not in without]
        lines = [f'{n} = {{ name = "{n}", keys = ["{self.admins[n]}"] }}' for n in people]
        recovery = f'recovery = "{self.recovery}"' if self.recovery else ""
        text = INVENTORY.format(administrators="\n".join(lines), recovery=recovery)
        (self.folder / "inventory.toml").write_text(text.replace("127.18.1.", NETWORK))

    def key(self, name: str) -> Path:
        return self.folder.parent / "keys" / name

    def rekey(self) -> None:
        """What an install ends with."""
        workspace = Workspace(self.folder)
        escrow = workspace.secrets
        if escrow.reveal("disk/alba1") is None:
            escrow.escrow("disk/alba1", THROW_AWAY, controller=True)
        old = lambda: [escrow.reveal("disk/alba1")]  # noqa: E731
        ports = RekeyPorts(escrow, lambda: [self.disk], old, (), held=False)
        operation = workspace.store.journal.open("x", "alba1", [], {})
        done = perform(
            workspace.store, operation, lambda run: rekey(run, "alba1", ports, alone=True)
        )
        workspace.store.close()
        assert done.status is Status.DONE, done.error

    def opens(self, key: str) -> bool:
        return self.disk.slot_of(key) is not None


@pytest.fixture
def team(tmp_path, disk, new_key):
    (tmp_path / "keys").mkdir()
    admins = {
        "ana": new_key(tmp_path / "keys" / "ana"),
        "bruno": new_key(tmp_path / "keys" / "bruno", kind="rsa"),
    }
    carla = pyrage.x25519.Identity.generate()
    (tmp_path / "keys" / "carla").touch(0o600)
    (tmp_path / "keys" / "carla").write_text(f"{carla}\n")
    admins["carla"] = str(carla.to_public())
    folder = tmp_path / "workspace"
    (folder / "profiles" / "servers").mkdir(parents=True)
    (folder / "profiles" / "servers" / "solo.toml").write_text('description = "alone"\n')
    team = Team(folder, disk, admins)
    team.write()
    return team


@pytest.fixture
def metal(team, capsys, monkeypatch):
    """`metal("show")` is `metal keys show -o json` there: (exit code, what it printed)."""
    monkeypatch.setenv("HOME", str(team.folder.parent))

    def run(*words):
        capsys.readouterr()
        code = main(["-C", str(team.folder), "-o", "json", "keys", *words])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else said.err

    return run


def found(metal, *how):
    code, rows = metal("recover", "alba1", *how)
    assert code == 0, rows
    return rows[0]["key"]


@pytest.mark.parametrize("lost", ["ana", "bruno", "carla"])
def test_losing_any_one_administrator_loses_no_disk(team, metal, lost):
    team.rekey()
    team.key(lost).unlink()
    for name in team.admins:
        if name != lost:
            assert team.opens(found(metal, "-i", str(team.key(name))))
    code, said = metal("recover", "alba1", "-i", str(team.key(lost)))
    assert code == 2 and "cannot be read" in said


def test_roots_password_is_an_administrators_to_read(team, metal):
    team.rekey()
    code, said = metal("recover", "alba1", "--root", "-i", str(team.key("ana")))
    assert code == 2 and "no password of its root is escrowed here" in said
    workspace = Workspace(team.folder)
    workspace.secrets.escrow("root/alba1", "as-installed", controller=True)
    workspace.store.close()
    code, rows = metal("recover", "alba1", "--root", "-i", str(team.key("ana")))
    assert (code, [row["key"] for row in rows]) == (0, ["as-installed"])


def test_losing_the_controller_loses_no_disk(team, metal):
    """Its state, its keys, the inventory, the pins: a copy of secrets/ is enough."""
    team.rekey()
    for item in team.folder.iterdir():
        if item.name != "secrets":
            shutil.rmtree(item) if item.is_dir() else item.unlink()
    assert team.opens(found(metal, "-i", str(team.key("ana"))))
    assert metal("drill", "-i", str(team.key("bruno")))[0] == 0


def test_losing_every_administrator_the_shares_on_paper_are_enough(team, metal, monkeypatch):
    code, made = metal("shares", "split", "--needed", "2", "--shares", "3")
    assert code == 0
    team.recovery = made["recovery"]
    team.write()
    team.rekey()
    shutil.rmtree(team.key("ana").parent)
    paper = team.folder.parent / "paper"
    for some in (made["shares"][:2], made["shares"][1:]):
        paper.write_text("# two of three\n" + "\n".join(some) + "\n")
        assert team.opens(found(metal, "--shares", str(paper)))
        assert metal("drill", "--shares", str(paper))[0] == 0
        assert metal("shares", "check", str(paper))[0] == 0
    paper.write_text(made["shares"][0])
    code, said = metal("recover", "alba1", "--shares", str(paper))
    assert code == 2 and "1 of the 2" in said


def test_a_lost_header_is_put_back_from_escrow(team, metal):
    team.rekey()
    file = Path(team.disk.device)
    with file.open("r+b") as opened:
        opened.write(bytes(1 << 20))
    assert Here().run(("cryptsetup", "isLuks", str(file))).code != 0
    folder = team.folder.parent / "headers"
    how = ("-i", str(team.key("ana")))
    assert metal("recover", "alba1", "--headers", str(folder), *how)[0] == 0
    (image,) = folder.iterdir()
    assert image.stat().st_mode & 0o077 == 0
    restore = ("cryptsetup", "luksHeaderRestore", "-q", "--header-backup-file", str(image))
    assert Here().run((*restore, str(file))).code == 0
    assert team.opens(found(metal, *how))


def test_a_drill_that_would_fail_says_so(team, metal):
    escrow = Workspace(team.folder).secrets
    escrow.escrow("disk/alba1", THROW_AWAY, controller=False)
    how = ("-i", str(team.key("ana")))
    code, (verdict,) = metal("drill", *how)
    assert code == 1 and "no copy of its header" in verdict["error"]
    uuid, header = team.disk.header()
    escrow.escrow(f"header/alba1/{uuid}", header, controller=False)
    assert metal("drill", *how)[0] == 0
    escrow.escrow("disk/alba1", "quiteanotherkey", controller=False)
    code, (verdict,) = metal("drill", *how)
    assert code == 1 and "does not open the escrowed header" in verdict["error"]


def test_who_came_is_let_in_and_who_left_is_seen(team, metal):
    team.write("carla")
    team.rekey()
    team.write()
    code, (state,) = metal("show")
    assert (code, state["locked_out"]) == (1, ["carla"])
    assert metal("recover", "alba1", "-i", str(team.key("carla")))[0] == 3
    assert metal("reseal", "-i", str(team.key("ana")))[0] == 0
    assert team.opens(found(metal, "-i", str(team.key("carla"))))
    assert metal("show")[0] == 0
    team.write("bruno")
    code, (state,) = metal("show")
    assert (code, state["strangers"]) == (1, 1)
    assert metal("reseal", "-i", str(team.key("ana")))[0] == 0
    _, rows = metal("recover", "alba1", "-i", str(team.key("bruno")))
    assert [row["key"] for row in rows if row["what"] == "the key"] == [None]


@pytest.mark.parametrize("left", [b"", b"age-encryption.org/v1\n-> X25519 abc"])
def test_a_damaged_file_is_told_with_all_the_others(team, metal, left):
    team.rekey()
    escrow = Workspace(team.folder).secrets
    escrow.escrow("disk/alba0", THROW_AWAY, controller=False)
    (team.folder / "secrets" / "disk" / "alba0.age").write_bytes(left)
    code, (damaged, whole) = metal("show")
    assert code == 1
    assert (damaged["server"], whole["server"]) == ("alba0", "alba1")
    assert "disk/alba0" in damaged["error"] and "last good copy" in damaged["error"]
    assert (whole["error"], whole["escrowed"], whole["locked_out"]) == ("", True, [])


# ── over SSH, on the lab's double ───────────────────────────────────────────────────────────


@pytest.fixture
def running(team):
    """alba1 is up, its host key pinned; its disk opens with THROW_AWAY, which Ana can find."""
    workspace, off = Workspace(team.folder), threading.Event()
    disk, key, doors = DiskState(), new_door_key(), Doors()
    format_luks(disk, THROW_AWAY)
    workspace.host_keys.pin("alba1", "system", [key.public])
    authorized = [team.admins["ana"], team.admins["bruno"], workspace.controller_key]
    doors.start()
    doors.open(ADDRESS, 6022, key, authorized, PretendSystem("alba1", disk), off)
    workspace.secrets.escrow("disk/alba1", THROW_AWAY, controller=False)
    yield disk
    off.set()
    doors.stop()


@pytest.mark.parametrize("who", ["ana", "carla"])
def test_verify_tries_the_key_on_the_disk(team, metal, running, who):
    """Ana's SSH key logs in, too; Carla has one of age, so the controller's does."""
    code, (verdict,) = metal("verify", "-i", str(team.key(who)))
    assert code == 0, verdict
    assert verdict["works"][1].startswith("it opens slot 0 of /dev/disk/by-uuid/")
    assert verdict["works"][1].endswith("and nothing else does")
    Workspace(team.folder).secrets.escrow("disk/alba1", "quiteanotherkey", controller=False)
    code, (verdict,) = metal("verify", "-i", str(team.key(who)))
    assert code == 1 and "does not open it" in verdict["error"]
    assert metal("verify", "--offline", "-i", str(team.key(who)))[0] == 0


def test_rotate_with_an_administrators_key(team, metal, running):
    assert metal("rotate", "-i", str(team.key("ana")))[0] == 2  # which?
    code, said = metal("rotate", "alba1", "-i", str(team.key("ana")))
    assert code == 0, said
    assert len(running.luks_slots) == 1
    assert metal("verify", "-i", str(team.key("bruno")))[0] == 0
    assert found(metal, "-i", str(team.key("carla"))) != THROW_AWAY


def test_a_rotation_goes_on_though_the_controller_lost_its_pending_key(team, metal, running):
    """Its state was lost in the middle: what it had added is known from escrow, and removed."""
    escrow = Workspace(team.folder).secrets
    escrow.escrow("disk-next/alba1", "pendingpendingpending", controller=False)
    running.luks_slots[5] = format_key("pendingpendingpending")
    assert metal("rotate", "--all", "-i", str(team.key("ana")))[0] == 0
    assert len(running.luks_slots) == 1
    assert metal("verify", "-i", str(team.key("ana")))[0] == 0


def test_a_server_that_left_keeps_its_key_and_nobody_else_waits_for_it(team, metal, running):
    key = ("-i", str(team.key("ana")))
    Workspace(team.folder).secrets.escrow("disk/gone", "keyofaservergone", controller=False)
    for verb in (("verify",), ("rotate", "--all"), ("rehearse",)):
        code, rows = metal(*verb, *key)
        assert [row["server"] for row in rows] == ["alba1"], (code, rows)
        code, said = metal(verb[0], "gone", *key)
        assert code == 2 and "no server of the inventory" in said and "keys recover" in said
    assert main(["-C", str(team.folder), "unlock", "gone", *key]) == 2
    code, rows = metal("verify", "--offline", *key)
    assert (code, [row["server"] for row in rows]) == (0, ["alba1", "gone"])
    assert metal("recover", "gone", *key)[1][0]["key"] == "keyofaservergone"


def format_key(key):
    disk = DiskState()
    format_luks(disk, key)
    return disk.luks_slots[0]


def test_without_its_host_key_nothing_is_sent_to_a_server(team, metal, running):
    workspace = Workspace(team.folder)
    workspace.host_keys.forget("alba1")
    code, (verdict,) = metal("rotate", "alba1", "-i", str(team.key("ana")))
    assert code == 3 and "metal keys pin alba1" in verdict["error"]
    code, said = metal("pin", "alba1", new_door_key().public)
    assert code == 0, said
    code, (verdict,) = metal("rotate", "alba1", "-i", str(team.key("ana")))
    assert code == 3 and "another host key" in verdict["error"]
    assert len(running.luks_slots) == 1


def test_a_server_that_would_not_come_back_is_not_restarted(team, metal, running, capsys):
    """Its initramfs lets Bruno in and not Ana; its dropbear is another than the pinned one."""
    workspace = Workspace(team.folder)
    for life in (Life.ENROLLED, Life.INSTALLED):
        workspace.store.servers.move("alba1", life)
    running.installed_with = {
        "packages": [],
        "root_keys": [team.admins["bruno"], workspace.controller_key],
        "initramfs_conf": "IP=127.18.1.1::127.18.1.254:255.255.255.0:alba1:eno1\n",
        "dropbear_conf": 'DROPBEAR_OPTIONS="-p 2222"\n',
    }
    workspace.host_keys.pin("alba1", "initramfs", [new_door_key().public])
    code, (verdict,) = metal("rehearse")
    assert code == 3
    assert f"does not let in {team.admins['ana'][:44]}" in verdict["error"]
    assert "another host key" in verdict["error"]
    assert main(["-C", str(team.folder), "power", "cycle", "alba1", "--yes"]) == 3
    assert "would not come back" in capsys.readouterr().err


def test_one_that_hangs_may_be_restarted_unrehearsed(team):
    workspace = Workspace(team.folder)
    for life in (Life.ENROLLED, Life.INSTALLED):
        workspace.store.servers.move("alba1", life)
    workspace.host_keys.pin("alba1", "system", [new_door_key().public])
    (said,) = refuse_unreturning(workspace, ["alba1"])
    assert "could not be rehearsed" in said
