"""The SSH host keys that servers are known by: pins/NAME, public, for everyone with the workspace.

A line is a door and a key: "system ssh-ed25519 AAAA…" of the running system, "initramfs …" of the
dropbear that waits for the disk's key. Whoever changes these files decides whom keys are sent to:
they belong under version control beside inventory.toml.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from metal.drivers.durable import replace_file, sync
from metal.drivers.ssh import HOST_KEY
from metal.model.errors import BadInput, Failed, Refused

Door = Literal["system", "initramfs"]
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


class HostKeys:
    """`folder`: the workspace's pins/."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, server: str, door: Door) -> tuple[str, ...]:
        """The pinned keys, "ssh-ed25519 AAAA…" each; empty where none is."""
        return tuple(key for at, key in self._lines(server) if at == door)

    def pin(self, server: str, door: Door, keys: Sequence[str]) -> None:
        """These are the door's keys from now on; BadInput for what is none."""
        for key in keys:
            if not HOST_KEY.fullmatch(key):
                raise BadInput(f"{key[:40]!r} is no SSH host key", where=server)
        kept = [line for line in self._lines(server) if line[0] != door]
        lines = sorted({*kept, *((door, key) for key in keys)})
        text = "".join(f"{at} {key}\n" for at, key in lines)
        replace_file(self._file(server), text.encode())

    def forget(self, server: str) -> None:
        """It is going to be installed anew, and will show others."""
        if (file := self._file(server)).exists():
            file.unlink(missing_ok=True)
            sync(file.parent)

    def rename(self, server: str, new: str) -> None:
        """Its keys are those of `new`; done already where it has none. Refused where others are
        pinned for `new`; Failed where the disk does not keep it."""
        file, later = self._file(server), self._file(new)
        if not file.exists():
            return
        if later.exists():
            raise Refused(
                f"other host keys are pinned there, and those of {server} would take their place",
                where=str(later),
                mend="see which of them is right, and move the other one away",
            )
        try:
            file.replace(later)
            sync(file.parent)
        except OSError as error:
            raise Failed(
                f"could not be renamed: {error.strerror or 'the disk did not keep it'}",
                where=str(later),
                mend="make room or correct the permissions",
            ) from error

    def knows(self, server: str) -> bool:
        """Whether any key is pinned for it."""
        return self._file(server).exists()

    def _lines(self, server: str) -> list[tuple[str, str]]:
        file = self._file(server)
        try:
            text = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise Failed(f"cannot be read: {error}", where=str(file)) from None
        split = (line.partition(" ") for line in text.splitlines() if line.strip())
        return [(door, key.strip()) for door, _, key in split]

    def _file(self, server: str) -> Path:
        if not _NAME.fullmatch(server):
            raise BadInput(f"{server[:60]!r} is no name of a server")
        return self._folder / server
