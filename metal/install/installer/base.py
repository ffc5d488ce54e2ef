"""What is in the installer's own initrd: its kernel's version and the components it has already."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from debian.deb822 import Deb822

from metal.model.errors import Failed

STATUS = "var/lib/dpkg/status"
MODULES = re.compile(r"(?:usr/)?lib/modules/([^/]+)/.+")
LARGEST = 512 * 1024 * 1024
"""Bytes of a file in the archive."""


class Base(NamedTuple):
    """The initrd as Debian made it."""

    kernel: str
    has: frozenset[str]
    """Names of its components, and what they provide."""


def read_base(initrd: Path) -> Base:
    """Failed when it is no initrd of an installer."""
    kernel, has = "", set[str]()
    try:
        with gzip.open(initrd) as archive:
            for name, content in _files(archive):
                if name == STATUS:
                    has = set(_names(content.decode(errors="replace")))
                elif not kernel and (match := MODULES.fullmatch(name)):
                    kernel = match[1]
    except (OSError, EOFError, ValueError) as error:
        raise Failed(f"that is no initrd: {error}", where=str(initrd)) from error
    if not kernel or not has:
        raise Failed("that is no initrd of a Debian installer", where=str(initrd))
    return Base(kernel, frozenset(has))


def _names(status: str) -> Iterator[str]:
    for package in Deb822.iter_paragraphs(status):
        yield package["Package"]
        for name in package.get("Provides", "").split(","):
            yield name.split("(")[0].strip()


def _files(archive: BinaryIO | gzip.GzipFile) -> Iterator[tuple[str, bytes]]:
    """Name and content of each entry of a cpio archive (new ASCII format) up to its trailer."""
    while head := archive.read(110):
        if head[:6] != b"070701":
            raise ValueError("it holds another format than cpio's newc")
        size, length = int(head[54:62], 16), int(head[94:102], 16)
        if size > LARGEST or length > 4096:
            raise ValueError("an entry is too large")
        name = _read(archive, length + -(110 + length) % 4)[: length - 1].decode(errors="replace")
        if name == "TRAILER!!!":
            return
        yield name.removeprefix("./"), _read(archive, size + -size % 4)[:size]


def _read(archive: BinaryIO | gzip.GzipFile, size: int) -> bytes:
    content = archive.read(size)
    if len(content) != size:
        raise EOFError("it breaks off")
    return content
