"""While watching: servers that wait at boot get their disk's key, where the inventory allows it.

Beside the rounds, a server at a time: one that hangs keeps nobody waiting. In no order: a disk that
its key opens needs no other server, and what waits for Tang opens itself once that is up. The order
of `metal keys graph` is for people, who want to type as few keys as can be.
"""

from concurrent.futures import Future, ThreadPoolExecutor, wait

from metal.controller.unlocking import unlock_held
from metal.controller.workspace import Workspace
from metal.model.errors import MetalError
from metal.model.life import Life, Status

WORKERS = 8
IN_USE = (Life.INSTALLED, Life.MEMBER, Life.DRAINING)


class Gatekeeper:
    """Remembers whom it asks at the moment, and who would not have the key."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="unlock")
        self._asked: dict[str, Future[bool]] = {}
        self.refused: dict[str, str] = {}
        """Server → why its door was not opened. It is not tried again: three wrong keys, and it
        would have to be restarted."""

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def round(self) -> tuple[str, ...]:
        """Ask at every door that may be opened; the servers that took their key since the last."""
        opened = self.collect()
        for server in self._allowed():
            if server not in self._asked and server not in self.refused:
                self._asked[server] = self._pool.submit(unlock_held, self._workspace, server)
        return opened

    def finish(self) -> tuple[str, ...]:
        """As `collect`, once everybody that was asked has answered."""
        wait(self._asked.values())
        return self.collect()

    def collect(self) -> tuple[str, ...]:
        opened = []
        for server, asked in [(s, a) for s, a in self._asked.items() if a.done()]:
            del self._asked[server]
            try:
                if asked.result():
                    opened.append(server)
            except MetalError as error:
                self.refused[server] = str(error)
        return tuple(opened)

    def _allowed(self) -> list[str]:
        """A server that was set aside stays locked: what it held may run elsewhere by now."""
        workspace = self._workspace
        policies = workspace.inventory.servers
        wanted = [name for name, server in policies.items() if server.unlock.held]
        records = workspace.store.servers.all(wanted) if wanted else {}
        return [
            name
            for name, record in records.items()
            if "dropbear" in policies[name].unlock.by
            and record.life in IN_USE
            and record.status != Status.HELD
        ]
