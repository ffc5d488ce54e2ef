"""What root runs on a node: the scripts themselves, on files and with programs of the test's."""

import os
import subprocess
from pathlib import Path

import pytest

from metal.drivers.proxmox.nodeshell import FORGET_MONITOR, UPGRADE

CONF = """\
[global]
\t auth_client_required = cephx
\t fsid = 0d1ab0ff-0000-4000-8000-000000000000
\t mon_host = {hosts}
\t public_network = 10.1.9.0/24

[mds]
\t keyring = /var/lib/ceph/mds/ceph-$id/keyring

{monitors}"""
ADDRESS = {"alba1": "10.1.9.1", "alba11": "10.1.9.11", "alba2": "10.119.9.1"}


def conf(hosts: str, address: dict[str, str]) -> str:
    """As Proxmox writes it; no empty line is behind the last section."""
    told = "\n".join(f"[mon.{name}]\n\t public_addr = {at}\n" for name, at in address.items())
    return CONF.format(hosts=hosts, monitors=told)


def forgotten(folder: Path, name: str, text: str) -> str:
    file = folder / "ceph.conf"
    file.write_text(text)
    script = FORGET_MONITOR.replace("/etc/pve/", f"{folder}/").replace("/run/", f"{folder}/run-")
    for _ in range(2):  # once more changes nothing
        subprocess.run(["sh", "-c", script, "_", name], check=True)
    assert [f.name for f in folder.iterdir()] == ["ceph.conf"]
    return file.read_text()


@pytest.mark.parametrize("name", ADDRESS)
def test_a_monitor_is_forgotten_by_the_address_that_it_had(tmp_path: Path, name: str) -> None:
    """On Ceph's own network: createmon refuses an address that is still in mon_host."""
    left = {other: at for other, at in ADDRESS.items() if other != name}
    told = forgotten(tmp_path, name, conf(" ".join(ADDRESS.values()), ADDRESS))
    assert told.split() == conf(" ".join(left.values()), left).split()


@pytest.mark.parametrize(
    ("hosts", "left"),
    [
        ("fd00::1 fd00::11 fd00::2", "fd00::11 fd00::2"),
        ("fd00::11,[fd00::1],[fd00::1]:6789;fd00::2", "fd00::11 fd00::2"),
        (
            "[v2:[fd00::1]:3300/0,v1:[fd00::1]:6789/0],[v2:[fd00::11]:3300/0]",
            "[v2:[fd00::11]:3300/0]",
        ),
    ],
)
def test_in_whatever_way_it_is_written(tmp_path: Path, hosts: str, left: str) -> None:
    told = forgotten(tmp_path, "alba1", conf(hosts, {"alba1": "fd00::1", "alba2": "fd00::2"}))
    assert f"mon_host = {left}\n" in told and "[mon.alba1]" not in told


def test_an_upgrade_waits_for_one_that_a_cut_line_left_behind(tmp_path: Path) -> None:
    """Then half-configured packages first, another apt waited for, and all of it told."""
    ran, active = tmp_path / "ran", tmp_path / "active"
    active.touch()
    for name, body in {
        # The first time it runs still.
        "systemctl": f"[ -e {active} ] && rm {active}",
        "sleep": "",
        "systemd-run": 'while [ "$1" != sh ]; do shift; done; exec "$@"',
        "dpkg": "",
        "apt-get": 'case "$*" in *dist-upgrade) echo "E: Unmet dependencies." ; exit 100 ;; esac',
    }.items():
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{ran}\n{body}\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", UPGRADE.replace("/var/lib/metal", str(tmp_path / "home"))],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr.strip()) == (1, "E: Unmet dependencies.")
    words = [line.split()[0] for line in ran.read_text().splitlines()]
    assert words == ["systemctl", "sleep", "systemctl", "systemd-run", "dpkg", "apt-get", "apt-get"]
    assert "DPkg::Lock::Timeout=900" in ran.read_text()
