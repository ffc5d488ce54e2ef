"""Firmware that starts what is signed and nothing else: Debian's chain over the network, and iPXE
refused, so that the first is known to have been asked for its signatures."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.lab


def test_debians_signed_chain_starts_the_installer(site_of: Callable[..., Any]) -> None:
    site = site_of("efi", method="preseed", secure_boot=True)
    site.begin_install()
    enabled = "secureboot: Secure boot enabled"
    site.wait(lambda: enabled in site.machine.console, "the installer's kernel to say so", 1800)
    site.tell("efi with Secure Boot, by preseed")
    assert site.workspace.store.installs.phase("one")[0] != "opened", "it asked the boot service"


def test_ipxe_is_refused_there(site_of: Callable[..., Any]) -> None:
    """The inventory does not say that its firmware asks for signatures: it is sent iPXE."""
    site = site_of("efi", method="preseed", secure_boot=True, known=False)
    site.metal("boot", "one", "--from", "network")
    site.metal("power", "on", "one")
    site.wait(lambda: "Access Denied" in site.machine.console, "its firmware to refuse", 300)
