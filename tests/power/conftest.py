"""A switched PDU: Net-SNMP's own agent, with the outlets of APC's PowerNet-MIB behind it."""

import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

COMMUNITY = "s3cret-rw"
TYPE = ".1.3.6.1.4.1.318.1.3.4.5"
"""sysObjectID of a Rack PDU."""
OUTLETS = Path(__file__).with_name("pdu_outlets.py")

Until = Callable[[Callable[[], bool]], None]


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        pause.wait(0.02)


class Pdu:
    """Eight outlets, all on; each outlet's state is in a file of its own."""

    community = COMMUNITY

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "pdu"
        self.folder.mkdir()
        for outlet in range(1, 9):
            self.write(outlet, "on")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config = self.folder / "snmpd.conf"
        config.write_text(
            f"agentaddress udp:127.0.0.1:{self.port}\nrwcommunity {COMMUNITY}\n"
            f"sysObjectID {TYPE}\n"
            f"pass_persist .1.3.6.1.4.1.318.1.1.12 {sys.executable} {OUTLETS} {self.folder}\n"
        )
        self._process = subprocess.Popen(
            ["snmpd", "-f", "-Ln", "-C", "-c", str(config), "-p", str(self.folder / "pid"),
             "-I", "-smux", "-x", str(self.folder / "agentx")],
            env={"PATH": "/usr/sbin:/usr/bin:/bin", "SNMP_PERSISTENT_DIR": str(self.folder)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(self._answers)

    def _answers(self) -> bool:
        words = ["snmpget", "-v2c", "-c", COMMUNITY, "-t", "0.2", "-r", "0",
                 f"127.0.0.1:{self.port}", ".1.3.6.1.2.1.1.2.0"]  # fmt: skip
        return subprocess.run(words, capture_output=True).returncode == 0

    def write(self, outlet: int, state: str) -> None:
        (self.folder / str(outlet)).write_text(state)

    def read(self, outlet: int) -> str:
        return (self.folder / str(outlet)).read_text()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def pdu(tmp_path: Path) -> Iterator[Pdu]:
    for program in ("snmpd", "snmpget", "fence_apc_snmp"):
        if shutil.which(program, path="/usr/sbin:/usr/bin") is None:
            pytest.skip(f"{program} is not installed")
    made = Pdu(tmp_path)
    yield made
    made.stop()
