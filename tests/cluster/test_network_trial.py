"""The trial of a host's network: the real shell text in a mount namespace, whose systemd is a
stub that writes down what it was told."""

import configparser
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from metal.drivers.commands import Result
from metal.drivers.proxmox.network_trial import NetworkShell
from metal.model.errors import Failed, Refused

OLD, NEW = "auto eno1\n", "auto bond0\n"
UNIT = "metal-network-boot.service"


class Machine:
    """metal.drivers.commands.Runner of a machine with this one's kernel and another's /etc."""

    where = "alba1"

    def __init__(self, folder: Path) -> None:
        self.network, self.units = folder / "network", folder / "units"
        self.bin, self.told = folder / "bin", folder / "told"
        for made in (self.network, self.units, self.bin):
            made.mkdir(parents=True)
        self.interfaces.write_text(OLD)
        self.told.touch()
        for name in ("systemctl", "systemd-run", "ifreload"):
            # Nothing is active: what was begun has ended.
            stub = f'#!/bin/sh\necho "{name} $*" >>{self.told}\n[ "$1" != is-active ]\n'
            (self.bin / name).write_text(stub)
            (self.bin / name).chmod(0o755)

    @property
    def interfaces(self) -> Path:
        return self.network / "interfaces"

    @property
    def before(self) -> Path:
        return self.network / "interfaces.before"

    @property
    def unit(self) -> Path:
        return self.units / UNIT

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None
    ) -> Result:
        enter = (
            f"mount --bind {self.network} /etc/network && "
            f"mount --bind {self.units} /etc/systemd/system && "
            f'PATH={self.bin}:$PATH exec "$@"'
        )
        words = ["unshare", "-m", "sh", "-c", enter, "_", *argv]
        done = subprocess.run(words, input=stdin, capture_output=True, timeout=timeout)
        return Result(done.returncode, done.stdout, done.stderr.decode())

    def power_cut(self) -> None:
        """Its timers are gone; the unit does what systemd would have it do at the next start."""
        unit = configparser.ConfigParser(interpolation=None)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(self.unit.read_text())
        assert "networking.service" in unit["Unit"]["Before"]
        assert unit["Unit"]["ConditionPathExists"] == "/etc/network/interfaces.before"
        if self.before.exists():
            done = self.run(unit["Service"]["ExecStart"].split())
            assert done.code == 0, done.err


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("a mount namespace of one's own needs root and unshare")
    for folder in ("/etc/network", "/etc/systemd/system"):
        if not Path(folder).is_dir():
            pytest.skip(f"needs {folder} (packages ifupdown, systemd)")
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("no mount namespace can be made here")
    return Machine(tmp_path)


def test_what_is_confirmed_stays_and_leaves_nothing_behind(machine: Machine) -> None:
    shell = NetworkShell(machine)
    assert shell.try_network(NEW, ["lo"], 90)
    assert (machine.interfaces.read_text(), machine.before.read_text()) == (NEW, OLD)
    assert "--on-active 90" in machine.told.read_text()
    assert f"enable -q {UNIT}" in machine.told.read_text()
    assert shell.keep_network(NEW) is True
    assert [f.name for f in machine.network.iterdir()] == ["interfaces"]
    assert list(machine.units.iterdir()) == []
    assert f"disable -q {UNIT}" in machine.told.read_text()
    assert not shell.try_network(NEW, ["lo"], 90), "it is as it should be"


def test_a_power_cut_meanwhile_brings_the_old_one_back(machine: Machine) -> None:
    shell = NetworkShell(machine)
    assert shell.try_network(NEW, ["lo"], 90)
    machine.power_cut()
    assert machine.interfaces.read_text() == OLD
    assert not machine.before.exists()
    with pytest.raises(Failed, match="taken the old one back"):
        shell.keep_network(NEW)
    assert shell.try_network(NEW, ["lo"], 90), "it can be tried again"
    assert machine.before.read_text() == OLD


def test_the_way_back_is_the_network_that_was_confirmed_last(machine: Machine) -> None:
    """A second try before the first was confirmed does not make the first the way back."""
    shell = NetworkShell(machine)
    assert shell.try_network(NEW, ["lo"], 90)
    assert shell.try_network("auto bond1\n", ["lo"], 90)
    assert machine.before.read_text() == OLD


def test_nothing_is_touched_where_a_card_is_missing(machine: Machine) -> None:
    with pytest.raises(Refused, match="no card enp7s0"):
        NetworkShell(machine).try_network(NEW, ["lo", "enp7s0"], 90)
    assert [f.name for f in machine.network.iterdir()] == ["interfaces"]
    assert machine.interfaces.read_text() == OLD
    assert list(machine.units.iterdir()) == [] and machine.told.read_text() == ""
