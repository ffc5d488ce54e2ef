"""Reading and writing a disk itself, past every cache, at the same places of every disk."""

import mmap
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from .programs import run

BLOCK = 1024 * 1024
SECTOR = 4096
ZERO = bytes(BLOCK)
REGIONS = 64
"""Places spread over the disk that every pass visits: outer, middle and inner tracks alike."""
Stop = Callable[[], bool]


class Passed(NamedTuple):
    blocks: int
    """Of BLOCK bytes."""
    seconds: float
    errors: int
    dirty: bool = False
    """Whether a block held anything but zeros, where that was looked at."""

    @property
    def mib_s(self) -> float | None:
        return round(self.blocks / self.seconds, 1) if self.blocks and self.seconds else None


@contextmanager
def opened(path: str, *, write: bool = False) -> Iterator[int]:
    flags = os.O_RDWR | os.O_EXCL if write else os.O_RDONLY
    fd = os.open(path, flags | os.O_DIRECT | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def size(path: str) -> int:
    with opened(path) as fd:
        return os.lseek(fd, 0, os.SEEK_END)


def buffer() -> mmap.mmap:
    """Memory that begins at a page, as O_DIRECT wants it."""
    return mmap.mmap(-1, BLOCK)


def places(bytes_: int) -> Iterator[list[int]]:
    """Passes of offsets: each visits every region once, a block further than the one before, until
    the whole disk was visited."""
    blocks = bytes_ // BLOCK
    regions = max(1, min(REGIONS, blocks))
    each = -(-blocks // regions)
    for step in range(each):
        yield [
            (region * each + step) * BLOCK
            for region in range(regions)
            if region * each + step < blocks and step < each
        ]


def scan(path: str, bytes_: int, stop: Stop, *, look: bool = False) -> Passed:
    """Read as much as there is time for. `look`: at what is read, too, which takes its time."""
    done, errors, dirty = 0, 0, False
    spent = 0.0
    into = buffer()
    with opened(path) as fd:
        for offsets in places(bytes_):
            for offset in offsets:
                began = time.monotonic()
                read = _get(fd, into, offset)
                spent += time.monotonic() - began
                done, errors = done + read, errors + (not read)
                dirty = dirty or (look and read and into[:] != ZERO)
                if stop():
                    return Passed(done, spent, errors, dirty)
    return Passed(done, spent, errors, dirty)


def pattern(seed: bytes, offset: int, into: mmap.mmap) -> None:
    """What is written at `offset`: noise, with its own place in every sector, so that one that
    was written to another place is noticed too."""
    into[:] = seed
    for at in range(0, BLOCK, SECTOR):
        struct.pack_into("<Q", into, at, offset + at)


def write_and_compare(path: str, bytes_: int, stop: Stop) -> tuple[Passed, int]:
    """(how fast it wrote, blocks that came back otherwise). What was written is zero afterwards.
    A flush that fails is an error as a write is: what its cache held is lost.

    For a blank disk only: the caller made sure as far as samples tell. No block is written that
    was not read as zeros just before, and at the first that holds anything it ends.
    """
    seed, out, back, zero = os.urandom(BLOCK), buffer(), buffer(), buffer()
    done, spent, errors, wrong, dirty = 0, 0.0, 0, 0, False
    with opened(path, write=True) as fd:
        for offsets in places(bytes_):
            lost, dirty = _looked_at(fd, back, offsets)
            errors += lost
            if lost or dirty:
                break
            began = time.monotonic()
            for offset in offsets:
                pattern(seed, offset, out)
                errors += not _put(fd, out, offset)
            errors += not _flushed(fd)
            spent += time.monotonic() - began
            for offset in offsets:
                pattern(seed, offset, out)
                wrong += not _holds(fd, back, out, offset)
            for offset in offsets:
                errors += not _put(fd, zero, offset)
            done += len(offsets)
            if stop():
                break
        errors += not _flushed(fd)
    return Passed(done, spent, errors, dirty), wrong


def _looked_at(fd: int, into: mmap.mmap, offsets: list[int]) -> tuple[int, bool]:
    """(blocks that could not be read, whether one holds anything but zeros)."""
    lost, dirty = 0, False
    for offset in offsets:
        read = _get(fd, into, offset)
        lost, dirty = lost + (not read), dirty or (read and into[:] != ZERO)
    return lost, dirty


def _get(fd: int, into: mmap.mmap, offset: int) -> bool:
    try:
        return os.preadv(fd, [into], offset) == BLOCK
    except OSError:
        return False


def _put(fd: int, block: mmap.mmap, offset: int) -> bool:
    try:
        return os.pwritev(fd, [block], offset) == BLOCK
    except OSError:
        return False


def _flushed(fd: int) -> bool:
    try:
        os.fsync(fd)
    except OSError:
        return False
    return True


def _holds(fd: int, into: mmap.mmap, wanted: mmap.mmap, offset: int) -> bool:
    return _get(fd, into, offset) and into[:] == wanted[:]


def samples(bytes_: int, count: int = 256) -> list[int]:
    """Offsets of blocks spread over the disk, its first and its very last among them: what ends
    a disk (a second partition table, the superblock of an array) need not begin at a whole BLOCK.
    """
    blocks = bytes_ // BLOCK
    if not blocks:
        return []
    count = min(count, blocks)
    spread = {round(i * (blocks - 1) / max(1, count - 1)) * BLOCK for i in range(count)}
    return sorted(spread | {bytes_ - BLOCK})


def content(path: str, offsets: list[int]) -> dict[int, bytes | None]:
    """Offset → its block; None where it could not be read."""
    into, found = buffer(), dict[int, bytes | None]()
    with opened(path) as fd:
        for offset in offsets:
            found[offset] = into[:] if _get(fd, into, offset) else None
    return found


def mark(path: str, offsets: list[int]) -> bool:
    """Write noise there, all of it flushed to the disk; whether that worked everywhere."""
    noise, done = buffer(), list[bool]()
    with opened(path, write=True) as fd:
        for offset in offsets:
            noise[:] = os.urandom(BLOCK)
            done.append(_put(fd, noise, offset))
        return _flushed(fd) and all(done)


def blank(path: str, bytes_: int) -> bool | None:
    """Whether nothing but zeros is where anything would be; None if it could not be read."""
    told = run(["wipefs", "--no-act", "--noheadings", path])
    if told.out.strip():
        return False  # a signature of a file system, an array, a volume or a partition table
    found = content(path, samples(bytes_, 64)).values()
    if told.code or None in found or not found:
        return None
    return all(block == ZERO for block in found)
