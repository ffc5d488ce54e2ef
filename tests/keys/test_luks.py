"""Keys of a disk, with the real cryptsetup on a real LUKS2 header."""

import json
import subprocess

import pytest

from metal.drivers.commands import Here
from metal.drivers.luks import Luks, encrypted_disks, unpacked_header
from metal.model.errors import Failed, Refused

FIRST, SECOND, THIRD = "firstkeyfirstkeyfirstkey", "secondkeysecondkey", "thirdkeythirdkey"


def test_a_key_opens_its_slot_and_another_none(disk):
    assert disk.slot_of(FIRST) == 0
    assert disk.slot_of(SECOND) is None


def test_a_key_is_added_once_by_whichever_old_one_fits(disk):
    assert disk.ensure_key(SECOND, by=[THIRD, FIRST]) == 1
    assert disk.ensure_key(SECOND, by=[]) == 1
    assert [slot.number for slot in disk.slots()] == [0, 1]
    assert disk.slot_of(FIRST) == 0


def test_without_a_key_that_fits_nothing_is_added(disk):
    with pytest.raises(Refused, match="none of the keys"):
        disk.ensure_key(SECOND, by=[THIRD])
    assert len(disk.slots()) == 1


def test_the_old_key_goes_and_the_new_one_stays(disk):
    disk.ensure_key(SECOND, by=[FIRST])
    disk.ensure_without(FIRST, keep=SECOND)
    disk.ensure_without(FIRST, keep=SECOND)
    assert disk.slot_of(FIRST) is None
    assert [slot.said for slot in disk.slots()] == ["slot 1: passphrase, pbkdf2"]


@pytest.mark.parametrize("old", [FIRST, SECOND])
def test_the_last_key_is_never_removed(disk, old):
    with pytest.raises(Refused, match="that is to stay"):
        disk.ensure_without(old, keep=SECOND)
    disk.ensure_without(FIRST, keep=FIRST)
    assert disk.slot_of(FIRST) == 0


def test_a_slot_is_emptied_by_its_number_and_that_of_the_key_that_stays_never(disk):
    second = disk.ensure_key(SECOND, by=[FIRST])
    with pytest.raises(Refused, match="that is to stay"):
        disk.ensure_empty([second], keep=SECOND)
    with pytest.raises(Refused, match="that is to stay"):
        disk.ensure_empty([0], keep=THIRD)
    disk.ensure_empty([0, 7], keep=SECOND)
    disk.ensure_empty([0, 7], keep=SECOND)
    assert [slot.number for slot in disk.slots()] == [second]


def test_a_key_with_a_newline_never_reaches_cryptsetup(disk):
    for key in ("short", "with\nnewline", "with blank x", "ümlautumlaut"):
        with pytest.raises(Refused, match="form"):
            disk.slot_of(key)


def test_a_token_tells_what_opens_a_slot_by_itself(disk, file):
    disk.ensure_key(SECOND, by=[FIRST])
    token = {"type": "clevis", "keyslots": ["1"], "jwe": {}}
    argv = ("cryptsetup", "token", "import", "--json-file=-", str(file))
    assert Here().run(argv, stdin=json.dumps(token).encode()).code == 0
    assert [slot.token for slot in disk.slots()] == [None, "clevis"]


def test_a_header_from_escrow_opens_with_the_key_of_its_time(disk, file, tmp_path):
    uuid, text = disk.header()
    told = Here().run(("cryptsetup", "luksUUID", str(file)))
    assert told.out.decode().strip() == uuid
    assert len(text) < 500_000
    file.write_bytes(bytes(20 << 20))
    assert Here().run(("cryptsetup", "isLuks", str(file))).code != 0
    image = tmp_path / "header"
    image.write_bytes(unpacked_header(text))
    argv = ("cryptsetup", "luksHeaderRestore", "--batch-mode", "--header-backup-file", str(image))
    assert Here().run((*argv, str(file))).code == 0
    assert disk.slot_of(FIRST) == 0


def test_what_a_removed_key_left_in_the_header_is_not_kept(disk, file):
    disk.ensure_key(SECOND, by=[FIRST])
    area = disk._metadata()["keyslots"]["0"]["area"]
    disk.ensure_without(FIRST, keep=SECOND)
    offset, size = int(area["offset"]), int(area["size"])
    kept = unpacked_header(disk.header()[1])
    assert kept[offset : offset + size] == bytes(size)


def test_what_is_no_header_is_told(disk, tmp_path):
    with pytest.raises(Failed, match="no header"):
        unpacked_header("AAAA")
    plain = tmp_path / "plain"
    plain.write_bytes(bytes(1 << 20))
    with pytest.raises(Failed, match="read its header"):
        Luks(Here(), str(plain)).slots()
    with pytest.raises(Failed, match="whether the key opens it"):
        Luks(Here(), str(plain)).slot_of(FIRST)


class Elsewhere:
    """This machine with another /etc/crypttab."""

    where = "alba1"

    def __init__(self, crypttab):
        self._crypttab = crypttab

    def run(self, argv, *, stdin=b"", timeout=60.0):
        if argv == ("cat", "/etc/crypttab"):
            argv = ("cat", str(self._crypttab))
        return Here().run(argv, stdin=stdin, timeout=timeout)


def test_only_disks_that_somebody_must_open_are_told(disk, file, tmp_path):
    crypttab = tmp_path / "crypttab"
    crypttab.write_text(
        f"# comment\nroot {file} none luks,discard\n"
        f"swap {file} /dev/urandom swap\nx /no/such none\n"
    )
    assert encrypted_disks(Elsewhere(crypttab)) == [str(file)]
    crypttab.write_text("x /no/such none\n")
    with pytest.raises(Failed, match="installed encrypted"):
        encrypted_disks(Elsewhere(crypttab))
    crypttab.unlink()
    with pytest.raises(Failed, match="cannot be read"):
        encrypted_disks(Elsewhere(crypttab))


def test_no_key_is_in_any_process_list(disk, monkeypatch):
    seen = []
    real = subprocess.Popen

    def noted(argv, *args, **more):
        seen.append((argv, more.get("env")))
        return real(argv, *args, **more)

    monkeypatch.setattr(subprocess, "Popen", noted)
    disk.ensure_key(SECOND, by=[FIRST])
    disk.ensure_without(FIRST, keep=SECOND)
    assert len(seen) > 5
    assert not any(key in f"{said}" for key in (FIRST, SECOND) for said in seen)
