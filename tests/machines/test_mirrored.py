"""A system on two disks, on a whole machine: installed, then started from each of them alone."""

from collections.abc import Callable
from typing import Any

import pytest

from metal.model.life import Life

pytestmark = pytest.mark.lab_full


@pytest.mark.parametrize("firmware", ["efi", "bios"])
def test_it_starts_from_either_disk(firmware: str, site_of: Callable[..., Any]) -> None:
    site = site_of(firmware, mirror_serial="DISK0002")
    site.install(3000)
    site.tell(f"{firmware}, mirrored, installed from an image")
    assert site.workspace.life("one") is Life.INSTALLED
    assert "would come back" in site.metal("keys", "rehearse", "one")
    mounted = site.ssh("findmnt -n -o SOURCE /boot; lsblk -n -l -o NAME,TYPE; cat /proc/mdstat")
    assert mounted.startswith("/dev/md0\n") and "md1_crypt" in mounted, mounted
    assert mounted.count("[2/2] [UU]") == 2, mounted
    site.ssh("echo here >/root/mark; sync; poweroff")
    site.wait(lambda: site.power == "off", "it to power off", 300)
    for disk in site.machine.disks.values():
        away = disk.rename(disk.with_suffix(".pulled"))
        site.metal("power", "on", "one")
        _opened(site)
        assert site.ssh("cat /root/mark") == "here\n", "what was written is on either"
        told = site.ssh("cat /proc/mdstat; systemctl is-system-running; systemctl --failed")
        assert told.count("[_U]") + told.count("[U_]") == 2, told
        print(f"without {disk.name}: {told}")
        site.ssh("poweroff")
        site.wait(lambda: site.power == "off", "it to power off", 300)
        away.rename(disk)


def _opened(site: Any) -> None:
    """Through dropbear, from a disk alone: mdadm waits a while for the other one."""

    def up() -> bool:
        site.tries("unlock", "one", "--identity", str(site.identity), "--patience", "60")
        return site.boot() is not None

    site.wait(up, "it to be opened", 900)
