"""The boot loader, for the firmware that the machine runs now."""

import re
from pathlib import Path

from .programs import must
from .system import EFI

PACKAGES = "var/cache/metal-loaders"
"""In the new system: those of each loader, brought along and not installed yet."""
ARGUMENTS = re.compile(r"^GRUB_CMDLINE_LINUX=.*$", re.MULTILINE)


def install(disks: list[str], console: str, target: Path) -> None:
    kind = "efi" if EFI.is_dir() else "bios"
    files = sorted((target / PACKAGES / kind).glob("*.deb"))
    quick = "--force-unsafe-io"  # a machine that loses its power here is installed anew
    must(["in-target", "dpkg", quick, "--install", *(f"/{f.relative_to(target)}" for f in files)])
    must(["rm", "-rf", str(target / PACKAGES)])
    settings = target / "etc/default/grub"
    settings.write_text(
        ARGUMENTS.sub(f'GRUB_CMDLINE_LINUX="{console}"', settings.read_text(), count=1)
    )
    if kind == "efi":
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
    must(["in-target", "update-grub"])
