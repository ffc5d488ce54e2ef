"""A component that no mirror has is made of the ordinary package that it was made of once."""

import lzma
import subprocess

import pytest

from metal.drivers.archive.package import Entry, package
from metal.install.installer.made import MODULES
from metal.install.installer.pinning import ensure_installer, pin_installer
from metal.lab.mirror import KERNEL
from metal.model.errors import Failed

IMAGE = f"linux-image-{KERNEL}"


def put(archive, name, files, **fields):
    control = {"Package": name, "Version": "2.0", "Architecture": "amd64", **fields}
    archive.add_package(package(control, files), control, "trixie")


def lose(archive, *words):
    """The mirror lists them still."""
    archive.files = {
        path: content
        for path, content in archive.files.items()
        if not (path.endswith(".udeb") and any(word in path for word in words))
    }


def forget(archive, suite="trixie"):
    """The mirror has modules of a later kernel alone."""
    lose(archive, "-modules-")
    index = next(path for path in archive.files if "debian-installer/binary-amd64" in path)
    told = lzma.decompress(archive.files[index]).decode().split("\n\n")
    kept = [paragraph for paragraph in told if "Kernel-Version" not in paragraph]
    archive.files[index] = lzma.compress("\n\n".join(kept).encode(), preset=0)


def module(*needs):
    inside = b"\x7fELF\0license=GPL\0depends=" + ",".join(needs).encode() + b"\0name=it\0"
    return Entry(lzma.compress(inside))


def kernel_image(archive):
    where = f"usr/lib/modules/{KERNEL}/kernel"
    files = {
        f"{where}/fs/ext4/ext4.ko.xz": module("mbcache", "jbd2", "crc16"),
        f"{where}/fs/jbd2/jbd2.ko.xz": module(),
        f"{where}/fs/mbcache.ko.xz": module(),
        f"{where}/drivers/md/dm-crypt.ko.xz": module("dm-mod"),
        f"{where}/drivers/md/dm-mod.ko.xz": module(),
        f"{where}/drivers/scsi/qla2xxx/qla2xxx.ko.xz": module("nvme-fabrics"),
        f"{where}/drivers/nvme/host/nvme-fabrics.ko.xz": module(),
        f"{where}/drivers/scsi_of_another_name/other.ko.xz": module(),
        f"{where}/sound/noise.ko.xz": module(),
        "boot/vmlinuz": Entry(b"a kernel"),
    }
    put(archive, IMAGE, files)


def inside(udeb):
    """Its files as dpkg lists them: (mode, path and where a link leads)."""
    listed = subprocess.run(["dpkg-deb", "-c", udeb], check=True, capture_output=True, text=True)
    words = [line.split(None, 5) for line in listed.stdout.splitlines()]
    return {word[5].removeprefix("./"): word[0] for word in words}


def udeb_of(source, pinned, start):
    (name,) = (udeb.name for udeb in pinned.udebs if udeb.name.startswith(start))
    return source.kept / "trixie/udebs" / name


def test_the_modules_of_a_kernel_that_the_mirror_moved_on_from(source, archive):
    forget(archive)
    kernel_image(archive)
    archive.publish("trixie")
    pinned = pin_installer(source, "trixie")
    udeb = udeb_of(source, pinned, "storage-modules")
    modules = {path.rpartition("kernel/")[2].partition(".ko")[0] for path in inside(udeb)}
    assert modules == {
        *("fs/ext4/ext4", "fs/jbd2/jbd2", "fs/mbcache", "drivers/md/dm-crypt"),
        *("drivers/md/dm-mod", "drivers/scsi/qla2xxx/qla2xxx", "drivers/nvme/host/nvme-fabrics"),
    }
    assert all(path.startswith(f"lib/modules/{KERNEL}/") for path in inside(udeb))

    def told(field):
        return subprocess.check_output(["dpkg-deb", "-f", udeb, field], text=True).strip()

    assert told("Provides") == ", ".join(MODULES)
    assert told("Kernel-Version") == KERNEL  # an installer that finds none for its own stops
    assert f"made of ordinary packages, as no mirror has them: {udeb.name.partition('_')[0]}" in (
        pinned.notes
    )
    assert not list((source.kept / "trixie").glob("*.deb"))


def test_a_tool_with_the_libraries_that_are_no_component(source, archive):
    lose(archive, "/e2fsprogs-udeb", "/mdadm-udeb")
    put(archive, "mdadm", {"usr/sbin/mdadm": Entry(b"md", 0o755)})
    wants = "libext2fs2t64 (= 2.0), libblkid1 (>= 1), libc6 | libc7"
    files = {
        "usr/sbin/mke2fs": Entry(b"\x7fELF", 0o755),
        "usr/sbin/mkfs.ext4": Entry(link="mke2fs"),
        "etc/mke2fs.conf": Entry(b"[defaults]"),
        "usr/share/man/man8/mke2fs.8.gz": Entry(b"pages"),
        "usr/lib/systemd/system/e2scrub.timer": Entry(b"[Timer]"),
    }
    put(archive, "e2fsprogs", files, **{"Pre-Depends": wants})
    library = {"usr/lib/libext2fs.so.2": Entry(b"library")}
    put(archive, "libext2fs2t64", library, Source="e2fsprogs (2.0)")
    put(archive, "libblkid1", {"usr/lib/libblkid.so.1": Entry(b"b")}, Source="util-linux")
    archive.publish("trixie")
    pinned = pin_installer(source, "trixie")
    assert inside(udeb_of(source, pinned, "e2fsprogs-udeb")) == {
        "usr/sbin/mke2fs": "-rwxr-xr-x",
        "usr/sbin/mkfs.ext4 -> mke2fs": "lrw-r--r--",
        "etc/mke2fs.conf": "-rw-r--r--",
        "usr/lib/libext2fs.so.2": "-rw-r--r--",
    }
    assert inside(udeb_of(source, pinned, "mdadm-udeb")) == {"usr/sbin/mdadm": "-rwxr-xr-x"}


def test_who_has_the_lock_file_makes_the_same(source, archive):
    forget(archive)
    kernel_image(archive)
    archive.publish("trixie")
    pinned = pin_installer(source, "trixie")
    archive.files = {p: c for p, c in archive.files.items() if not p.startswith("dists/trixie/In")}
    fresh = source._replace(kept=source.kept.with_name("fresh"))
    assert ensure_installer(fresh, "trixie") == pinned


@pytest.mark.parametrize("what", ["partman-base", "e2fsprogs-udeb", "modules"])
def test_what_nothing_is_made_of_is_missed(source, archive, what):
    forget(archive) if what == "modules" else lose(archive, f"/{what}")
    put(archive, "something", {"bin/else": Entry(b"")})
    archive.publish("trixie")
    with pytest.raises(Failed, match="no mirror has all that the installer"):
        pin_installer(source, "trixie")


def test_an_ordinary_package_that_somebody_changed_is_not_used(source, archive):
    lose(archive, "/e2fsprogs-udeb")
    put(archive, "e2fsprogs", {"usr/sbin/mke2fs": Entry(b"good")})
    archive.publish("trixie")
    path = next(path for path in archive.files if "e2fsprogs_2.0" in path)
    archive.files[path] = package({"Package": "e2fsprogs"}, {"usr/sbin/mke2fs": Entry(b"evil")})
    with pytest.raises(Failed, match="so there is no e2fsprogs-udeb"):
        pin_installer(source, "trixie")
