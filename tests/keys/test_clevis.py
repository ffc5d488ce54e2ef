"""Disks that open themselves: a real LUKS2 header, clevis, Tang servers and an emulated TPM."""

import hashlib
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pyrage
import pytest

from metal.controller.key_checks import verify
from metal.drivers.clevis import Bound, Clevis, bindings, clevis_config
from metal.drivers.commands import Here
from metal.drivers.identities import from_text
from metal.drivers.luks import Luks, unpacked_header
from metal.drivers.secrets import AgeSecrets
from metal.install.rekey import RekeyPorts, rekey
from metal.lab.luks_double import PretendSystem, format_luks
from metal.lab.machine import DiskState
from metal.model.errors import Failed, Refused
from metal.model.keys import TangPin, TpmPin
from metal.model.life import Status
from metal.operations.run import perform
from metal.operations.store import open_store

FIRST = "firstkeyfirstkeyfirstkey"
CHEAP = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
TANGD, KEYGEN = "/usr/libexec/tangd", "/usr/libexec/tangd-keygen"


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _until_open(port):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError(f"nothing listens on {port}")


class Tang:
    """A real Tang server; socat stands in for systemd's socket."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, _free_port()
        folder.mkdir()
        self.new_keys()
        self.process = None
        self.start()

    def new_keys(self):
        """A new pair; the old ones are advertised no more."""
        for file in self.folder.glob("*.jwk"):
            file.rename(file.with_name(f".{file.name}"))
        assert Here().run((KEYGEN, str(self.folder))).code == 0

    def start(self):
        listen = f"TCP-LISTEN:{self.port},bind=127.0.0.1,fork,reuseaddr"
        self.process = subprocess.Popen(
            ["socat", listen, f"EXEC:{TANGD} {self.folder}"], stderr=subprocess.DEVNULL
        )
        _until_open(self.port)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    @property
    def entry(self):
        """As in the inventory: (URL, thumbprint)."""
        told = Here().run(("tang-show-keys", str(self.port)))
        assert told.code == 0, told.err
        return f"http://127.0.0.1:{self.port}", told.out.decode().split()[0]


@pytest.fixture
def tang(tmp_path):
    """Starts Tang servers: `one, two = tang(2)`."""
    missing = [x for x in ("clevis", "clevis-luks-bind", "socat", "jose") if not shutil.which(x)]
    if missing or not Path(TANGD).exists():
        pytest.skip("needs clevis-luks, tang and socat")
    running = []

    def start(count):
        found = [Tang(tmp_path / f"tang{n}") for n in range(count)]
        running.extend(found)
        return found

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def tpm(tmp_path):
    """The environment in which programs find an emulated TPM 2.0."""
    if not shutil.which("swtpm") or not shutil.which("clevis-encrypt-tpm2"):
        pytest.skip("needs swtpm, clevis-tpm2 and libtss2-tcti-swtpm0")
    state, door = tmp_path / "tpm", tmp_path / "door"
    state.mkdir()
    words = f"--tpmstate dir={state} --flags not-need-init,startup-clear"
    words += f" --server type=unixio,path={door}"
    words += f" --ctrl type=unixio,path={door}.ctrl"  # where tpm2-tss looks
    process = subprocess.Popen(["swtpm", "socket", "--tpm2", *words.split()])
    environment = {"TPM2TOOLS_TCTI": f"swtpm:path={door}"}
    try:
        deadline = time.monotonic() + 120  # Two cores may be busy.
        while Here(environment).run(("tpm2_pcrread", "sha256:7")).code:
            assert time.monotonic() < deadline, "the TPM did not start"
        yield environment
    finally:
        process.terminate()
        process.wait()


def said(disk):
    return [(slot.number, slot.token) for slot in disk.slots()]


def clevis(disk):
    return Clevis(Here(), disk.device)


def test_enough_tang_servers_open_it_and_a_stolen_server_stays_locked(disk, tang):
    one, two, three = tang(3)
    pin = TangPin(2, (one.entry, two.entry, three.entry))
    assert disk.ensure_bound([pin], by=FIRST) == [f"bound to {pin.said}"]
    assert said(disk) == [(0, None), (1, "clevis")]
    three.stop()  # one site's fire
    assert clevis(disk).opens(1)
    two.stop()
    assert not clevis(disk).opens(1)
    two.start()
    assert clevis(disk).opens(1)
    three.start()


def test_what_is_bound_already_is_left_alone_though_a_tang_server_is_away(disk, tang):
    one, two = tang(2)
    pin = TangPin(1, (one.entry, two.entry))
    disk.ensure_bound([pin], by=FIRST)
    two.stop()
    assert disk.ensure_bound([pin], by=FIRST) == []
    other_order = TangPin(1, (pin.servers[1], pin.servers[0]))
    assert disk.ensure_bound([other_order], by=FIRST) == []
    assert said(disk) == [(0, None), (1, "clevis")]
    two.start()


def test_a_changed_policy_binds_anew_and_unbinds_the_old(disk, tang):
    one, two = tang(2)
    disk.ensure_bound([TangPin(1, (one.entry,))], by=FIRST)
    pin = TangPin(2, (one.entry, two.entry))
    done = disk.ensure_bound([pin], by=FIRST)
    assert done == [f"bound to {pin.said}", "slot 1 opens by itself no more"]
    assert said(disk) == [(0, None), (2, "clevis")]
    assert disk.ensure_bound([], by=FIRST) == ["slot 2 opens by itself no more"]
    assert said(disk) == [(0, None)]
    assert disk.ensure_bound([], by=FIRST) == []


def test_new_keys_of_a_tang_server_are_bound_to(disk, tang):
    (one,) = tang(1)
    before = one.entry
    disk.ensure_bound([TangPin(1, (before,))], by=FIRST)
    one.new_keys()
    assert one.entry != before
    assert len(disk.ensure_bound([TangPin(1, (one.entry,))], by=FIRST)) == 2


def test_a_tang_server_with_another_key_is_not_trusted(disk, tang):
    one, two = tang(2)
    stranger = TangPin(1, ((one.entry[0], two.entry[1]),))
    with pytest.raises(Failed, match="could not be bound") as caught:
        disk.ensure_bound([stranger], by=FIRST)
    assert "tang-show-keys" in caught.value.mend
    assert said(disk) == [(0, None)]


def test_the_key_that_is_to_bind_must_open_it(disk, tang):
    (one,) = tang(1)
    with pytest.raises(Failed):
        disk.ensure_bound([TangPin(1, (one.entry,))], by="anotherkeyanotherkey")
    assert said(disk) == [(0, None)]


def test_a_tpm_opens_it_until_what_was_measured_changes(disk, tpm):
    runner = Here(tpm)
    bound = Luks(runner, disk.device, pbkdf=CHEAP)
    assert bound.ensure_bound([TpmPin((7,))], by=FIRST) == ["bound to its TPM, PCR 7"]
    assert bound.ensure_bound([TpmPin((7,))], by=FIRST) == []
    assert Clevis(runner, disk.device).opens(1)
    other_firmware = hashlib.sha256(b"another boot loader").hexdigest()
    assert runner.run(("tpm2_pcrextend", f"7:sha256={other_firmware}")).code == 0
    assert not Clevis(runner, disk.device).opens(1)
    assert disk.slot_of(FIRST) == 0


def test_both_ways_each_suffices(disk, tang, tpm):
    (one,) = tang(1)
    runner = Here(tpm)
    pins = [TangPin(1, (one.entry,)), TpmPin((7,))]
    Luks(runner, disk.device, pbkdf=CHEAP).ensure_bound(pins, by=FIRST)
    one.stop()
    assert [Clevis(runner, disk.device).opens(slot) for slot in (1, 2)] == [False, True]
    one.start()


def test_a_header_put_back_opens_itself_too(disk, tang, tmp_path):
    (one,) = tang(1)
    disk.ensure_bound([TangPin(1, (one.entry,))], by=FIRST)
    copy = tmp_path / "copy"
    copy.write_bytes(unpacked_header(disk.header()[1]))
    assert Clevis(Here(), str(copy)).opens(1)


def test_a_re_key_binds_as_the_policy_says_and_escrows_that_header(disk, tang, tmp_path):
    (one,) = tang(1)
    admin = pyrage.x25519.Identity.generate()
    escrow = AgeSecrets(tmp_path / "secrets", tmp_path / "state", [str(admin.to_public())])
    escrow.escrow("disk/alba1", FIRST, controller=True)
    pins = [TangPin(1, (one.entry,))]
    old = lambda: [escrow.reveal("disk/alba1")]  # noqa: E731
    ports = RekeyPorts(escrow, lambda: [disk], old, pins, held=False)
    store = open_store("sqlite", tmp_path / "state")
    operation = store.journal.open("rekey", "alba1", [], {})
    done = perform(store, operation, lambda run: rekey(run, "alba1", ports, alone=True))
    store.close()
    assert (done.status, done.error) == (Status.DONE, "")
    assert said(disk) == [(1, None), (2, "clevis")] or said(disk) == [(0, "clevis"), (1, None)]
    (name,) = [n for n in escrow.names() if n.startswith("header/")]
    header = pyrage.decrypt(escrow.sealed(name), [admin]).decode()
    copy = tmp_path / "copy"
    copy.write_bytes(unpacked_header(header))
    (bound,) = bindings(Luks(Here(), str(copy))._metadata())
    assert bound.is_(pins[0]) and Clevis(Here(), str(copy)).opens(bound.slot)


def test_verify_says_whether_it_is_bound_as_the_policy_says(disk, tang, tmp_path):
    """The escrow's side is not looked at again here: `disks` is where the policy is held to."""
    one, two = tang(2)
    escrow, ana = escrowed(tmp_path)
    pin, other = TangPin(1, (one.entry,)), TangPin(1, (two.entry,))

    def verdict(*pins):
        return verify(escrow, "alba1", ana, lambda _server: [disk], pins)

    assert "no slot is bound to" in verdict(pin).error
    disk.ensure_bound([pin], by=FIRST)
    assert verdict(pin).works[-1] == f"slot 1 of {disk.device} opens itself by {pin.said}"
    assert f"no slot is bound to {other.said}" in verdict(other).error
    assert "that the inventory does not name" in verdict().error
    one.stop()
    broken = verdict(pin)
    assert broken.exit_code == 1 and "does not open it now" in broken.error
    assert "metal keys rotate alba1" in broken.error
    one.start()
    assert not verdict(pin).error


