"""Pin an installer, and have what was pinned."""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from metal.drivers.archive.mirrors import Mirrors, fits, sum_of
from metal.drivers.archive.release import Release, Sum
from metal.install.installer.base import Base, read_base
from metal.install.installer.choose import Choice, Udeb, choose, read_index
from metal.install.installer.initrd import build_initrd
from metal.install.installer.lock import (
    Component,
    Made,
    Pinned,
    alone,
    read_lock,
    write_pin,
)
from metal.install.installer.made import make, makeable, recipe
from metal.install.installer.origin import (
    INITRD,
    LINUX,
    LOADERS,
    PACKAGES,
    fetch_piece,
    find_images,
)
from metal.model.errors import Failed, MetalError, Refused

INDEX = "main/debian-installer/binary-amd64/Packages.xz"
SERVED = ("linux", "initrd.gz")
UDEBS = "udebs"
"""The folder with the components, each the package that Debian signed."""


class Source(NamedTuple):
    """Where installers come from and where they are kept."""

    mirrors: Sequence[str]
    """URLs, the nearest first."""
    keyring: Path
    """The keys whose signatures are believed."""
    kept: Path
    """A folder: SUITE/linux and SUITE/initrd.gz are what servers get."""
    lock: Path


def ensure_installer(source: Source, suite: str) -> Pinned:
    """What is pinned is there, afterwards; where nothing is pinned, what the mirror has now is.

    What is kept and fits is served whatever became of the mirror. Unreachable is worth a retry.
    """
    with alone(source.kept / suite):
        pinned = read_lock(source.lock).get(suite)
        if pinned is None:
            return _pin(source, suite, None)
        if not is_kept(source, suite, pinned):
            _fetch_again(source, suite, pinned)
        return pinned


def pin_installer(source: Source, suite: str) -> Pinned:
    """Pin what the mirror has now, and have it. Refused if that is older than what is pinned."""
    with alone(source.kept / suite):
        return _pin(source, suite, read_lock(source.lock).get(suite))


def is_kept(source: Source, suite: str, pinned: Pinned) -> bool:
    """Whether servers can be answered without any mirror."""
    return all(fits(source.kept / suite / name, sha) for name, sha in pinned.served.items())


def _pin(source: Source, suite: str, before: Pinned | None) -> Pinned:
    mirrors, folder = Mirrors(source.mirrors), source.kept / suite
    release = mirrors.release(suite, source.keyring)
    if before and release.date < before.released:
        raise Refused(
            f"the mirror's Release is of {release.date:%Y-%m-%d}, older than what is pinned "
            f"({before.released:%Y-%m-%d})",
            where=source.mirrors[0],
            mend="the pinned one stays in use. Is the mirror still kept? Somebody may be replaying "
            f"an old one. To go back on purpose, remove {suite} from {source.lock.name}",
        )
    images = find_images(mirrors, release, suite, folder)
    base = read_base(folder / INITRD)
    known = read_index(mirrors.index(release, suite, INDEX), base.kernel)
    have = cache(partial(_have, mirrors, folder))  # those of one round are asked for in the next
    choice = _fetch_all(known, base, have)
    if choice.missing:
        choice = _make_up(choice, known, base, _ordinary(mirrors, release, suite), have)
    if choice.missing:
        raise _incomplete(choice, base.kernel, source)
    notes = (
        images.note,
        release.stale(datetime.now(UTC)),
        _without(choice.left_out),
        _made(choice),
    )
    udebs = tuple(_component(udeb, folder) for udeb in choice.udebs)
    pinned = Pinned(
        debian=release.version or suite,
        released=release.date,
        kernel=base.kernel,
        linux=images.linux,
        initrd=images.initrd,
        loaders=images.loaders,
        udebs=udebs,
        left_out=choice.left_out,
        notes=tuple(note for note in notes if note),
        served=_assemble(udebs, folder, (*SERVED, *LOADERS)),
    )
    write_pin(source.lock, suite, pinned)
    return pinned


def _ordinary(mirrors: Mirrors, release: Release, suite: str) -> bytes:
    """The index of the ordinary packages; nothing can be made where there is none."""
    try:
        return mirrors.index(release, suite, PACKAGES)
    except Failed:
        return b""


def _fetch_all(known: Mapping[str, Udeb], base: Base, have: Callable[[Udeb], bool]) -> Choice:
    """Choose, fetch, and choose again without those that no mirror has."""
    absent: set[str] = set()
    while True:
        choice = choose(known, base, absent)
        gone = {udeb.name for udeb in choice.udebs if not have(udeb)}
        if not gone:
            return choice._replace(absent=tuple(sorted(absent)))
        absent |= gone


