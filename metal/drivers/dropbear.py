"""The dropbear in the initramfs that waits for the disk's key, and knows nothing else.

Its forced command is Debian's cryptroot-unlock (/usr/share/cryptsetup/initramfs/bin): without a
terminal it reads one passphrase from stdin, to the end, and opens one disk with it. When all are
open the system goes on booting and dropbear ends, at times in the middle of its answer, and at
times without a word: the initramfs takes its network down first.
"""

from collections.abc import Sequence
from dataclasses import replace

from metal.drivers.ssh import CutOff, SshHost, run, through
from metal.model.errors import Refused, Unreachable

PORT = 2222
"""preseed/late.sh.j2 says the same."""
MOST = 8
"""Disks that one server may have to open at boot."""
ANSWER = 90.0
"""Seconds: cryptroot-unlock waits ten for the prompt, a slow slot takes its time."""
SILENCE = 20.0
"""Seconds: as long as an old processor may be busy with a slow slot and nothing else."""
_OPENED = "set up successfully"
_WRONG = ("bad password", "maximum number of tries")


class WrongKey(Refused):
    """It opens no disk that waits."""


class Dropbear:
    """The door of one server's initramfs."""

    def __init__(self, system: SshHost, host_keys: Sequence[str]) -> None:
        """`system`: how the running server is logged in to; this is the same one's other door."""
        door = through(system, port=PORT, host_keys=host_keys)
        self._host = replace(door, silence=SILENCE)

    def ensure_unlocked(self, key: str) -> int:
        """Give `key` for every disk that waits; how many it said that it opened (a system that
        goes on booting may cut the answer off).

        Unreachable when nothing waits there (it may be running: ask the system's own SSH), Refused
        when the key is wrong: each wrong one uses up one of three tries.
        """
        for opened in range(MOST):
            try:
                done = run(self._host, (), stdin=key.encode(), timeout=ANSWER)
            except CutOff:
                return opened
            except Unreachable:
                if opened:
                    return opened  # it went on booting
                raise
            said = done.err + done.out.decode(errors="replace")
            if any(words in said for words in _WRONG):
                raise WrongKey(
                    "the key does not open its disk",
                    where=self._host.name,
                    mend="metal keys recover shows older ones; one more wrong one or two, and it "
                    "must be restarted",
                )
            if done.code:
                raise Unreachable(f"it does not take a key yet: {done.said}", where=self._host.name)
            if _OPENED not in said:
                return opened  # nothing is locked any more
        return MOST
