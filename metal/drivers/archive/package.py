"""Debian packages made on the spot: .deb or .udeb, see deb(5). The same input, the same bytes."""

import gzip
import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

from debian.arfile import ArFile

from metal.model.errors import Failed


class Entry(NamedTuple):
    """A file in a package; a symbolic link where `link` says where to."""

    content: bytes = b""
    mode: int = 0o644
    link: str = ""


def package(control: Mapping[str, str], files: Mapping[str, Entry] | None = None) -> bytes:
    """One with these fields and these files (path below / → what is there)."""
    text = "".join(f"{name}: {value}\n" for name, value in control.items())
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar({"control": Entry(text.encode())}),
        "data.tar.gz": _tar(files or {}),
    }
    return b"!<arch>\n" + b"".join(_member(name, body) for name, body in members.items())


def entries(file: Path) -> Iterator[tuple[str, Entry]]:
    """Path below / and what is there, of all files and links in a package; Failed if it is none."""
    with data_of(file) as tar:
        for entry in tar:
            name = entry.name.removeprefix("./")
            if entry.issym():
                yield name, Entry(link=entry.linkname)
            elif entry.isfile() and (content := tar.extractfile(entry)):
                yield name, Entry(content.read(), entry.mode)


@contextmanager
def data_of(file: Path) -> Iterator[tarfile.TarFile]:
    """What a package puts below /, to be read once from its start; Failed if it is none."""
    with file.open("rb") as opened:
        for part in ArFile(fileobj=opened):
            if part.name.startswith("data.tar"):
                with tarfile.open(fileobj=cast("IO[bytes]", part), mode="r|*") as tar:
                    yield tar
                return
    raise Failed("it is no Debian package", where=str(file))


def _member(name: str, content: bytes) -> bytes:
    """One entry of an ar archive: 60 bytes of ASCII, then the content at an even length."""
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
    return head.encode() + content + b"\n" * (len(content) % 2)


def _tar(files: Mapping[str, Entry]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, what in files.items():
            entry = tarfile.TarInfo(f"./{name}")
            entry.mode, entry.size = what.mode, len(what.content)
            if what.link:
                entry.type, entry.linkname = tarfile.SYMTYPE, what.link
            tar.addfile(entry, io.BytesIO(what.content))
    return gzip.compress(out.getvalue(), compresslevel=1, mtime=0)
