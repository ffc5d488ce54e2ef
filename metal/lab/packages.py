"""Debian packages of the lab: small, real in their format, made on the spot."""

import gzip
import io
import tarfile
from collections.abc import Mapping


def package(control: Mapping[str, str], files: Mapping[str, bytes] | None = None) -> bytes:
    """A .deb or .udeb with these fields and these files (path below / → content)."""
    text = "".join(f"{name}: {value}\n" for name, value in control.items())
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar({"./control": text.encode()}),
        "data.tar.gz": _tar({f"./{name}": content for name, content in (files or {}).items()}),
    }
    return b"!<arch>\n" + b"".join(_member(name, body) for name, body in members.items())


def _member(name: str, content: bytes) -> bytes:
    """One entry of an ar archive: 60 bytes of ASCII, then the content at an even length."""
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
    return head.encode() + content + b"\n" * (len(content) % 2)


def _tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(out.getvalue(), compresslevel=1, mtime=0)
