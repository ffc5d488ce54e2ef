"""The key that crossed the boot network is replaced: on a real LUKS2 header, through a real sshd,
and killed with SIGKILL wherever that could hurt."""

import itertools
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest

from metal.drivers.commands import Here
from metal.drivers.luks import Luks, unpacked_header
from metal.drivers.secrets import AgeSecrets
from metal.drivers.ssh import Ssh
from metal.install.rekey import RekeyPorts, rekey
from metal.model.errors import Failed
from metal.model.life import Status
from metal.operations.run import perform
from metal.operations.store import open_store

CHILD = Path(__file__).with_name("rekey_child.py")
CHEAP = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
THROW_AWAY = "firstkeyfirstkeyfirstkey"
STEPS = 8


class Server:
    """A disk that the installer encrypted with the throw-away key, and where it is escrowed."""

    def __init__(self, folder, disk):
        self.folder, self.disk = folder, disk
        self.admin = pyrage.x25519.Identity.generate()
        self.recipient = str(self.admin.to_public())
        self.escrow = AgeSecrets(folder / "secrets", folder / "state", [self.recipient])
        self.escrow.escrow("disk/alba1", THROW_AWAY, controller=True)

    def escrowed(self, name):
        """What an administrator finds; None where nothing is."""
        sealed = self.escrow.sealed(name)
        return pyrage.decrypt(sealed, [self.admin]).decode() if sealed else None

    def opens(self):
        """The names under which an administrator finds a key that opens the disk."""
        names = ("disk/alba1", "disk-next/alba1")
        return [
            n for n in names if (key := self.escrowed(n)) and self.disk.slot_of(key) is not None
        ]

    def old(self):
        key = self.escrow.reveal("disk/alba1")
        return [] if key is None else [key]

    def rekey(self, disk=None, *, pins=(), held=False, alone=True):
        ports = RekeyPorts(self.escrow, lambda: [disk or self.disk], self.old, pins, held=held)
        store = open_store("sqlite", self.folder / "state")
        try:
            operation = store.journal.open("rekey", "alba1", ["server alba1"], {})
            return perform(store, operation, lambda run: rekey(run, "alba1", ports, alone=alone))
        finally:
            store.close()

    def child(self, at, when):
        words = [sys.executable, str(CHILD), str(self.folder), self.recipient, str(at), when]
        return subprocess.run(words, capture_output=True, text=True)

    def assert_rekeyed(self):
        key = self.escrowed("disk/alba1")
        assert key != THROW_AWAY and self.disk.slot_of(key) is not None
        assert self.disk.slot_of(THROW_AWAY) is None
        assert len(self.disk.slots()) == 1
        assert self.escrow.sealed("disk-next/alba1") is None
        assert self.escrow.reveal("disk/alba1") is None


@pytest.fixture
def server(tmp_path, disk):
    return Server(tmp_path, disk)


def test_over_ssh_the_throw_away_goes_and_the_header_is_escrowed(server, sshd, tmp_path):
    over_ssh = Luks(Ssh(sshd.host), server.disk.device, pbkdf=CHEAP)
    outcome = server.rekey(over_ssh)
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    server.assert_rekeyed()
    uuid = Here().run(("cryptsetup", "luksUUID", server.disk.device)).out.decode().strip()
    copy = tmp_path / "copy"
    copy.write_bytes(unpacked_header(server.escrowed(f"header/alba1/{uuid}")))
    kept = Luks(Here(), str(copy))
    assert kept.slot_of(server.escrowed("disk/alba1")) is not None
    assert kept.slot_of(THROW_AWAY) is None


def test_the_controller_keeps_the_key_only_where_the_inventory_says(server):
    assert server.rekey(held=True).status is Status.DONE
    assert server.escrow.reveal("disk/alba1") == server.escrowed("disk/alba1")


