"""Debian's own installer on a whole machine, by the rendered preseed."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.lab


def test_the_installer_divides_and_encrypts_the_disk_and_phones_home(
    site_of: Callable[..., Any],
) -> None:
    site = site_of("bios", method="preseed")
    install = site.begin_install()
    site.wait(lambda: site.workspace.store.installs.latest("one"), "the install to open", 60)
    throw_away = site.workspace.secrets.reveal("disk/one")
    installs = site.workspace.store.installs
    site.wait(lambda: installs.latest("one").phase == "partitioned", "its disk divided", 2400)
    assert install.poll() is None, site.log("install.log")
    header = site.header()
    assert header.slot_of(throw_away) is not None
    assert {slot.kdf for slot in header.slots()} == {"argon2id"}
    site.tell("bios, by preseed")
