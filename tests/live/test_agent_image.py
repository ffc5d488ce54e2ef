"""The image install of the live system's agent, as far as it goes without a machine."""

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from metal.live.agent import image, system, volumes
from metal.live.agent.__main__ import RESTART, perform
from metal.live.agent.programs import Failed, must


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root of one file, as the site makes it."""
    tar = tmp_path / "root.tar"
    with tarfile.open(tar, "w") as file:
        member = tarfile.TarInfo("./etc/debian_version")
        member.size = 5
        file.addfile(member, io.BytesIO(b"13.2\n"))
    subprocess.run(["zstd", "-q", tar, "-o", tmp_path / "root.tar.zst"], check=True)
    return tmp_path / "root.tar.zst"


def unpack(root: Path, sha256: str, target: Path) -> None:
    target.mkdir()
    talk: Any = SimpleNamespace(progress=lambda *_: None)
    told = {"sha256": sha256, "bytes": root.stat().st_size}
    image.unpack(talk, root.as_uri(), told, target)


def test_what_was_pinned_is_unpacked(root: Path, tmp_path: Path) -> None:
    unpack(root, hashlib.sha256(root.read_bytes()).hexdigest(), tmp_path / "new")
    assert (tmp_path / "new/etc/debian_version").read_text() == "13.2\n"


@pytest.mark.parametrize("spoil", ["another", "torn", "none"])
def test_anything_else_ends_the_install(root: Path, tmp_path: Path, spoil: str) -> None:
    digest = hashlib.sha256(root.read_bytes()).hexdigest()
    if spoil == "torn":
        root.write_bytes(root.read_bytes()[:-20])
    elif spoil == "none":
        root.write_bytes(b"no archive at all")
    wrong = digest if spoil != "another" else "0" * 64
    with pytest.raises(Failed, match="unpacking"):
        unpack(root, wrong, tmp_path / "new")


def block(folder: Path, name: str, **files: str) -> None:
    (folder / name / "device").mkdir(parents=True)
    for file, text in {"size": "2000", **files}.items():
        (folder / name / file.replace("__", "/")).write_text(text)


@pytest.fixture
def disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (volumes, volumes.disks):
        monkeypatch.setattr(module, "BLOCK", tmp_path)
    monkeypatch.setattr(volumes.disks, "in_use", lambda _disk: False)
    monkeypatch.setattr(volumes.disks, "found", list)
    block(tmp_path, "sda", device__vpd_pg80="\0\0\0\x14  Q M00013  ")
    block(tmp_path, "nvme0n1", device__serial="PHKS1234 ")
    block(tmp_path, "vda", serial="V1")
    block(tmp_path, "loop0", serial="V1")
    return tmp_path


@pytest.mark.parametrize(
    ("serial", "disk"), [("Q_M00013", "sda"), ("PHKS1234", "nvme0n1"), ("V1", "vda")]
)
def test_a_disk_is_found_by_its_serial_number_as_udev_writes_it(
    disks: Path, serial: str, disk: str
) -> None:
    assert volumes.find({"name": "sdx", "serial": serial}) == f"/dev/{disk}"
    assert volumes.find({"name": disk, "serial": ""}) == f"/dev/{disk}"


def test_unless_exactly_one_is_it_none_is_touched(disks: Path) -> None:
    block(disks, "vdb", serial="V1")
    for wanted in ({"name": "sdx", "serial": ""}, {"name": "vda", "serial": "V1"}):
        with pytest.raises(volumes.Unfit, match="none is touched"):
            volumes.find(wanted)


def test_a_disk_in_use_is_not_touched(disks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes.disks, "in_use", lambda _disk: True)
    with pytest.raises(volumes.Unfit, match="in use"):
        volumes.find({"name": "vda", "serial": "V1"})


def test_a_link_in_the_image_leads_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").symlink_to(outside)
    system._put(tmp_path / "etc/resolv.conf", "nameserver ::1\n")
    assert outside.read_text() == "mine"
    assert not (tmp_path / "etc/resolv.conf").is_symlink()


def test_the_late_commands_stop_at_the_first_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "LATE", tmp_path / "late.sh")
    with pytest.raises(Failed):
        system.late(f"set -e\nfalse\ntouch {tmp_path}/after\n", tmp_path)
    assert not (tmp_path / "after").exists() and not (tmp_path / "late.sh").exists()


def test_a_program_that_must_succeed() -> None:
    with pytest.raises(Failed, match=r"ls.*No such file"):
        must(["ls", "/no/such"])


@pytest.mark.parametrize("ok", [True, False])
def test_only_an_install_that_succeeded_restarts_the_machine(
    ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(*_: Any) -> None:
        if not ok:
            raise Failed("no")

    monkeypatch.setitem(perform.__globals__["KINDS"], "image", act)
    ends: list[dict[str, Any]] = []
    talk: Any = SimpleNamespace(job=lambda: {"kind": "image"}, end=ends.append)
    assert perform(talk, {}) == (RESTART if ok else 0)
    assert [end["ok"] for end in ends] == [ok]
