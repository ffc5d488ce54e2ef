"""What only the machine knows, put in front of the initramfs that came with the image."""

import shutil
import subprocess

import pytest

from metal.live.agent import initramfs

TOOLS = ("cpio", "zstd", "unmkinitramfs")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}"
)


@pytest.fixture
def target(tmp_path):
    """An unpacked system with its initramfs as the image brings it."""
    root = tmp_path / "target"
    for name in initramfs.FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{name}\n")
    inside = tmp_path / "inside"
    for name in ("etc/dropbear", "conf/conf.d", initramfs.HOME):
        (inside / name).mkdir(parents=True)
    (inside / "init").write_text("first\n")
    (root / "boot").mkdir()
    image = root / "boot/initrd.img-6.12.1"
    command = f"cd {inside} && find . | cpio -o -H newc --quiet | zstd -q >{image}"
    subprocess.run(["sh", "-c", command], check=True)
    return root


def test_both_parts_are_there_for_debians_own_reader(target, tmp_path):
    (image,) = (target / "boot").iterdir()
    before = image.read_bytes()
    assert initramfs.complete(target, str(tmp_path))
    assert image.read_bytes().endswith(before), "what came with the image is as it was"
    assert image.read_bytes().startswith(b"070701")
    assert (len(image.read_bytes()) - len(before)) % 512 == 0
    assert [f.name for f in (target / "boot").iterdir()] == [image.name]
    assert image.stat().st_mode & 0o077 == 0
    out = tmp_path / "out"
    subprocess.run(["unmkinitramfs", str(image), str(out)], check=True, capture_output=True)
    (early,) = out.glob("early*")
    assert (out / "main/init").read_text() == "first\n"
    told = {str(f.relative_to(early)): f.read_text() for f in early.rglob("*") if f.is_file()}
    assert told == {name: f"{source}\n" for source, name in initramfs.FILES.items()}
    assert (early / initramfs.HOME / ".ssh").stat().st_mode & 0o777 == 0o700


def test_without_an_image_it_is_built_whole(target, tmp_path):
    shutil.rmtree(target / "boot")
    assert not initramfs.complete(target, str(tmp_path))
