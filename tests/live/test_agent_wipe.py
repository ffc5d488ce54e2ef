"""What the agent does to disks for good, and what it leaves alone: files that are opened as disks,
and programs that do to them what nvme and hdparm would, or only say so."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from metal.live.agent import disks, surface, wipe
from metal.live.agent.disks import Disk

MIB = 2**20
DATA = b"somebody's data. " * 4096


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing in it is in use; its `bin` is where programs are looked for first."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(disks, "in_use", lambda _disk: False)
    try:
        made(tmp_path, "probe", 1).path and surface.size(str(tmp_path / "probe"))
    except OSError:
        pytest.skip("this file system knows no O_DIRECT")
    return tmp_path


def made(folder: Path, name: str, mib: int, *, transport: str = "sas", odd: int = 0) -> Disk:
    """A disk of zeros that take no room."""
    file = folder / name
    with file.open("wb") as new:
        new.truncate(mib * MIB + odd)
    told = {"name": name, "serial": name, "size_bytes": mib * MIB + odd, "transport": transport}
    return Disk(name, str(file), "sat", name, told=dict(told))


def put(disk: Disk, offset: int, data: bytes = DATA) -> None:
    with Path(str(disk.path)).open("r+b") as file:
        file.seek(offset)
        file.write(data)


def held(disk: Disk, offset: int, data: bytes = DATA) -> bool:
    with Path(str(disk.path)).open("rb") as file:
        file.seek(offset)
        return file.read(len(data)) == data


def program(folder: Path, name: str, script: str) -> None:
    file = folder / "bin" / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def quiet(_fraction: float, _text: str) -> None:
    pass


class Ears:
    def __init__(self) -> None:
        self.heard: dict[str, Any] = {}

    def progress(self, *_: Any) -> None:
        pass

    def evidence(self, _name: str, body: dict[str, Any]) -> None:
        self.heard[body["serial"]] = body


# ── one that dies ────────────────────────────────────────────────────────────────────────────────


def test_a_disk_that_dies_keeps_no_other_from_being_erased(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, sound = made(folder, "SGONE", 2), made(folder, "SOUND", 4)
    Path(str(gone.path)).unlink()
    put(sound, 0)
    monkeypatch.setattr(disks, "found", lambda: [gone, sound])
    ears = Ears()
    wipe.perform({"serials": ["SGONE", "SOUND", "S404"]}, ears, {})  # type: ignore[arg-type]
    assert "No such file" in ears.heard["SGONE"]["why"]
    assert ears.heard["SOUND"]["verified"] == "zeros"
    assert ears.heard["S404"]["why"] == "no disks there have that serial number"


# ── proof ────────────────────────────────────────────────────────────────────────────────────────


def test_a_format_that_does_nothing_is_not_believed_of_a_disk_of_zeros(folder: Path) -> None:
    """The data lies where no sample is: only noise that was written before shows that nothing was
    erased. What is left, overwriting, does it."""
    disk = made(folder, "S1", 600, transport="nvme", odd=832 * 1024)
    put(disk, 3 * MIB + 4096)
    assert 3 * MIB not in surface.samples(disk.told["size_bytes"])
    program(folder, "nvme", "exit 0")
    said = wipe.erase(disk, quiet)
    assert (said["method"], said["verified"]) == ("overwrite with zeros", "zeros")
    assert "NVMe format" in said["tried"][0]
    assert not held(disk, 3 * MIB + 4096)
    assert not held(disk, disk.told["size_bytes"] - 512, os.urandom(512))


@pytest.mark.parametrize(("source", "proof"), [("zero", "zeros"), ("urandom", "changed")])
def test_a_format_that_erases_is_believed(folder: Path, source: str, proof: str) -> None:
    disk = made(folder, "S1", 5, transport="nvme")
    program(folder, "nvme", f"head -c {5 * MIB} /dev/{source} > {disk.path}")
    said = wipe.erase(disk, quiet)
    assert (said["method"], said["verified"]) == ("NVMe format, user data erase", proof)
    assert said["samples"] == 5


def test_overwriting_leaves_zeros_or_it_did_not_happen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = made(folder, "S1", 4)

    def noise(disk: Disk, _tell: Any) -> str:
        put(disk, 0, os.urandom(4 * MIB))
        return ""

    monkeypatch.setattr(wipe, "_overwrite", noise)
    said = wipe.erase(disk, quiet)
    assert "method" not in said and "verified" not in said


def test_a_write_that_is_cut_short_is_no_erasure(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, write = made(folder, "S1", 4), os.pwritev

    def cut(fd: int, pieces: list[Any], offset: int) -> int:
        return write(fd, pieces, offset) if offset != 2 * MIB else 512

    monkeypatch.setattr(os, "pwritev", cut)
    assert "a part of what was written at 2097152" in wipe._overwrite(disk, quiet)


def test_a_disk_that_nothing_could_be_written_to_proves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = made(folder, "S1", 4, transport="nvme")
    program(folder, "nvme", "exit 0")

    def refused(*_: Any) -> int:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "pwritev", refused)
    said = wipe.erase(disk, quiet)
    assert "method" not in said
    assert said["why"].endswith("overwrite with zeros: writing failed: Operation not permitted")


# ── a password that was left ─────────────────────────────────────────────────────────────────────

HDPARM = """state={folder}/security
for last; do disk=$last; done
case "$*" in
  -I*) printf 'Security:\\n\\t\\tsupported\\n'
       grep -q enabled $state && printf '\\t\\tenabled\\n' || printf '\\tnot\\tenabled\\n'
       grep -q locked $state && printf '\\t\\tlocked\\n' || printf '\\tnot\\tlocked\\n'
       printf '\\tnot\\tfrozen\\n' ;;
  *--security-unlock\\ metal*) sed -i s/locked// $state ;;
  *--security-disable\\ metal*) grep -q locked $state && exit 5; : > $state ;;
  *--security-set-pass\\ metal*) echo enabled > $state ;;
  *--security-erase\\ metal*) grep -q enabled $state || exit 5
       head -c {bytes_} /dev/zero > $disk; : > $state ;;
  *) exit 22 ;;
