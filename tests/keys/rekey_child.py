"""Re-key a LUKS file as a process of its own, which kills itself at its AT-th step.

python rekey_child.py FOLDER RECIPIENT AT before|after|inside|never
"""

import os
import signal
import sys
from pathlib import Path

from metal.drivers.commands import Here
from metal.drivers.luks import Luks
from metal.drivers.secrets import AgeSecrets
from metal.install.rekey import RekeyPorts, rekey
from metal.model.life import Status
from metal.operations.run import perform
from metal.operations.store import open_store

CHEAP = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class Deadly:
    """A Run that is killed with its process at one step."""

    def __init__(self, run, at, when):
        self._run, self._left, self._when = run, at, when

    def __getattr__(self, name):
        return getattr(self._run, name)

    def step(self, name, act, **options):
        self._left -= 1
        return self._run.step(name, self._dies(act) if self._left == -1 else act, **options)

    def _dies(self, act):
        def dying():
            if self._when == "before":
                die()
            result = act()
            if self._when == "after":
                die()
            return result

        return dying


class Fragile:
    """This machine, on which a process dies right after its N-th command of cryptsetup."""

    def __init__(self, left):
        self.where, self._left = "here", left

    def run(self, argv, **options):
        done = Here().run(argv, **options)
        self._left -= 1
        if self._left == -1:
            die()
        return done


def main(folder, recipient, at, when):
    folder, at = Path(folder), int(at)
    escrow = AgeSecrets(folder / "secrets", folder / "state", [recipient])
    runner = Fragile(at if when == "inside" else -2)
    disk = Luks(runner, str(folder / "disk.img"), pbkdf=CHEAP)

    def old():
        key = escrow.reveal("disk/alba1")
        return [] if key is None else [key]

    ports = RekeyPorts(escrow, lambda: [disk], old, (), held=False)
    store = open_store("sqlite", folder / "state")
    operation = store.journal.open("rekey", "alba1", ["server alba1"], {})
    flow = lambda run: rekey(Deadly(run, at, when), "alba1", ports, alone=True)  # noqa: E731
    outcome = perform(store, operation, flow)
    print(outcome.error)
    return 0 if outcome.status is Status.DONE else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
