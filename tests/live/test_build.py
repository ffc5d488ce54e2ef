"""What goes into the live system's archive, and that the kernel's format is kept."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from metal.live import build
from metal.live.contents import wanted
from metal.live.cpio import Cpio
from metal.model.errors import BadInput, Unreachable

STATUS = """Package: kmod
Status: install ok installed
Version: 34.2-2
Description: tools
 Package: not this one

Package: zstd
Version: 1.5.7+dfsg-1
"""


@pytest.mark.parametrize(
    ("path", "goes_in"),
    [
        ("usr/bin/stress-ng", True),
        ("usr/share/doc/zstd/copyright", False),
        ("usr/lib/x86_64-linux-gnu/libLLVM.so.19.1", False),
        ("boot/initrd.img-6.12.1", False),
        ("usr/lib/modules/6.12.1/kernel/drivers/gpu/drm/i915/i915.ko.xz", False),
        ("usr/lib/modules/6.12.1/kernel/drivers/scsi/megaraid/megaraid_sas.ko.xz", True),
        ("usr/lib/modules/6.12.1/kernel/drivers/net/ethernet/intel/ixgbe/ixgbe.ko.xz", True),
        ("usr/lib/modules/6.12.1/kernel/drivers/edac/skx_edac.ko.xz", True),
        ("usr/lib/modules/6.12.1/modules.dep", True),
    ],
)
def test_what_goes_in(path: str, goes_in: bool) -> None:
    assert wanted(path) is goes_in


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root as mmdebstrap leaves it, as far as packing looks at it."""
    file = tmp_path / "root.tar"
    with tarfile.open(file, "w") as tar:
        for name, content in (
            ("./boot/vmlinuz-6.12.1-amd64", b"the kernel"),
            ("./var/lib/dpkg/status", STATUS.encode()),
            ("./usr/bin/dash", b"#!"),
            ("./usr/share/doc/zstd/copyright", b"long"),
        ):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content))
        for name, kind, target in (
            ("./bin", tarfile.SYMTYPE, "usr/bin"),
            ("./usr/bin/sh", tarfile.LNKTYPE, "./usr/bin/dash"),
            ("./dev/null", tarfile.CHRTYPE, ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    return file


def test_packed(root: Path, tmp_path: Path) -> None:
    kernel, packages = build.pack(root, tmp_path)
    assert kernel == "6.12.1-amd64"
    assert packages == {"kmod": "34.2-2", "zstd": "1.5.7+dfsg-1"}
    assert (tmp_path / "linux").read_bytes() == b"the kernel"
    if not shutil.which("cpio"):
        pytest.skip("cpio is not installed")
    out = tmp_path / "out"
    out.mkdir()
    with (tmp_path / "base").open("rb") as archive:
        unpack = ["cpio", "-idm", "--quiet", "--no-preserve-owner"]
        subprocess.run(unpack, stdin=archive, cwd=out, check=True)
    found = sorted(str(p.relative_to(out)) for p in out.rglob("*") if not p.is_dir())
    assert found == ["usr/bin/dash", "usr/bin/sh", "var/lib/dpkg/status"]
    assert (out / "usr/bin/sh").read_bytes() == b"#!"
    assert (out / "bin").readlink() == Path("usr/bin")


def test_without_a_kernel_nothing_is_packed(tmp_path: Path) -> None:
    file = tmp_path / "root.tar"
    with tarfile.open(file, "w"):
        pass
    with pytest.raises(BadInput, match="no kernel"):
        build.pack(file, tmp_path)


def test_the_agent_is_in_it_and_can_be_imported_alone(tmp_path: Path) -> None:
    archive = io.BytesIO()
    with Cpio(archive) as cpio:
        build.put_agent(cpio)
    names = [file.name for file in build.agent_files()]
    assert {"init", "__main__.py", "burnin.py", "wipe.py"} <= set(names)
    assert archive.getvalue().startswith(b"070701")
    assert len(archive.getvalue()) % 4 == 0
    shutil.copytree(build.AGENT, tmp_path / "agent")
    code = "import agent.__main__, sys; sys.exit('metal' in sys.modules)"
    done = subprocess.run(["/usr/bin/env", "python3", "-S", "-c", code], cwd=tmp_path)
    assert done.returncode == 0


def test_a_mirror_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="mirror does not answer"):
        build.ensure_live("http://127.0.0.1:9/debian", tmp_path)
    assert build.current(tmp_path) is None