def test_a_passphrase_of_a_stranger_is_not_let_stand(server):
    server.disk.ensure_key("astrangerskeyastranger", by=[THROW_AWAY])
    outcome = server.rekey()
    assert outcome.status is Status.FAILED and "1 passphrases that metal does not" in outcome.error
    assert server.opens() == ["disk-next/alba1"]
    server.disk.ensure_without("astrangerskeyastranger", keep=server.escrowed("disk-next/alba1"))
    assert server.rekey().status is Status.DONE
    server.assert_rekeyed()


def test_an_escrow_that_cannot_be_written_leaves_the_disk_alone(server, monkeypatch):
    def full(*_args, **_options):
        raise Failed("could not be escrowed: No space left on device; no key is handed out")

    monkeypatch.setattr(server.escrow, "escrow", full)
    outcome = server.rekey()
    assert "could not be escrowed" in outcome.error
    assert server.opens() == ["disk/alba1"] and len(server.disk.slots()) == 1


def test_a_disk_that_lies_is_not_believed(server):
    """The old key is proven gone by trying, not by the removal's exit code."""

    class Stubborn(Luks):
        def ensure_without(self, old, *, keep):
            return None

        def ensure_empty(self, slots, *, keep):
            return None

    outcome = server.rekey(Stubborn(Here(), server.disk.device, pbkdf=CHEAP))
    assert "an old key opens it still" in outcome.error
    assert server.opens() == ["disk/alba1", "disk-next/alba1"]


class Dark:
    """This machine, whose power goes at the write of one of cryptsetup's commands."""

    def __init__(self, folder, action, at):
        self.where, self._action = "here", action
        library = folder / "cut.so"
        words = ["gcc", "-shared", "-fPIC", "-o", str(library), str(CHILD.with_name("cut.c"))]
        subprocess.run(words, check=True)
        self._dark = Here({"LD_PRELOAD": str(library), "CUT_AT": str(at)})

    def run(self, argv, **options):
        return (self._dark if argv[1] == self._action else Here()).run(argv, **options)


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
@pytest.mark.parametrize(
    ("action", "at", "opens", "slots"),
    [
        ("luksAddKey", 4, ["disk/alba1"], 1),  # the slot's area is written, nothing lists it
        ("luksRemoveKey", 2, ["disk-next/alba1"], 2),  # it is wiped, and still listed
        ("luksRemoveKey", 4, ["disk-next/alba1"], 1),  # of the header's two copies one is new
    ],
)
def test_a_power_cut_while_the_header_is_written(server, tmp_path, action, at, opens, slots):
    disk = server.disk
    dark = Luks(Dark(tmp_path, action, at), disk.device, pbkdf=CHEAP)
    assert "cryptsetup could not" in server.rekey(dark).error
    assert (server.opens(), len(disk.slots())) == (opens, slots)
    outcome = server.rekey()
    assert (outcome.status, outcome.error) == (Status.DONE, "")
    server.assert_rekeyed()


def test_what_a_binding_left_that_was_cut_off_goes(server):
    """Clevis adds a slot, and then the token that says how it is opened."""

    class Cut(Luks):
        def ensure_bound(self, pins, *, by):
            self.ensure_key("aslotofclevisaslot", by=[by])
            raise Failed("the power was cut")

    assert server.rekey(Cut(Here(), server.disk.device, pbkdf=CHEAP)).error
    assert len(server.disk.slots()) == 2
    assert server.rekey().status is Status.DONE
    server.assert_rekeyed()


@pytest.mark.kill
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_every_step_a_working_key_is_escrowed(server, when):
    for at in range(STEPS):
        done = server.child(at, when)
        assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
        assert server.opens(), f"killed {when} step {at}"
    done = server.child(0, "never")
    assert done.returncode == 0, done.stdout + done.stderr
    server.assert_rekeyed()


@pytest.mark.kill
def test_killed_after_every_command_of_cryptsetup_a_working_key_is_escrowed(server):
    for at in itertools.count():
        assert at < 40
        done = server.child(at, "inside")
        assert server.opens(), f"killed after command {at}"
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    assert at >= 4, "it was killed in the steps, too"
    server.assert_rekeyed()
