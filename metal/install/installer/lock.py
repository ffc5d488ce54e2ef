"""installer.lock, beside the inventory: which installer of each release this fleet uses.

It belongs under version control: who has it and a mirror (or the kept files) gets the same bytes.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from metal.drivers.archive.release import Sum
from metal.drivers.durable import replace_file
from metal.model.base import Frozen
from metal.model.errors import BadInput, Failed

LOCK = "installer.lock"


class Piece(Frozen):
    """A file of the mirror."""

    path: str
    """Below the mirror's URL."""
    sha256: str
    size: int
    member: str | None = None
    """What of it is meant, where the file is a package."""

    @property
    def name(self) -> str:
        """The file's own."""
        return self.path.rpartition("/")[2]

    @property
    def sum(self) -> Sum:
        return Sum(self.sha256, self.size)


class Made(Frozen):
    """How a component was made that no mirror has (metal/install/installer/made.py)."""

    control: dict[str, str]
    """Its fields."""
    of: tuple[Piece, ...]
    """Ordinary packages."""


class Component(Piece):
    """One of the installer's, put into the initrd."""

    made: Made | None = None
    """None: it is the mirror's own."""


class Pinned(Frozen):
    """One release's installer. The kernel, its initrd and its components go together only so."""

    debian: str
    """The point release, such as 13.2."""
    released: datetime
    """The date of the signed Release that all of it comes from."""
    kernel: str
    """The kernel's version, as its modules name it."""
    linux: Piece
    initrd: Piece
    loaders: tuple[Piece, ...] = ()
    """What starts it under Secure Boot; none in a lock file of before they were pinned."""
    udebs: tuple[Component, ...]
    left_out: tuple[str, ...] = ()
    """Components that an installer would take too and that no mirror has; an install needs none."""
    notes: tuple[str, ...] = ()
    """What a person should know of its origin."""
    served: dict[str, str]
    """linux, initrd.gz and the loaders as servers get them → SHA-256."""


_ALL: TypeAdapter[dict[str, Pinned]] = TypeAdapter(dict[str, Pinned])


def read_lock(file: Path) -> dict[str, Pinned]:
    """Release → what is pinned; empty where there is no file yet."""
    try:
        return _ALL.validate_json(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (ValidationError, OSError) as error:
        raise BadInput(
            f"it cannot be read: {str(error).splitlines()[0]}",
            where=str(file),
            mend="take the one of the last commit, or remove it and `metal installer pin`",
        ) from error


def write_pin(file: Path, suite: str, pinned: Pinned) -> None:
    """Pin one release's installer; the other releases' stay."""
    with alone(file.parent / "state"):
        every = dict(sorted({**read_lock(file), suite: pinned}.items()))
        replace_file(file, _ALL.dump_json(every, indent=2, exclude_none=True) + b"\n")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Ten servers of one site want the same files at once: one fetches, the others find them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".installer", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Failed(
            f"the installer could not be kept: {error.strerror}",
            where=str(folder),
            mend="make room on that disk, then run the same command again",
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
