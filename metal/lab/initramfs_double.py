"""The initramfs of a simulated server, as `metal.drivers.initramfs` reads one: what the preseed
set up is in it, as update-initramfs would have put it there."""

import io
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

FILES = (
    "usr/sbin/cryptsetup",
    "usr/sbin/dropbear",
    "usr/lib/modules/6.12.0/kernel/drivers/net/ethernet/intel/e1000e/e1000e.ko.xz",
)
CLEVIS = (
    "scripts/local-top/clevis",
    *(f"usr/bin/clevis-{name}" for name in ("decrypt-sss", "decrypt-tang", "luks-unlock")),
    "usr/bin/curl",
    "usr/bin/jose",
)
NETWORK = (
    "scripts/init-premount/metal",
    "scripts/init-bottom/metal",
    "usr/lib/modules/6.12.0/kernel/net/8021q/8021q.ko.xz",
)
"""Of an address that the kernel's ip= would not lead to."""
TPM = ("usr/bin/clevis-decrypt-tpm2", "usr/bin/tpm2_unseal", "usr/bin/tpm2_load")


def initramfs_tar(installed_with: Mapping[str, Any], uuid: str, host_key: str, cards: str) -> bytes:
    """What the reading script prints."""
    conf = installed_with["initramfs_conf"]
    crypttab = f"system_crypt UUID={uuid} none luks,discard\n"
    return _tar(
        {
            "image": "/boot/initrd.img-6.12.0\n",
            "files": "\n".join(_files(installed_with["packages"], conf)),
            "conf": conf,
            "dropbear": installed_with["dropbear_conf"],
            "authorized": "\n".join(installed_with["root_keys"]),
            "host_keys": host_key,
            "crypttab": crypttab,
            "system_crypttab": crypttab,
            "drivers": "e1000e\n",
            "linked": cards,
        }
    )


def _files(packages: Sequence[str], conf: str) -> list[str]:
    network = NETWORK if "METAL_ADDRESS" in conf else ()
    clevis = CLEVIS if "clevis-initramfs" in packages else ()
    return [*FILES, *network, *clevis, *(TPM if "clevis-tpm2" in packages else ())]


def _tar(texts: Mapping[str, str]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, text in texts.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return written.getvalue()
