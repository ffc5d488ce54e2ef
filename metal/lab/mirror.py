"""A Debian mirror as the lab has it: signed by a key of its own, with an installer of noise."""

import gzip
import hashlib
import io
import lzma
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import pysequoia
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from metal.drivers.archive.package import Entry, package
from metal.install.installer.choose import NEEDED
from metal.live.cpio import Cpio

SIZES = {
    "linux": 1_000_003,
    "initrd.gz": 3_000_017,
    "bootnetx64.efi": 10_007,
    "grubx64.efi": 20_011,
}
"""Bytes, about; smaller than the real ones (8 and 40 MB), and no round numbers."""
IMAGES = "main/installer-amd64/current/images"
FOLDER = "netboot/debian-installer/amd64"
INDEX = "main/debian-installer/binary-amd64/Packages.xz"
PACKAGES = "main/binary-amd64/Packages.xz"
SUITES = {"bookworm": "12.9", "trixie": "13.2"}
KERNEL = "6.12.1-lab"
RELEASED = datetime(2026, 11, 1, tzinfo=UTC)


class LabArchive:
    """What the mirror has; tests break it by changing `files` and `publish`ing again."""

    def __init__(self, suites: Sequence[str] = tuple(SUITES)) -> None:
        self.key = pysequoia.Tsk.generate(user_id="The lab's mirror")
        self.files: dict[str, bytes] = {}
        """Path below the mirror's URL → content."""
        for suite in suites:
            self.add(suite)
            self.publish(suite)

    @property
    def keyring(self) -> bytes:
        """What its signatures are checked with."""
        return bytes(self.key.extract_certificate())

    def add(self, suite: str, kernel: str = KERNEL) -> None:
        """The installer of a release and its components."""
        images = f"dists/{suite}/{IMAGES}/{FOLDER}"
        for name in ("linux", "bootnetx64.efi", "grubx64.efi"):
            self.files[f"{images}/{name}"] = content(suite, name)
        self.files[f"{images}/initrd.gz"] = installer_initrd(suite, kernel)
        index = []
        for name in NEEDED:
            control = _control(name, kernel)
            udeb = package(control, {f"lab/{name}": Entry(name.encode())})
            path = f"pool/main/{suite}/{control['Package']}_1.0_amd64.udeb"
            self.files[path] = udeb
            index.append(_paragraph(control, path, udeb))
        self.files[f"dists/{suite}/{INDEX}"] = lzma.compress("\n".join(index).encode(), preset=0)

    def add_package(self, deb: bytes, control: Mapping[str, str], suite: str) -> None:
        """An ordinary package, last in its index."""
        path = f"pool/main/{control['Package']}_{control['Version']}.deb"
        self.files[path] = deb
        index = f"dists/{suite}/{PACKAGES}"
        before = lzma.decompress(self.files[index]) + b"\n" if index in self.files else b""
        paragraph = _paragraph(control, path, deb)
        self.files[index] = lzma.compress(before + paragraph.encode(), preset=0)

    def publish(self, suite: str, released: datetime = RELEASED, **fields: str) -> None:
        """Write SHA256SUMS and Release anew over what is there, and sign."""
        top = f"dists/{suite}/"
        images = f"{top}{IMAGES}/"
        sums = "".join(
            f"{_sha(content)}  ./{path.removeprefix(images)}\n"
            for path, content in self.files.items()
            if path.startswith(f"{images}{FOLDER}")
        )
        self.files[f"{images}SHA256SUMS"] = sums.encode()
        named = {
            "Codename": suite,
            "Version": SUITES.get(suite, ""),
            "Date": f"{released:%a, %d %b %Y %H:%M:%S} UTC",
            **fields,
        }
        lines = [f"{name}: {value}" for name, value in named.items()] + ["SHA256:"]
        for path in (f"{IMAGES}/SHA256SUMS", INDEX, PACKAGES):
            if held := self.files.get(top + path):
                lines.append(f" {_sha(held)} {len(held)} {path}")
        self.files[f"{top}InRelease"] = self.signed("\n".join(lines).encode() + b"\n")

    def signed(self, text: bytes) -> bytes:
        clear = pysequoia.SignatureMode.CLEAR
        return pysequoia.sign(self.key.signer(), text, mode=clear)


def mirror_app(archive: LabArchive) -> Any:
    """The ASGI app; its base URL as an inventory wants it ends in /debian."""

    def file(request: Request) -> Response:
        held = archive.files.get(request.path_params["path"])
        if held is None:
            return PlainTextResponse("Not Found", 404)
        return Response(held, media_type="application/octet-stream")

    return Starlette(routes=[Route("/debian/{path:path}", file)])


@lru_cache
def content(suite: str, name: str) -> bytes:
    """Noise of that file's size, the same at every start."""
    return random.Random(f"{suite}/{name}").randbytes(SIZES[name])


@lru_cache
def installer_initrd(suite: str, kernel: str = KERNEL) -> bytes:
    """What makes an initrd the installer's, and noise for the rest."""
    out = io.BytesIO()
    with Cpio(out) as cpio:
        cpio.file("var/lib/dpkg/status", b"Package: hw-detect\nProvides: net-retriever\n")
        cpio.file(f"lib/modules/{kernel}/kernel/noise.ko", content(suite, "initrd.gz"))
    return gzip.compress(out.getvalue(), compresslevel=1, mtime=0)


def _control(name: str, kernel: str) -> dict[str, str]:
    """Modules are packages by kernel that provide a name; all others are named so."""
    if name.endswith("-modules"):
        named = {"Package": f"{name}-{kernel}-di", "Provides": name, "Kernel-Version": kernel}
    else:
        named = {"Package": name}
    return {**named, "Version": "1.0", "Architecture": "amd64", "Priority": "standard"}


def _paragraph(control: Mapping[str, str], path: str, content: bytes) -> str:
    """What the index says of one package."""
    sums = {"Filename": path, "Size": str(len(content)), "SHA256": _sha(content)}
    return "".join(f"{field}: {value}\n" for field, value in {**control, **sums}.items())


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
