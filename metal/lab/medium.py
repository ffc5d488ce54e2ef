"""What the firmware, GRUB and the installer's initrd make of a medium: read, not known."""

import re
import shlex
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from metal.lab.preseeding import Script

LINUX = re.compile(r"^\s*linux\s+(\S+)\s+(.*)$", re.M)
INITRD = re.compile(r"^\s*initrd\s+(.*)$", re.M)
MARKER = re.compile(r"search .*--file /(\S+)")
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.S)


@dataclass(frozen=True)
class Medium:
    """What an image boots."""

    script: Script
    """Its first entry's kernel, with its arguments, and its last initrd."""
    marker: str
    """A disk whose /boot has this file is booted instead."""
    ca: str
    """PEM: whom its installer trusts; "" for nobody."""


def read_medium(image: bytes) -> Medium:
    """ValueError where no GRUB would find anything to boot in it."""
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        (folder / "iso").write_bytes(image)
        grub = _file(folder, "boot/grub/grub.cfg").decode()
        linux, initrd, marker = LINUX.search(grub), INITRD.search(grub), MARKER.search(grub)
        if not linux or not initrd or not marker:
            raise ValueError("its grub.cfg boots no kernel")
        loaded = [_file(folder, name.lstrip("/")) for name in (linux[1], *initrd[1].split())]
        ca = PEM.search(loaded[-1].decode(errors="replace"))
    script = Script(linux[1], tuple(shlex.split(linux[2])), initrd[1].split()[-1])
    return Medium(script, marker[1], ca[0] if ca else "")


@contextmanager
def believed(pem: str) -> Iterator[str | bool]:
    """What requests is to verify with: the authority alone, or nobody."""
    if not pem:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Unverified HTTPS")
            yield False
        return
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem)
        file.flush()
        yield file.name


def _file(folder: Path, name: str) -> bytes:
    out = folder / name.replace("/", "_")
    words = ["xorriso", "-indev", str(folder / "iso"), "-osirrox", "on", "-extract", f"/{name}"]
    ran = subprocess.run([*words, str(out)], capture_output=True)
    if ran.returncode or not out.is_file():
        raise ValueError(f"there is no {name} in it")
    return out.read_bytes()
