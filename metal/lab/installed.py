"""Programs on the installed system of a simulated server, Debian or Proxmox: a Runner."""

from collections.abc import Callable, Sequence

from metal.drivers.commands import Result, Runner
from metal.lab.luks_double import LOST

REBOOT = ("systemctl", "reboot")


class InstalledSystem:
    """`disk` knows of its disk's keys, `node` of packages, network and cluster."""

    def __init__(self, disk: Runner, node: Runner, reboot: Callable[[], None]) -> None:
        self.where, self._disk, self._node, self._reboot = disk.where, disk, node, reboot

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        if tuple(argv) == REBOOT:
            # The machine's own affair: its firmware, and its disk that wants a key again.
            self._reboot()
            return Result(0, b"", "")
        told = self._disk.run(argv, stdin=stdin, timeout=timeout)
        return told if told is not LOST else self._node.run(argv, stdin=stdin, timeout=timeout)
