"""The trial of a host's network: what NetworkShell tells the dead man's switch."""

import os
import subprocess
from pathlib import Path

import pytest

from metal.drivers.proxmox.network_trial import USE, network_trial


def test_the_same_network_is_the_same_trial_whatever_cards_are_asked_for() -> None:
    assert network_trial("auto lo\n", ["eno1"]).mark == network_trial("auto lo\n", ()).mark
    assert network_trial("auto lo\n", ()).mark != network_trial("auto eno1\n", ()).mark


@pytest.mark.parametrize(
    ("now", "deleted"),
    [("iface vmbr0.30 inet static\n", ["vlan30"]), ("iface vlan30 inet static\n", [])],
)
def test_a_vlan_of_the_file_before_is_no_more_on_the_bridges_port(
    tmp_path: Path, now: str, deleted: list[str]
) -> None:
    """That of an install; and not one of another's, nor where the old file is back."""
    before, file = tmp_path / "before/tree/etc/network/interfaces", tmp_path / "interfaces"
    before.parent.mkdir(parents=True)
    before.write_text("auto vlan30\niface vlan30 inet static\niface vlan31 inet manual\n")
    file.write_text(now)
    for name in ("vlan30", "vlan99"):
        (tmp_path / "net" / name).mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    for name in ("ip", "ifreload"):
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/log\n')
        (tmp_path / "bin" / name).chmod(0o755)
    use = USE.replace("/sys/class/net", str(tmp_path / "net"))
    use = use.replace(" /etc/network/interfaces", f" {file}")
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-ec", use], cwd=tmp_path, env=environment, check=True)
    log = (tmp_path / "log").read_text().splitlines()
    assert log == [*(f"ip link delete {name}" for name in deleted), "ifreload -a"]
