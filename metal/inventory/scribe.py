"""Many threads edit inventory.toml at once, and the file is written once for all that wait.

An edit reads, checks and replaces the whole file: two hundred servers that are enrolled side by
side would do that two hundred times, one after the other.
"""

import threading
from concurrent.futures import Future
from pathlib import Path

from metal.inventory.edit import Change, edit
from metal.inventory.loading import load
from metal.model.errors import MetalError
from metal.model.fleet import Inventory


class Scribe:
    """`write` returns once the change stands in the file; it raises what `edit` raises."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._waiting: list[tuple[Change, Future[None]]] = []
        self._list, self._pen = threading.Lock(), threading.Lock()

    def read(self) -> Inventory:
        """As it stands now, with what other processes wrote."""
        return load(self._workspace)

    def write(self, change: Change) -> None:
        mine: Future[None] = Future()
        with self._list:
            self._waiting.append((change, mine))
        with self._pen:  # whoever has it writes for all that came meanwhile
            if not mine.done():
                self._write_all()
        mine.result()

    def _write_all(self) -> None:
        with self._list:
            batch, self._waiting = self._waiting, []
        try:
            edit(self._workspace, [change for change, _ in batch])
        except MetalError:
            # One of them spoils it for the others: each by itself.
            for change, future in batch:
                self._settle(change, future)
        except BaseException as error:
            for _, future in batch:
                future.set_exception(error)
        else:
            for _, future in batch:
                future.set_result(None)

    def _settle(self, change: Change, future: Future[None]) -> None:
        try:
            edit(self._workspace, [change])
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(None)
