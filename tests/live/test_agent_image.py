"""The image install of the live system's agent, as far as it goes without a machine."""

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from metal.live.agent import image, loader, system, volumes
from metal.live.agent.__main__ import RESTART, perform
from metal.live.agent.programs import Done, Failed, must


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


def unpack(root: Path, blake2b: str, target: Path) -> None:
    target.mkdir()
    talk: Any = SimpleNamespace(progress=lambda *_: None)
    told = {"blake2b": blake2b, "bytes": root.stat().st_size}
    image.unpack(talk, root.as_uri(), told, target)


def test_what_was_pinned_is_unpacked(root: Path, tmp_path: Path) -> None:
    unpack(root, hashlib.blake2b(root.read_bytes()).hexdigest(), tmp_path / "new")
    assert (tmp_path / "new/etc/debian_version").read_text() == "13.2\n"


@pytest.mark.parametrize("spoil", ["another", "torn", "none"])
def test_anything_else_ends_the_install(root: Path, tmp_path: Path, spoil: str) -> None:
    digest = hashlib.blake2b(root.read_bytes()).hexdigest()
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
    assert volumes.find([{"name": "sdx", "serial": serial}]) == [f"/dev/{disk}"]
    assert volumes.find([{"name": disk, "serial": ""}]) == [f"/dev/{disk}"]


def test_unless_exactly_one_is_it_none_is_touched(disks: Path) -> None:
    block(disks, "vdb", serial="V1")
    for wanted in ({"name": "sdx", "serial": ""}, {"name": "vda", "serial": "V1"}):
        with pytest.raises(volumes.Unfit, match="none is touched"):
            volumes.find([wanted])


def test_a_disk_in_use_is_not_touched(disks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes.disks, "in_use", lambda _disk: True)
    with pytest.raises(volumes.Unfit, match="in use"):
        volumes.find([{"name": "vda", "serial": "V1"}])


SDA, NVME = {"name": "sda", "serial": ""}, {"name": "sdx", "serial": "PHKS1234"}


def test_two_disks_are_found_in_their_order(disks: Path) -> None:
    assert volumes.find([NVME, SDA]) == ["/dev/nvme0n1", "/dev/sda"]


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ({"name": "sda", "serial": "Q_M00013"}, "mirror of itself"),
        ({"name": "sdb", "serial": "GONE"}, "0 disks are sdb GONE"),
    ],
)
def test_unless_the_second_is_there_and_another_none_is_touched(
    disks: Path, second: dict[str, str], why: str
) -> None:
    with pytest.raises(volumes.Unfit, match=f"{why}.*none is touched"):
        volumes.find([SDA, second])


RECIPE: dict[str, Any] = {
    "outside": [
        {"minimum": 538, "priority": 538, "maximum": 1075, "method": "efi", "filesystem": "vfat",
         "mount": "/boot/efi"},
        {"minimum": 1024, "priority": 1024, "maximum": 1024, "method": "format",
         "filesystem": "ext4", "mount": "/boot"},
    ],
    "volumes": [{"minimum": 8192, "priority": 20000, "maximum": -1, "method": "format",
                 "filesystem": "ext4", "mount": "/", "volume": "root"}],
    "group": "system",
}  # fmt: skip


@pytest.fixture
def said(disks: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What volumes would have run; each command succeeds, and 90 GB are free."""
    words: list[str] = []

    def ran(argv: list[str], *_: Any, **__: Any) -> Done:
        words.append(" ".join(argv))
        return Done(0, str(90 * 10**9), "")

    monkeypatch.setattr(volumes, "must", ran)
    monkeypatch.setattr(volumes, "run", ran)
    monkeypatch.setattr(volumes, "MD_SPEED", disks / "speed")
    monkeypatch.setattr(volumes, "_wait_for", lambda _: None)
    return words


def test_two_disks_are_divided_alike_and_hold_the_same(disks: Path, said: list[str]) -> None:
    (disks / "sda/size").write_text(str(100 * 10**9 // 512))
    (disks / "nvme0n1/size").write_text(str(120 * 10**9 // 512))
    made = volumes.make(RECIPE, ["/dev/nvme0n1", "/dev/sda"], "alba1", "key")
    create = "mdadm --create /dev/md{0} --run --metadata=1.2 --level=1 --homehost=alba1 --name={0}"
    assert [x for x in said if "mdadm" in x] == [
        f"{create.format(0)} --raid-devices=2 /dev/nvme0n1p2 /dev/sda2",
        f"{create.format(1)} --raid-devices=2 /dev/nvme0n1p3 /dev/sda3",
    ]
    assert made.filesystems == [
        ("/dev/nvme0n1p1", "vfat", "/boot/efi"),
        ("/dev/md0", "ext4", "/boot"),
        ("/dev/mapper/system-root", "ext4", "/"),
    ]
    assert (made.encrypted, made.mapping) == ("/dev/md1", "md1_crypt")
    said.clear()
    volumes.close(made)
    assert said[-2:] == ["mdadm --stop /dev/md0", "mdadm --stop /dev/md1"]


def test_the_smaller_of_two_must_be_large_enough_and_else_none_is_touched(
    disks: Path, said: list[str]
) -> None:
    (disks / "sda/size").write_text(str(9 * 10**9 // 512))
    (disks / "nvme0n1/size").write_text(str(120 * 10**9 // 512))
    with pytest.raises(volumes.Unfit, match="/dev/sda: it has"):
        volumes.make(RECIPE, ["/dev/nvme0n1", "/dev/sda"], "alba1", "key")
    assert said == []


@pytest.mark.parametrize("efi", [True, False])
def test_the_loader_is_put_where_either_of_two_disks_starts_the_machine(
    efi: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def ran(argv: list[str], **told: Any) -> Done:
        said.append(" ".join(argv) + f" <{told.get('stdin', '')}")
        return Done(0, "", "")

    monkeypatch.setattr(loader, "must", ran)
    monkeypatch.setattr(loader, "EFI", tmp_path if efi else tmp_path / "none")
    (tmp_path / "etc/default").mkdir(parents=True)
    (tmp_path / "etc/default/grub").write_text('GRUB_CMDLINE_LINUX=""\n')
    loader.install(["/dev/sda", "/dev/sdb"], "console=ttyS0", tmp_path)
    words = "\n".join(said)
    if efi:
        assert "grub-install --target=x86_64-efi --recheck --force-extra-removable" in words
        assert "grub-efi-amd64 grub2/force_efi_extra_removable boolean true" in words
    else:
        assert [w.split()[-2] for w in said if "grub-install" in w] == ["/dev/sda", "/dev/sdb"]
        assert "grub-pc/install_devices multiselect /dev/sda, /dev/sdb" in words


@pytest.mark.parametrize("kind", ["efi", "bios"])
def test_the_new_system_has_the_loader_of_its_firmware_and_no_other(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, made = tmp_path / "target", tmp_path / "made"
    (target / loader.LOADERS).mkdir(parents=True)
    (target / "status").write_text("none")
    for each in ("efi", "bios"):
        made.mkdir(exist_ok=True)
        (made / "status").write_text(each)
        archive = target / loader.LOADERS / f"{each}.tar.zst"
        subprocess.run(["tar", "--zstd", "-cf", archive, "-C", made, "status"], check=True)
    monkeypatch.setattr(loader, "EFI", made if kind == "efi" else tmp_path / "none")
    loader.unpack(target)
    assert (target / "status").read_text() == kind
    assert not (target / loader.LOADERS).exists()


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
