"""A machine for the dead man's switch: the real shell text in a mount namespace, whose systemd is
a stub that writes down what it was told and does it when the test says so."""

import configparser
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from metal.drivers.commands import Result

SYSTEMD_RUN = """\
#!/bin/sh
echo "systemd-run $*" >>@told
for word; do [ "$last" != --unit ] || unit=$word; last=$word; done
while [ "$1" != sh ]; do shift; done
printf '%s\\n' "$@" >"@timers/$unit"
"""
SYSTEMCTL = """\
#!/bin/sh
echo "systemctl $*" >>@told
case "$1" in
stop) shift; for unit; do [ "${unit%.timer}" = "$unit" ] || rm -f "@timers/${unit%.timer}"; done ;;
start) mv "@timers/$(basename "$3" .service)" @timers/now ;;
esac
"""


class Machine:
    """metal.drivers.commands.Runner of a machine with this one's kernel and another's /etc."""

    where = "alba1"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.etc, self.var, self.units = folder / "etc", folder / "var", folder / "units"
        self.bin, self.told, self.timers = folder / "bin", folder / "told", folder / "timers"
        for made in (self.etc, self.var, self.units, self.bin, self.timers):
            made.mkdir(parents=True)
        self.told.touch()
        self.program("systemd-run", SYSTEMD_RUN)
        self.program("systemctl", SYSTEMCTL)

    def program(self, name: str, text: str) -> None:
        for what in ("told", "timers"):
            text = text.replace(f"@{what}", str(getattr(self, what)))
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    @property
    def home(self) -> Path:
        """What the switch keeps there."""
        return self.var / "metal/trials/tried"

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None
    ) -> Result:
        enter = (
            f"mount --bind {self.etc} /etc/network && mount --bind {self.var} /var/lib && "
            f"mount --bind {self.units} /etc/systemd/system && "
            f'PATH={self.bin}:$PATH exec "$@"'
        )
        words = ["unshare", "-m", "sh", "-c", enter, "_", *argv]
        done = subprocess.run(words, input=stdin, capture_output=True, timeout=timeout)
        return Result(done.returncode, done.stdout, done.stderr.decode())

    def fire(self, timer: str) -> None:
        """Its time has come."""
        self.do((self.timers / timer).read_text().splitlines())

    def do(self, argv: Sequence[str]) -> None:
        done = self.run(argv)
        assert done.code == 0, done.err

    def power_cut(self) -> None:
        """Its timers are gone; the unit does what systemd would have it do at the next start."""
        for timer in self.timers.iterdir():
            timer.unlink()
        for file in self.units.iterdir():
            unit = configparser.ConfigParser(interpolation=None, strict=False)
            unit.optionxform = str  # type: ignore[assignment,method-assign]
            unit.read_string(file.read_text())
            before = unit["Unit"]["Before"].split()
            assert {"network-pre.target", "networking.service", "sysinit.target"} <= set(before)
            self.do(shlex.split(unit["Service"]["ExecStart"]))


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
