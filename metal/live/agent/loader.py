"""The boot loader, for the firmware that the machine runs now."""

import re
from pathlib import Path

from .programs import must
from .system import EFI

LOADERS = "var/cache/metal-loaders"
"""In the new system: KIND.tar.zst, what the packages of each loader change in it."""
ARGUMENTS = re.compile(r"^GRUB_CMDLINE_LINUX=.*$", re.MULTILINE)


def kind() -> str:
    return "efi" if EFI.is_dir() else "bios"


def unpack(target: Path) -> None:
    """Its packages, as if they had been installed here; before anything else is changed."""
    archive = target / LOADERS / f"{kind()}.tar.zst"
    how = ["--zstd", "--numeric-owner", "--xattrs"]
    must(["tar", "-xp", *how, "-C", str(target), "-f", str(archive)])
    must(["rm", "-rf", str(target / LOADERS)])


def install(disks: list[str], console: str, target: Path) -> None:
    settings = target / "etc/default/grub"
    settings.write_text(
        ARGUMENTS.sub(f'GRUB_CMDLINE_LINUX="{console}"', settings.read_text(), count=1)
    )
    if kind() == "efi":
        # Of two disks the second's is found by the path of sticks, which no firmware forgets.
        second = ["--force-extra-removable"] if len(disks) > 1 else []
        must(["in-target", "grub-install", "--target=x86_64-efi", "--recheck", *second])
        answer = "grub-efi-amd64 grub2/force_efi_extra_removable boolean true\n" * len(second)
    else:
        for disk in disks:
            must(["in-target", "grub-install", "--target=i386-pc", "--recheck", disk])
        answer = f"grub-pc grub-pc/install_devices multiselect {', '.join(disks)}\n"
    if answer:  # where a later version of it is to be put
        must(["in-target", "debconf-set-selections"], stdin=answer)


def menu() -> None:
    """grub.cfg, in half a minute of an old processor: each line of it asks every disk."""
    must(["in-target", "update-grub"])
