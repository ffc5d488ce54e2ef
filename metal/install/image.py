"""An install by the image method, as the job of the live system: what it partitions, unpacks and
writes. Pure: same input, same job.

All that the preseed says too comes from where the preseed has it: the recipe of the partitions,
the late commands and the packages (metal/install/answers.py). What is here is what the installer
does by itself without being told: names, network, sources, the console.
"""

from collections.abc import Iterator
from typing import Any

from metal.install.answers import Answers
from metal.install.interfaces import interfaces, resolver
from metal.install.recipe import Recipe, read_recipe
from metal.install.render import (
    CONSOLE,
    Templates,
    checked_hash,
    checked_secret,
    render_late,
    report_url,
)
from metal.live.root import RootImage, RootWanted
from metal.model.base import Frozen

INSTALLER_PACKAGES = ("console-setup", "cryptsetup", "grub2-common", "lvm2", "zstd")
"""What Debian's installer adds to its base system for such a disk, beside the kernel and what of
the loader is the firmware's own."""
LOADERS = {
    "bios": ("grub-pc",),
    "efi": ("grub-efi-amd64", "grub-efi-amd64-signed", "shim-signed"),
}
"""They exclude each other: which of them a machine gets is seen there."""
SECURITY = "http://security.debian.org/debian-security"
"""As the installer sets it where nobody says otherwise."""


class ImageSecrets(Frozen):
    """What crosses the boot network once; the disk's key is a throw-away."""

    passphrase: str
    root_hash: str
    token: str
    report_key: str


def recipe_of(templates: Templates, answers: Answers) -> Recipe:
    """The partitions; BadInput where the recipe asks for what the image method cannot do."""
    name = answers.recipe
    return read_recipe(templates.render(f"preseed/recipes/{name}"), name)


def root_wanted(answers: Answers) -> RootWanted:
    """The root that is unpacked: the packages of the preseed, and what its installer adds."""
    return RootWanted(
        suite=answers.debian,
        mirror=_mirror(answers),
        sources=tuple(_sources(answers)),
        packages=tuple(sorted({"linux-image-amd64", *INSTALLER_PACKAGES, *answers.packages})),
        loaders=LOADERS,
    )


def image_job(
    templates: Templates, answers: Answers, root: RootImage, secrets: ImageSecrets
) -> dict[str, Any]:
    """What metal/live/agent/image.py does, as it is handed out: once, it holds secrets."""
    return {
        "kind": "image",
        "server": answers.server,
        "disks": [disk.model_dump() for disk in answers.disks],
        "recipe": recipe_of(templates, answers).model_dump(mode="json"),
        "root": {"path": root.path, "blake2b": root.blake2b, "bytes": root.bytes},
        "passphrase": checked_secret(secrets.passphrase),
        "root_hash": checked_hash(secrets.root_hash, answers.server),
        "card": answers.mac,
        "console": CONSOLE,
        "files": system_files(answers),
        "late": render_late(templates, answers, token=secrets.token, report_key=secrets.report_key),
        "report": report_url(answers, secrets.token),
    }


def system_files(answers: Answers) -> dict[str, str]:
    """Path (no slash in front) → text: what Debian's installer writes of itself, but for what
    only the machine knows (fstab, crypttab)."""
    return {
        "etc/hostname": f"{answers.server}\n",
        "etc/network/interfaces": interfaces(answers),
        "etc/resolv.conf": resolver(answers),
        "etc/apt/sources.list": "".join(f"{line}\n" for line in _sources(answers)),
        "etc/default/locale": "LANG=C.UTF-8\n",
        "etc/timezone": "Etc/UTC\n",
        "etc/adjtime": "0.0 0 0.0\n0\nUTC\n",
    }


def _mirror(answers: Answers) -> str:
    mirror = answers.mirror
    return f"{mirror.protocol}://{mirror.host}{mirror.directory}".rstrip("/")


def _sources(answers: Answers) -> Iterator[str]:
    suite, mirror = answers.debian, _mirror(answers)
    parts = "main non-free-firmware"
    yield f"deb {mirror} {suite} {parts}"
    yield f"deb {SECURITY} {suite}-security {parts}"
    yield f"deb {mirror} {suite}-updates {parts}"
