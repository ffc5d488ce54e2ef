"""Archives as the kernel unpacks them at boot: cpio's "new ASCII" format (initramfs buffer format,
Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's tree)."""

import stat
import tarfile
from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO, Self

TRAILER = "TRAILER!!!"


class Cpio:
    """Writes one archive; entries are root's, and of one time, so that the same input gives the
    same bytes."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self._inode = out, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._entry(TRAILER, 0, b"", links=1)

    def folder(self, name: str, mode: int = 0o755) -> None:
        self._entry(name, stat.S_IFDIR | mode, b"", links=2)

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        self._entry(name, stat.S_IFREG | mode, content, links=1)

    def link(self, name: str, target: str) -> None:
        self._entry(name, stat.S_IFLNK | 0o777, target.encode(), links=1)

    def _entry(self, name: str, mode: int, content: bytes, links: int) -> None:
        self._inode += 1
        path = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(path), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
        self._out.write(head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4))


def from_tar(tar: tarfile.TarFile, cpio: Cpio, wanted: Callable[[str], bool]) -> None:
    """Copy a tar's folders, files and links whose path (no slash in front) is `wanted`.

    Devices are left out: the kernel makes its own. A hard link becomes a file.
    """
    for member in tar:
        name = member.name.removeprefix("./").strip("/")
        if not name or name == "." or not wanted(name):
            continue
        mode = member.mode & 0o7777
        if member.isdir():
            cpio.folder(name, mode)
        elif member.issym():
            cpio.link(name, member.linkname)
        elif member.isfile() or member.islnk():
            content = tar.extractfile(member)
            assert content is not None
            cpio.file(name, content.read(), mode)
