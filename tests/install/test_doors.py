"""The lab's SSH doors, with OpenSSH's own client."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from metal.drivers.luks import Luks, encrypted_disks
from metal.drivers.ssh import Ssh, SshHost, controller_key
from metal.lab.doors import Doors, new_door_key
from metal.lab.luks_double import PretendSystem, format_luks
from metal.lab.machine import DiskState
from metal.model.errors import Refused, Unreachable

pytestmark = pytest.mark.skipif(not shutil.which("ssh"), reason="needs openssh-client")
OLD, NEW = "oldkeyoldkeyoldkey", "newkeynewkeynewkey"
KEY = new_door_key()
ADDRESS = f"127.19.{os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:]}.1"
"""Each process that tests has its own."""
PORT = 6022


@pytest.fixture
def off():
    return threading.Event()


@pytest.fixture
def door(tmp_path: Path, off):
    """A simulated server's SSH, let in with the controller's key: (host, its disk)."""
    identity, public = controller_key(tmp_path)
    disk = DiskState()
    format_luks(disk, OLD)
    doors = Doors()
    doors.start()
    doors.open(ADDRESS, PORT, KEY, [public], PretendSystem("alba1", disk), off)
    yield SshHost("alba1", ADDRESS, (KEY.public,), PORT, identity=identity), disk
    off.set()
    doors.stop()


def test_the_key_of_its_disk_is_replaced_through_it(door):
    host, _ = door
    (device,) = encrypted_disks(Ssh(host))
    disk = Luks(Ssh(host), device)
    assert (disk.slot_of(OLD), disk.slot_of(NEW)) == (0, None)
    assert disk.ensure_key(NEW, by=[OLD]) == 1
    disk.ensure_without(OLD, keep=NEW)
    assert [slot.said for slot in disk.slots()] == ["slot 1: passphrase, argon2id"]
    assert disk.header()[0] in device


def test_who_is_not_let_in_or_sees_another_host_key_gets_nothing(door, tmp_path):
    host, _ = door
    (tmp_path / "other").mkdir()
    stranger = SshHost("alba1", ADDRESS, host.host_keys, PORT)
    stranger = SshHost(**{**vars(stranger), "identity": controller_key(tmp_path / "other")[0]})
    with pytest.raises(Refused, match="does not let"):
        Ssh(stranger).run(["cat", "/etc/crypttab"])
    with pytest.raises(Refused, match="another host key"):
        Ssh(SshHost(**{**vars(host), "host_keys": (new_door_key().public,)})).run(["true"])


def test_a_server_without_power_answers_nobody(door, off):
    host, _ = door
    assert Ssh(host).run(["cat", "/etc/crypttab"]).code == 0
    off.set()
    for _ in range(200):
        try:
            Ssh(host).run(["true"])
        except Unreachable:
            return
    raise AssertionError("it answers still")