def escrowed(folder):
    """The disk's key in escrow to Ana, and her identity."""
    identity = pyrage.x25519.Identity.generate()
    escrow = AgeSecrets(folder / "secrets", folder / "state", [str(identity.to_public())])
    escrow.escrow("disk/alba1", FIRST, controller=False)
    return escrow, from_text(folder / "ana.key", str(identity))


def test_the_labs_double_binds_too():
    double = DiskState()
    format_luks(double, FIRST)
    system = PretendSystem("alba1", double)
    disk = Luks(system, f"/dev/disk/by-uuid/{double.luks_uuid}")
    assert disk.ensure_bound([TpmPin((7,))], by=FIRST) == ["bound to its TPM, PCR 7"]
    assert disk.ensure_bound([TpmPin((7,))], by=FIRST) == []
    tang = TangPin(1, (("http://t", "A" * 43),))
    assert disk.ensure_bound([tang], by=FIRST)[1] == "slot 1 opens by itself no more"
    assert [slot.token for slot in disk.slots()] == [None, "clevis"]


def test_without_clevis_it_says_what_to_install(disk):
    class Bare(Here):
        def run(self, argv, **options):
            return super().run(("env", "-i", "PATH=/usr/sbin:/nowhere", *argv), **options)

    pin = TangPin(1, (("http://127.0.0.1:1", "A" * 43),))
    with pytest.raises(Refused, match="not installed") as caught:
        Luks(Bare(), disk.device).ensure_bound([pin], by=FIRST)
    assert "clevis-initramfs" in caught.value.mend


def test_tokens_of_another_making_are_no_pin_of_ours():
    pins = [TangPin(1, (("http://t", "A" * 43),)), TpmPin((7,))]
    for jwe in (None, {}, {"protected": "!"}, {"protected": "e30"}, {"protected": 5}):
        assert not any(Bound(1, jwe).is_(pin) for pin in pins)
    assert bindings({"tokens": {"0": {"type": "systemd-tpm2", "keyslots": ["1"]}}}) == []
    assert clevis_config(pins[1]) == ("tpm2", '{"pcr_bank": "sha256", "pcr_ids": "7"}')
