"""An install from an image, from power-on to a log-in, on whole machines; and back after restarts.

Two machines, one for each firmware, of one processor each: on two cores their tests run beside one
another. On a busier machine the guests' own time-outs strike.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metal.model.life import Life

from .tang import SERVER, Tang

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not Path(SERVER).exists(), reason="needs the package tang"),
]
PACKAGES = '["clevis-luks", "clevis-initramfs", "clevis-tpm2"]'
"""Of both machines, so that one image is built for them."""
BY_TANG = """
[tang.beyond]
url = "http://10.77.0.1:7500"
thumbprint = "{thumbprint}"
runs_on = "outside"

[servers.one.unlock]
by = ["dropbear", "tang"]
tang = ["beyond"]
"""
BY_TPM = """
[servers.one.unlock]
by = ["dropbear", "tpm2"]
"""


def test_under_bios_opened_by_tang_and_by_an_administrator(
    tmp_path: Path, site_of: Callable[..., Any]
) -> None:
    tang = Tang(tmp_path / "tang")
    told = BY_TANG.format(thumbprint=tang.thumbprint())
    site = site_of("bios", packages=PACKAGES, more=told)
    server = tang.start(site.wire)
    _installed(site, site.install())
    _restarted(site)
    site.returns("opened by Tang")

    server.terminate()
    server.wait()
    boot = _restarted(site)
    print(site.metal("unlock", "one", "--identity", str(site.identity)))
    assert site.boot() not in (boot, None), "it answers, and was restarted"


def test_under_uefi_opened_by_its_tpm(site_of: Callable[..., Any]) -> None:
    site = site_of("efi", packages=PACKAGES, more=BY_TPM, tpm=True)
    _installed(site, site.install())
    _restarted(site)
    site.returns("opened by its TPM")


def _installed(site: Any, throw_away: str) -> None:
    """Encrypted, unlocked through dropbear, its key replaced, logged in."""
    site.tell(f"{site.machine.firmware}, installed from an image")
    assert site.workspace.life("one") is Life.INSTALLED
    assert "unlocked for its first boot, through dropbear" in site.said()
    disks = site.ssh("lsblk --noheadings --list --output TYPE,MOUNTPOINTS")
    assert disks and {"lvm /", "crypt", "part /boot"} <= {
        " ".join(x.split()) for x in disks.splitlines()
    }
    bios = site.machine.firmware == "bios"
    assert site.ssh("test -d /sys/firmware/efi; echo $?") == f"{int(bios)}\n"
    final, header = site.administrator_opens("disk/one"), site.header()
    assert header.slot_of(final) is not None and header.slot_of(throw_away) is None
    keys = {(slot.token, slot.kdf) for slot in header.slots()}
    assert (None, "argon2id") in keys and len(keys) == 2, keys
    assert site.workspace.secrets.reveal("disk/one") is None, "the controller has forgotten it"


def _restarted(site: Any) -> str:
    """Which boot it was before; what it will start from was read, and found good."""
    assert "would come back" in site.metal("keys", "rehearse", "one")
    boot: str = site.boot()
    site.restart()
    return boot
