"""Files that are on the disk when the call returns: private, whole, or not there."""

import os
from contextlib import suppress
from pathlib import Path

PRIVATE = 0o600


def write_file(path: Path, content: bytes) -> None:
    """All of `content`, mode 0600, on the disk; OSError otherwise."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE)
    try:
        os.fchmod(descriptor, PRIVATE)
        while content:
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """As write_file, over what is there: a reader sees the old content or the new, whole."""
    make_folder(path.parent)
    temp = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        write_file(temp, content)
        temp.replace(path)
        sync(path.parent)
    finally:
        with suppress(OSError):  # what went wrong before tells more than that
            temp.unlink(missing_ok=True)


def new_file(path: Path, content: bytes) -> None:
    """As write_file, but FileExistsError where there is one already."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE))
    write_file(path, content)
    sync(path.parent)


def from_disk(path: Path) -> bytes:
    """The file's content, asked of the disk and not of the page cache where that is possible."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return file.read()


def make_folder(folder: Path) -> None:
    """Make `folder` (0700) and its parents, durably."""
    if not folder.is_dir():
        make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            sync(folder.parent)


def sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
