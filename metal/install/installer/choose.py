"""Which components the installer needs beside those of its initrd. Pure.

An installer takes from its mirror, while it runs: those of priority standard and above, those that
enhance what it has, those that its scripts ask for, and what all these depend on, for the kernel
that it runs. A mirror that moved on has them for another kernel; so they go into the initrd. Its
own choice among them stays as it is: only where it takes them from changes.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from debian.deb822 import Deb822
from debian.debian_support import Version

from metal.install.installer.base import Base
from metal.install.installer.lock import Piece

NEEDED = (
    # what any install runs
    *("apt-mirror-setup", "apt-setup-udeb", "base-installer", "bootstrap-base", "clock-setup"),
    *("di-utils-mapdevfs", "disk-detect", "finish-install", "grub-installer", "hw-detect"),
    *("partman-auto", "partman-base", "pkgsel", "tzsetup-udeb", "user-setup-udeb"),
    # what our recipes are made of: ESP, ext4 on LVM on LUKS, mirrored disks
    *("e2fsprogs-udeb", "partman-basicfilesystems", "partman-efi", "partman-ext3"),
    *("cryptsetup-udeb", "partman-auto-crypto", "partman-crypto", "partman-crypto-dm"),
    *("cdebconf-newt-entropy", "cdebconf-text-entropy"),  # asked for by partman-crypto's script
    *("lvm2-udeb", "partman-auto-lvm", "partman-lvm"),
    *("mdadm-udeb", "partman-auto-raid", "partman-md"),
    *("crypto-dm-modules", "ext4-modules", "fat-modules", "md-modules", "scsi-modules"),
    # for a person, when something goes wrong
    "network-console",
)
"""Without one of these no install is begun: packages, or what packages provide."""
TAKEN = frozenset({"required", "important", "standard"})
"""Priorities that an installer takes by itself."""
UNUSED = ("sound-modules", "speakup-modules", "brltty")
"""Of the kernel's components: what no server has a use for."""


class Udeb(NamedTuple):
    """One component, as the archive's index describes it."""

    name: str
    version: str
    path: str
    sha256: str
    size: int
    wants: tuple[tuple[str, ...], ...]
    """Each one of these alternatives."""
    provides: tuple[str, ...]
    taken: bool
    """An installer takes it if it can, whether anything needs it or not."""
    made_of: tuple[Piece, ...] = ()
    """Ordinary packages; empty where the mirror has it."""
    kernel: str = ""
    """Whose modules are made: an installer that finds none for its kernel stops."""


class Choice(NamedTuple):
    """What goes into the initrd."""

    udebs: tuple[Udeb, ...]
    missing: tuple[str, ...]
    """What an install needs and cannot have."""
    left_out: tuple[str, ...]
    """What an installer would take too and cannot have."""
    absent: tuple[str, ...] = ()
    """What the index lists and no mirror has: the cause of both."""


def read_index(index: bytes, kernel: str) -> dict[str, Udeb]:
    """Name → the newest component for that kernel, or for any."""
    found: dict[str, Udeb] = {}
    for paragraph in Deb822.iter_paragraphs(index.decode(errors="replace")):
        if paragraph.get("Kernel-Version", kernel) != kernel:
            continue
        udeb = _udeb(paragraph)
        before = found.get(udeb.name)
        if before is None or Version(before.version) < Version(udeb.version):
            found[udeb.name] = udeb
    return found


def choose(known: Mapping[str, Udeb], base: Base, absent: Iterable[str] = ()) -> Choice:
    """`absent`: names of components that are in the index and that no mirror has."""
    able = {name: udeb for name, udeb in known.items() if name not in set(absent)}
    providers = _providers(able)
    chosen: dict[str, Udeb] = {}
    missing, left_out = [], []
    for name in NEEDED:
        if not _add(name, chosen, providers, base.has):
            missing.append(name)
    for udeb in known.values():
        if udeb.taken and not _add(udeb.name, chosen, providers, base.has):
            left_out.append(udeb.name)
    ordered = tuple(sorted(chosen.values()))
    return Choice(ordered, tuple(missing), tuple(sorted(left_out)))


def _udeb(paragraph: Deb822) -> Udeb:
    name = paragraph["Package"]
    of_kernel = "Kernel-Version" in paragraph and not name.startswith(UNUSED)
    return Udeb(
        name=name,
        version=paragraph["Version"],
        path=paragraph["Filename"],
        sha256=paragraph["SHA256"],
        size=int(paragraph["Size"]),
        wants=tuple(
            tuple(part.split("(")[0].strip() for part in want.split("|"))
            for want in paragraph.get("Depends", "").split(",")
            if want.strip()
        ),
        provides=tuple(
            part.split("(")[0].strip() for part in paragraph.get("Provides", "").split(",")
        ),
        taken=of_kernel or "Enhances" in paragraph or paragraph.get("Priority") in TAKEN,
    )


def _providers(able: Mapping[str, Udeb]) -> dict[str, list[Udeb]]:
    """Name or virtual name → who is it, the package of that very name first."""
    found = {name: [udeb] for name, udeb in able.items()}
    for udeb in sorted(able.values()):
        for name in udeb.provides:
            if name:
                found.setdefault(name, []).append(udeb)
    return found


def _add(
    name: str,
    chosen: dict[str, Udeb],
    providers: Mapping[str, list[Udeb]],
    has: frozenset[str],
) -> bool:
    """Put `name` and all that it needs into `chosen`; nothing, and False, if some is missing."""
    new: dict[str, Udeb] = {}
    if not _gather(name, {**chosen}, new, providers, has):
        return False
    chosen.update(new)
    return True


def _gather(
    name: str,
    done: dict[str, Udeb],
    new: dict[str, Udeb],
    providers: Mapping[str, list[Udeb]],
    has: frozenset[str],
) -> bool:
    if name in has:
        return True
    for udeb in providers.get(name, ()):
        if udeb.name in done or udeb.name in new:
            return True
        trial = {**new, udeb.name: udeb}
        if all(
            any(_gather(other, done, trial, providers, has) for other in alternatives)
            for alternatives in udeb.wants
        ):
            new.update(trial)
            return True
    return False