esac"""


@pytest.mark.parametrize("left", ["", "enabled", "enabled locked"])
def test_a_disk_that_an_interrupted_erasure_left_locked_is_opened(folder: Path, left: str) -> None:
    disk = made(folder, "S1", 4, transport="sata")
    program(folder, "hdparm", HDPARM.format(folder=folder, bytes_=4 * MIB))
    (folder / "security").write_text(left)
    said = wipe.erase(disk, quiet)
    assert (said["method"], said["tried"]) == ("ATA secure erase", [])
    assert (folder / "security").read_text() == "", "no password is left"


# ── what a burn-in may overwrite ─────────────────────────────────────────────────────────────────

SUPERBLOCK = (0xA92B4EFC).to_bytes(4, "little") + b"md superblock 1.0"
VMFS = (0xC001D00D).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("mib", "odd", "offset", "data"),
    [
        (100, 832 * 1024, 100 * MIB + 824 * 1024, SUPERBLOCK),  # in what is no whole MiB
        (400, 0, MIB, VMFS),  # between the samples, known by its signature
        (400, 0, 2 * MIB + 512, b"x"),  # between the samples, met by reading all of it
    ],
)
def test_what_is_not_blank_is_not_written(
    folder: Path, mib: int, odd: int, offset: int, data: bytes
) -> None:
    disk = made(folder, "S1", mib, odd=odd)
    put(disk, offset, data)
    disks._guarded(disk, ["S1"], time.monotonic() + 60)
    assert (disk.told["blank"], disk.told["write_why"]) == (False, "it is not blank")
    assert "written_mib" not in disk.told
    assert held(disk, offset, data)


def test_what_the_reading_did_not_get_to_is_looked_at_before_it_is_written(folder: Path) -> None:
    disk = made(folder, "S1", 200)
    put(disk, 7 * MIB)  # in the last pass
    disks._write(disk, 200 * MIB, time.monotonic() + 60)
    assert held(disk, 7 * MIB)
    assert disk.told["blank"] is False and "left alone" in disk.told["write_why"]
    assert 0 < disk.told["written_mib"] < 200 and disk.told["mismatches"] == 0


def test_nothing_is_written_where_the_first_look_meets_data(folder: Path) -> None:
    disk = made(folder, "S1", 4)
    put(disk, MIB)
    disks._write(disk, 4 * MIB, time.monotonic() + 60)
    assert held(disk, MIB) and disk.told["written_mib"] is None


def test_a_disk_smaller_than_a_block_is_not_known_to_be_blank(folder: Path) -> None:
    assert surface.blank(str(made(folder, "S1", 0, odd=512 * 1024).path), 512 * 1024) is None


def test_the_last_sample_ends_with_the_disk() -> None:
    for bytes_ in (MIB, 3 * MIB + 512, 1000 * MIB + 832 * 1024):
        assert surface.samples(bytes_)[-1] + MIB == bytes_