def _make_up(
    choice: Choice,
    known: dict[str, Udeb],
    base: Base,
    ordinary: bytes,
    have: Callable[[Udeb], bool],
) -> Choice:
    """Choose again with what can be made; each one that is had may ask for another that is not."""
    tried: set[str] = set()
    while choice.missing:
        made = makeable(set(choice.absent) - tried, known, base, ordinary)
        if not made.keys() - tried:
            break
        tried |= made.keys()
        known |= made
        choice = _fetch_all(known, base, have)
    return choice


def _have(mirrors: Mirrors, folder: Path, udeb: Udeb) -> bool:
    file = folder / UDEBS / udeb.path.rpartition("/")[2]
    try:
        if udeb.made_of:
            _make(mirrors, recipe(udeb), folder, file)
        else:
            mirrors.keep(udeb.path, Sum(udeb.sha256, udeb.size), file)
    except Failed:
        return False
    return True


def _make(mirrors: Mirrors, made: Made, folder: Path, file: Path) -> None:
    for ordinary in made.of:
        mirrors.keep(ordinary.path, ordinary.sum, folder / ordinary.name)
    make(made, folder, file)


def _component(udeb: Udeb, folder: Path) -> Component:
    if not udeb.made_of:
        return Component(path=udeb.path, sha256=udeb.sha256, size=udeb.size)
    file = folder / UDEBS / udeb.path.rpartition("/")[2]
    size = file.stat().st_size
    return Component(path=udeb.path, sha256=sum_of(file), size=size, made=recipe(udeb))


def _assemble(udebs: Sequence[Component], folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Put together what servers get, and drop what was needed for it alone; the sums."""
    build_initrd(folder / INITRD, udebs, folder / UDEBS, folder / "initrd.gz")
    temp = folder / ".linux.tmp"
    shutil.copyfile(folder / LINUX, temp)
    temp.replace(folder / "linux")
    needed = {udeb.name for udeb in udebs}
    for file in (*folder.glob("*.deb"), *(folder / UDEBS).iterdir()):
        if file.name not in needed:
            file.unlink()
    return {name: sum_of(folder / name) for name in names}


def _fetch_again(source: Source, suite: str, pinned: Pinned) -> None:
    """All of it by its pinned sums: from any mirror, no signature is needed any more."""
    mirrors, folder = Mirrors(source.mirrors), source.kept / suite
    try:
        fetch_piece(mirrors, pinned.linux, folder / LINUX)
        fetch_piece(mirrors, pinned.initrd, folder / INITRD)
        for name, piece in zip(LOADERS, pinned.loaders, strict=False):
            fetch_piece(mirrors, piece, folder / name)
        for udeb in pinned.udebs:
            file = folder / UDEBS / udeb.name
            if udeb.made:
                _make(mirrors, udeb.made, folder, file)
            else:
                mirrors.keep(udeb.path, udeb.sum, file)
    except Failed as error:
        raise Failed(
            f"the pinned installer (Debian {pinned.debian}) is not kept here, and no mirror has it "
            f"any more: {error.what}",
            where=error.where,
            mend=f"copy {folder} from another controller, or `metal installer pin {suite}`",
        ) from error
    if _assemble(pinned.udebs, folder, pinned.served) != pinned.served:
        raise Failed(
            "the initrd that this version builds is not the one that is pinned",
            where=str(source.lock),
            mend=f"`metal installer pin {suite}`, and commit the lock file",
        )


def _incomplete(choice: Choice, kernel: str, source: Source) -> MetalError:
    return Failed(
        f"no mirror has all that the installer for Linux {kernel} needs; "
        + (f"they list and lack {', '.join(choice.absent)}, so " if choice.absent else "")
        + f"there is no {', '.join(choice.missing)}",
        where=", ".join(source.mirrors),
        mend="set a full Debian mirror in inventory.toml: any of a site's and the fleet's will do",
    )


def _made(choice: Choice) -> str | None:
    made = [udeb.name for udeb in choice.udebs if udeb.made_of]
    return f"made of ordinary packages, as no mirror has them: {', '.join(made)}" if made else None


def _without(left_out: Sequence[str]) -> str | None:
    return f"no mirror has {', '.join(left_out)}: left out" if left_out else None
