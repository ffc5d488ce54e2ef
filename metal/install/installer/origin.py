"""Where Debian keeps the kernel, initrd and signed loaders of its installer: two signed places.

The folder of the release's installer is small to fetch, and some mirrors lack it. A package of
the same images is in every full mirror, and has 150 MB.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from metal.drivers.archive.mirrors import Mirrors
from metal.drivers.archive.package import data_of
from metal.drivers.archive.release import Release, Sum, paragraph_of
from metal.install.installer.lock import Piece
from metal.model.errors import Failed, MetalError

IMAGES = "main/installer-amd64/current/images"
FOLDER = "netboot/debian-installer/amd64"
LINUX, INITRD = "debian-linux", "debian-initrd.gz"
"""What they are kept as."""
LOADERS = ("bootnetx64.efi", "grubx64.efi")
"""shim and GRUB, both signed, as they start an installer over the network under Secure Boot."""
FILES = {"linux": LINUX, "initrd.gz": INITRD} | {name: name for name in LOADERS}
MEMBER = "./usr/lib/debian-installer/images/{number}/amd64/text/debian-installer/amd64/{image}"
PACKAGES = "main/binary-amd64/Packages.xz"


class Found(NamedTuple):
    """The files of one installer."""

    linux: Piece
    initrd: Piece
    loaders: tuple[Piece, ...]
    note: str | None
    """Why it is not from the usual place."""


def find_images(mirrors: Mirrors, release: Release, suite: str, folder: Path) -> Found:
    """Fetch linux and initrd.gz into `folder` from where they are; Failed if from nowhere."""
    try:
        return _in_folder(mirrors, release, suite, folder)
    except Failed as error:  # a mirror that is silent is asked again instead
        first = error
    try:
        found = _in_package(mirrors, release, suite, folder)
    except MetalError as error:
        raise type(error)(
            f"no installer of {suite}: {first.what}; and as a package: {error.what}",
            where=error.where or first.where,
            mend=error.mend or first.mend,
        ) from error
    note = f"taken from the package {found.linux.name}, as the mirror's folder will not do: "
    return found._replace(note=note + first.what)


def fetch_piece(mirrors: Mirrors, piece: Piece, file: Path) -> None:
    """`file` is what was pinned, out of its package if it is in one."""
    if piece.member is None:
        mirrors.keep(piece.path, piece.sum, file)
        return
    package = file.parent / piece.name
    mirrors.keep(piece.path, piece.sum, package)
    _unpack(package, piece.member, file)


def _in_folder(mirrors: Mirrors, release: Release, suite: str, folder: Path) -> Found:
    lines = mirrors.index(release, suite, f"{IMAGES}/SHA256SUMS").decode(errors="replace")
    sums = {name: sha for sha, name in (line.split(maxsplit=1) for line in lines.splitlines())}
    pieces = []
    for name, kept in FILES.items():
        sha = sums.get(f"./{FOLDER}/{name}")
        if sha is None:
            raise Failed(f"SHA256SUMS does not list {name}", where=f"{suite}/{IMAGES}")
        path, file = f"dists/{suite}/{IMAGES}/{FOLDER}/{name}", folder / kept
        mirrors.keep(path, Sum(sha, LARGEST), file)
        pieces.append(Piece(path=path, sha256=sha, size=file.stat().st_size))
    return Found(pieces[0], pieces[1], tuple(pieces[2:]), None)


LARGEST = 256 * 1024 * 1024
"""Bytes of one image; SHA256SUMS tells no sizes. Debian 13's initrd has some 40 MB."""


def _in_package(mirrors: Mirrors, release: Release, suite: str, folder: Path) -> Found:
    number = release.version.partition(".")[0]
    name = f"debian-installer-{number}-netboot-amd64"
    record = paragraph_of(mirrors.index(release, suite, PACKAGES), name)
    if record is None:
        raise Failed(f"the release has no {name}", where=f"{suite}/{PACKAGES}")
    pieces = []
    for image, kept in FILES.items():
        piece = Piece(
            path=record["Filename"],
            sha256=record["SHA256"],
            size=int(record["Size"]),
            member=MEMBER.format(number=number, image=image),
        )
        fetch_piece(mirrors, piece, folder / kept)
        pieces.append(piece)
    return Found(pieces[0], pieces[1], tuple(pieces[2:]), None)


def _unpack(package: Path, member: str, file: Path) -> None:
    temp = file.with_name(f".{file.name}.tmp")
    try:
        with data_of(package) as tar:
            for entry in tar:
                if entry.name == member and (content := tar.extractfile(entry)):
                    _pour(content.read, temp)
                    temp.replace(file)
                    return
    finally:
        temp.unlink(missing_ok=True)
    raise Failed(f"there is no {member} in it", where=file.name)


def _pour(read: Callable[[int], bytes], out: Path) -> None:
    with out.open("wb") as file:
        while piece := read(1024 * 1024):
            file.write(piece)
