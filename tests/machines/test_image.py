"""An install from an image, from power-on to a log-in, on whole machines."""

from collections.abc import Callable
from typing import Any

import pytest

from metal.model.life import Life

pytestmark = pytest.mark.lab_full


@pytest.mark.parametrize("firmware", ["bios", "efi"])
def test_from_power_on_to_a_log_in(firmware: str, site_of: Callable[..., Any]) -> None:
    """Installed, unlocked through dropbear, its key replaced; then restarted, and unlocked by an
    administrator with `metal unlock`."""
    site = site_of(firmware)
    throw_away = site.install()
    site.tell(f"{firmware}, installed from an image")
    assert site.workspace.life("one") is Life.INSTALLED
    assert "unlocked for its first boot, through dropbear" in site.said()

    disks = site.ssh("lsblk --noheadings --list --output TYPE,MOUNTPOINTS")
    assert disks and {"lvm /", "crypt", "part /boot"} <= {
        " ".join(x.split()) for x in disks.splitlines()
    }
    assert site.ssh("test -d /sys/firmware/efi; echo $?") == f"{int(firmware == 'bios')}\n"

    final = site.administrator_opens("disk/one")
    header = site.header()
    assert header.slot_of(final) is not None and header.slot_of(throw_away) is None
    assert [slot.kdf for slot in header.slots()] == ["argon2id"]
    assert site.workspace.secrets.reveal("disk/one") is None, "the controller has forgotten it"

    assert "would come back" in site.metal("keys", "rehearse", "one")
    boot = site.ssh("cat /proc/sys/kernel/random/boot_id")
    site.ssh("systemctl reboot")
    site.wait(lambda: not site.ssh("true"), "it to restart", 60)
    print(site.metal("unlock", "one", "--identity", str(site.identity)))
    assert site.ssh("cat /proc/sys/kernel/random/boot_id") not in (boot, None)
