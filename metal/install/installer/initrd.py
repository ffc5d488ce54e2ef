"""The initrd that servers get: Debian's own, with the components appended as a second archive.

The kernel unpacks one archive after the other into the same root. The components stay the packages
that Debian signed; the installer unpacks and configures them itself, as if they came from a
mirror.
"""

import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from debian.debfile import DebFile

from metal.install.installer.lock import Piece
from metal.live.cpio import Cpio

FOLDER = "var/cache/metal"
RETRIEVER = "usr/lib/debian-installer/retriever/net-retriever"


def build_initrd(base: Path, udebs: Sequence[Piece], kept: Path, out: Path) -> None:
    """Write `out` from `base` and the packages in the folder `kept`.

    The same input gives the same bytes.
    """
    temp = out.with_name(f".{out.name}.tmp")
    try:
        with base.open("rb") as debian, temp.open("wb") as file:
            shutil.copyfileobj(debian, file, 1024 * 1024)
            file.write(bytes(-file.tell() % 4))  # the kernel wants an archive at such a place
            with Cpio(file) as cpio:
                _put(cpio, udebs, kept)
        temp.replace(out)
    finally:
        temp.unlink(missing_ok=True)


def _put(cpio: Cpio, udebs: Sequence[Piece], kept: Path) -> None:
    """Folders that the base has already are not named again: some are links there."""
    index = "\n".join(_record(udeb, kept / udeb.name) for udeb in udebs)
    retriever = files("metal.install.installer").joinpath("retriever.sh").read_bytes()
    cpio.folder(FOLDER)
    cpio.file(f"{FOLDER}/Packages", index.encode())
    for udeb in udebs:
        cpio.file(f"{FOLDER}/{udeb.name}", (kept / udeb.name).read_bytes())
    cpio.file(RETRIEVER, retriever, 0o755)


def _record(udeb: Piece, file: Path) -> str:
    """Its paragraph of the index that the retriever hands to the installer."""
    with DebFile(file) as package:
        control = package.debcontrol()
    control["Filename"], control["Size"], control["SHA256"] = udeb.name, str(udeb.size), udeb.sha256
    return str(control)
