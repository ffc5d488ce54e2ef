"""Give servers that wait in their initramfs the key of their disk, and see them come up."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from metal.controller.disk_keys import dropbear
from metal.controller.key_checks import Verdict
from metal.controller.keyring import keys_of
from metal.controller.progress import Progress
from metal.controller.sweeping import side_by_side
from metal.controller.workspace import Workspace
from metal.drivers.dropbear import Dropbear, WrongKey
from metal.drivers.identities import Identity
from metal.drivers.polling import became
from metal.drivers.ssh import Ssh
from metal.install.cold_start import Wave
from metal.install.key_graph import site_start
from metal.model.errors import MetalError, Refused, Unreachable

WORKERS = 16
TRIES = 2
"""Keys that are tried: the key, and the next of a rotation that was not ended. Three wrong ones
and cryptsetup gives up."""


class Unlocking:
    """One attempt to bring servers back, with one administrator's key at most."""

    def __init__(
        self,
        workspace: Workspace,
        identity: Identity | None,
        agent: Path | None,
        progress: Progress,
        *,
        patience: float,
        grace: float,
    ) -> None:
        """`patience`: seconds for a server to come up once it was unlocked. `grace`: how long one
        that should open itself is waited for before it is given its key."""
        self._workspace, self._identity, self._agent = workspace, identity, agent
        self._progress, self._patience, self._grace = progress, patience, grace

    def site(self, site: str) -> list[Verdict]:
        """All its servers, in dependency order: what serves keys to others comes first."""
        told = []
        for wave in site_start(self._workspace.inventory, site).waves:
            told += self.servers(wave.persons)
            told += self._by_themselves(wave)
        return told

    def servers(self, names: Sequence[str], *, itself: bool = False) -> list[Verdict]:
        """Side by side; one that fails never stops the others."""
        one: Callable[[str], Verdict] = lambda name: self._shown(name, itself)  # noqa: E731
        return side_by_side(names, one, workers=WORKERS, stop=threading.Event())

    def _by_themselves(self, wave: Wave) -> list[Verdict]:
        return [told for names in wave.rounds for told in self.servers(names, itself=True)]

    def _shown(self, server: str, itself: bool) -> Verdict:
        self._progress.begin(server, f"unlock {server}")
        try:
            verdict = Verdict(server=server, works=(self._unlock(server, itself),))
        except MetalError as error:
            verdict = Verdict(server=server, error=str(error), exit_code=error.exit_code)
        self._progress.end(server, not verdict.error, verdict.error)
        return verdict

    def _unlock(self, server: str, itself: bool) -> str:
        if became(lambda: self._answers(server), self._grace if itself else 0):
            return "it opened itself" if itself else "it runs already"
        keys, given = self._keys(server)[:TRIES], _Given()
        door = dropbear(self._workspace, server, self._agent)
        if not became(lambda: self._answers(server) or given.to(door, keys), self._patience):
            raise Unreachable(
                f"within {self._patience:g} s it did not come up; {given.said}",
                where=server,
                mend=f"metal console {server} shows what it says, if its BMC has a console",
            )
        return f"{given.said}, and it is up"

    def _keys(self, server: str) -> list[str]:
        held = self._workspace.secrets.reveal(f"disk/{server}")
        if held is not None:
            return [held]
        if self._identity is None:
            raise Refused(
                "the controller does not hold its key",
                where=server,
                mend="an administrator unlocks it: metal unlock --identity FILE",
            )
        return keys_of(self._workspace.secrets, server, self._identity)

    def _answers(self, server: str) -> bool:
        try:
            Ssh(self._workspace.ssh_host(server, self._agent)).run(("true",), timeout=20)
        except Unreachable:
            return False
        return True


def unlock_held(workspace: Workspace, server: str) -> bool:
    """Give a server that waits at boot its key, where the controller holds that; whether it took
    it. For whoever waits for a server and asks again and again."""
    key = workspace.secrets.reveal(f"disk/{server}")
    if key is None or not workspace.host_keys.of(server, "initramfs"):
        return False
    try:
        return dropbear(workspace, server).ensure_unlocked(key) > 0
    except Unreachable:
        return False


class _Given:
    """What its dropbear was given so far."""

    def __init__(self) -> None:
        self._opened, self._reached = 0, ""

    def to(self, door: Dropbear, keys: list[str]) -> bool:
        """Try the likeliest key, then the next. Never the proof that it is up: False."""
        try:
            self._opened += door.ensure_unlocked(keys[0])
            self._reached = "its dropbear took the key"
        except WrongKey:
            if len(keys) == 1:
                raise
            keys.pop(0)
        except Unreachable as error:
            self._reached = self._reached or f"its dropbear: {error.what}"
        return False

    @property
    def said(self) -> str:
        return f"{self._opened} disks were unlocked" if self._opened else self._reached
