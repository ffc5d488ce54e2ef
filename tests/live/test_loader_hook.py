"""What the packages of a boot loader change in a root, with apt and dpkg played."""

import os
import subprocess
import tarfile
from pathlib import Path

from metal.live.root import LOADER_HOOK

PLAYED = {
    "apt-get": "exit 0",
    "chroot": """cd "$1"
        until [ -n "$(find usr -name added -cnewer packages/begun)" ]; do touch usr/added; done
        echo new >etc/changed
        touch var/log/dpkg.log""",
}
"""Files' times go by the ticks of the kernel's clock: it takes one at least, as dpkg does."""


def test_what_changes_is_kept_and_the_root_stays_as_it_was(tmp_path: Path) -> None:
    root, tools = tmp_path / "root", tmp_path / "tools"
    for folder in ("etc", "usr", "var/log", "boot"):
        (root / folder).mkdir(parents=True)
    for name in ("etc/changed", "etc/same", "var/log/dpkg.log"):
        (root / name).write_text("old\n")
    tools.mkdir()
    for name, script in PLAYED.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    path = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "MMDEBSTRAP_APT_CONFIG": "none"}
    subprocess.run(["sh", LOADER_HOOK, root, "bios", "grub-pc"], check=True, env=path)
    archive = root / "var/cache/metal-loaders/bios.tar.zst"
    plain = subprocess.run(["zstd", "-dcq", archive], check=True, capture_output=True).stdout
    (tmp_path / "tar").write_bytes(plain)
    with tarfile.open(tmp_path / "tar") as tar:
        files = {member.name for member in tar if member.isfile()}
    assert files == {"etc/changed", "usr/added"}
    assert (root / "etc/changed").read_text() == "old\n"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("root")] == ["root"]
