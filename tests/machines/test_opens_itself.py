"""A whole machine whose disk opens itself: by a Tang server, then by its TPM instead."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.lab_full,
    pytest.mark.skipif(not Path("/usr/libexec/tangd").exists(), reason="needs the package tang"),
]
PORT = 7500
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


def test_by_tang_and_by_its_tpm(tmp_path: Path, site_of: Callable[..., Any]) -> None:
    keys = tmp_path / "tang"
    keys.mkdir()
    subprocess.run(["/usr/libexec/tangd-keygen", str(keys)], check=True)
    told = BY_TANG.format(thumbprint=_thumbprint(keys))
    site = site_of("bios", packages='["clevis-tpm2"]', more=told, tpm=True)
    listen = f"TCP-LISTEN:{PORT},fork,reuseaddr"
    tang = site.wire.start("tang.log", "socat", listen, f"EXEC:/usr/libexec/tangd {keys}")
    site.install()
    _comes_back(site, "by Tang")

    tang.terminate()
    inventory = site.folder / "inventory.toml"
    text = inventory.read_text()
    inventory.write_text(text[: text.index("\n[tang.beyond]")] + BY_TPM)
    site.workspace.reload()
    print(site.metal("keys", "rotate", "one", "--identity", str(site.identity)))
    assert [slot.token for slot in site.header().slots()].count("clevis") == 1
    _comes_back(site, "by its TPM")


def _comes_back(site: Any, how: str) -> None:
    """From a restart, nobody giving it a key."""
    assert "would come back" in site.metal("keys", "rehearse", "one")
    boot = site.ssh("cat /proc/sys/kernel/random/boot_id")
    began = time.monotonic()
    site.ssh("systemctl reboot")

    def back() -> bool:
        return site.ssh("cat /proc/sys/kernel/random/boot_id") not in (boot, None)

    site.wait(back, f"it to open itself {how}", 300)
    print(f"restarted and opened {how}: {time.monotonic() - began:.0f} s")


def _thumbprint(keys: Path) -> str:
    """What tang-show-keys prints: of the key that signs."""
    for file in sorted(keys.glob("*.jwk")):
        if '"ES512"' in file.read_text():
            words = ["jose", "jwk", "thp", "-a", "S256", "-i", str(file)]
            return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    raise AssertionError("tangd-keygen made no key that signs")
