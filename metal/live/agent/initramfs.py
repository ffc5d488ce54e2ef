"""The initramfs of the new system, without building it: python3 -m agent.initramfs TARGET.

It was built with the image, on a quick machine, but for what only this one has: its address, keys
and crypttab (metal/live/initramfs-hook); the scripts that read them are in it, whoever needs them.
That goes in front of it as an archive of its own, which
the kernel unpacks as it does a processor's microcode. The system's next kernel update builds one
as ever, from the same files.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from .programs import must

HOME = "root-metal"
"""Of root in the image's initramfs: metal/live/initramfs-hook names it so."""
MDADM = "etc/mdadm/mdadm.conf"
"""Only of a system on two disks."""
FILES = {
    "etc/crypttab": "cryptroot/crypttab",
    MDADM: MDADM,
    "etc/initramfs-tools/conf.d/metal": "conf/conf.d/metal",
    "etc/dropbear/initramfs/dropbear.conf": "etc/dropbear/dropbear.conf",
    "etc/dropbear/initramfs/authorized_keys": f"{HOME}/.ssh/authorized_keys",
    **{
        f"etc/dropbear/initramfs/dropbear_{kind}_host_key": f"etc/dropbear/dropbear_{kind}_host_key"
        for kind in ("ecdsa", "ed25519")
    },
}
"""In the system → in its initramfs."""


def complete(target: Path, scratch: str = "/run") -> bool:
    """False where nothing was done, and it must be built whole."""
    images = sorted((target / "boot").glob("initrd.img-*"))
    if not images or not all(i.stat().st_size for i in images):
        return False
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        archive = _archive(target, Path(folder))
        for image in images:
            new = image.with_name(f".{image.name}")
            new.write_bytes(archive + image.read_bytes())
            new.chmod(0o600)  # it holds the host keys
            new.replace(image)
    return True


def _archive(target: Path, folder: Path) -> bytes:
    """cpio's own, padded to whole blocks. Folders stand before what is in them."""
    inside = folder / "inside"
    for source, name in FILES.items():
        file = inside / name
        if name == MDADM and not (target / source).exists():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(target / source, file)
    for private in (HOME, f"{HOME}/.ssh"):
        (inside / private).chmod(0o700)
    names = sorted(str(path.relative_to(inside)) for path in inside.rglob("*"))
    out = folder / "archive"
    cpio = ["cpio", "--create", "--format=newc", "--owner=+0:+0", "--quiet", "-D", str(inside)]
    must([*cpio, f"--file={out}"], stdin="".join(f"{name}\n" for name in names))
    return out.read_bytes()


if __name__ == "__main__":
    where = Path(sys.argv[1])
    if not complete(where):
        os.execvp("chroot", ["chroot", str(where), "update-initramfs", "-u"])
