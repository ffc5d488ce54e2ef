"""Give the primary name server its zones: tried there, and kept once it answers with them.

named goes on with what it has where it cannot load a file, and tells its log alone: the serials
that it answers with are the proof. What is not proven is taken back by the server itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from metal.drivers.trial import Trial
from metal.model.errors import Failed, Unreachable
from metal.operations.run import Run
from metal.routing.order import NamesOrder

VERSION = 1
TRIES = 3


class NameServer(Protocol):
    """Root's shell on it; as metal.routing.ports.Gateway."""

    def check(self, trial: Trial) -> None: ...
    def begin(self, trial: Trial, seconds: float) -> bool: ...
    def stands(self, trial: Trial) -> bool | None: ...
    def keep(self, trial: Trial) -> bool | None: ...

    def serials(self, zones: Sequence[str]) -> dict[str, int]:
        """Zone → what it answers with, of those that are loaded."""


@dataclass(frozen=True)
class NamingPorts:
    """Of one name server."""

    server: NameServer
    trial: Callable[[], Trial]
    every: float = 1.0


def give_names(run: Run, order: NamesOrder, ports: NamingPorts) -> dict[str, list[str]]:
    """The name server → the files that are others now."""
    if order.server is None:
        return {}
    run.progress(0.1, f"{order.vm}: asking BIND")
    check = partial(_check, ports)
    run.step(f"{order.vm}: BIND would take it", check, tries=TRIES)
    run.progress(0.3, f"{order.vm}: trying")
    run.wait(
        f"{order.vm}: it answers with the new zones",
        _Trying(order, ports).proven,
        seconds=3 * order.trial,
        every=ports.every,
        late=f"{order.vm}: it is not reached, neither with the new files nor the former ones",
    )
    return {order.vm: [change.path for change in order.server.changes]}


def _check(ports: NamingPorts) -> None:
    ports.server.check(ports.trial())


class _Trying:
    """Each process begins anew with it, whatever became of it before."""

    def __init__(self, order: NamesOrder, ports: NamingPorts) -> None:
        self._order, self._ports = order, ports
        self._begun, self._lacks = False, "it was not asked yet"

    def proven(self) -> bool | None:
        """True once it is, and stays so; None while it is not; Failed when it was taken back."""
        server, trial = self._ports.server, self._ports.trial()
        if not self._begun:
            if not server.begin(trial, self._order.trial):
                return True
            self._begun = True
        try:
            if not server.stands(trial):
                return None
            self._lacks = self._missing()
            return None if self._lacks else server.keep(trial)
        except Unreachable as error:
            self._lacks = f"no answer from it: {error.what}"
            raise
        except Failed as error:
            raise Failed(
                f"{error.what} (before: {self._lacks})" if self._lacks else error.what,
                where=error.where,
                mend="it answers as before; `journalctl -u named` there says why, then the same "
                "command begins anew",
            ) from None

    def _missing(self) -> str:
        """What it does not answer with yet; "" for nothing."""
        found = self._ports.server.serials(list(self._order.serials))
        late = [z for z, serial in self._order.serials.items() if found.get(z) != serial]
        return f"{', '.join(late)} was not loaded" if late else ""
