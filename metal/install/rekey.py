"""A new key for a server's disk: at the first boot, and whenever `metal keys rotate` asks for it.

The installer's key crossed the boot network in clear, so it is a throw-away. The order is what
matters: at every moment a key that opens the disk is escrowed to all administrators, under
disk/NAME or disk-next/NAME. Killed anywhere and run again it ends the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from metal.drivers.ports import DiskKeys, Escrow
from metal.install.random_keys import new_key
from metal.model.errors import Failed
from metal.model.keys import Pin
from metal.operations.run import Run

TRIES = 5
"""Of a step that needs the server: a first boot is busy, a network far away forgets packets."""


@dataclass(frozen=True)
class RekeyPorts:
    """What the re-key acts through."""

    escrow: Escrow
    disks: Callable[[], Sequence[DiskKeys]]
    """Logs in to the server, by its pinned host key: the disks that it unlocks at boot."""
    old: Callable[[], Sequence[str]]
    """The keys that may open them now, the likeliest first. They are removed."""
    pins: Sequence[Pin]
    """By what the disks are to open themselves, and by nothing else."""
    held: bool
    """Whether the controller keeps the new key, to unlock the server by itself."""


def rekey(run: Run, server: str, ports: RekeyPorts, *, alone: bool) -> list[str]:
    """Replace the key of every disk of `server`; returns what its headers say afterwards.

    `alone`: no other passphrase may be left, whoever it belongs to.
    """
    return _Rekey(run, server, ports, alone).perform()


class _Rekey:
    def __init__(self, run: Run, server: str, ports: RekeyPorts, alone: bool) -> None:
        self.run, self.server, self.ports, self.alone = run, server, ports, alone
        self.name, self.pending = f"disk/{server}", f"disk-next/{server}"

    def perform(self) -> list[str]:
        run, escrow = self.run, self.ports.escrow
        run.step("escrow the disk's next key", self._escrow)
        there = run.step("add the next key to its disk", self._add, tries=TRIES)
        run.step("remove the old key from its disk", partial(self._remove, there), tries=TRIES)
        said: list[str] = run.step("see that the old key is gone", self._look, tries=TRIES)
        said += run.step("bind its disk as its unlock policy says", self._bind, tries=TRIES)
        run.step("escrow the disk's header", self._back_up, tries=TRIES)
        run.step("the next key is the key", lambda: escrow.promote(self.pending, self.name))
        run.step("forget the disk's key", self._forget)
        for line in said:
            run.say(line)
        return said

    def _escrow(self) -> None:
        """A pending key is taken up: it may be on the disk already. Read back by the driver."""
        escrow, key = self.ports.escrow, self.ports.escrow.reveal(self.pending)
        sealed = escrow.sealed(self.pending)
        if key is not None and sealed is not None:
            escrow.reseal(self.pending, key, opened=sealed)  # to today's administrators
        else:
            escrow.escrow(self.pending, key or new_key(), controller=True)

    def _new(self) -> str:
        key = self.ports.escrow.reveal(self.pending)
        if key is None or self.ports.escrow.sealed(self.pending) is None:
            raise Failed(
                "its next key is not held here any more",
                where=self.server,
                mend=f"metal run cancel {self.run.id}, then metal keys rotate {self.server}: "
                "both keys are escrowed",
            )
        return key

    def _add(self) -> dict[str, list[int]]:
        """`ensure_key` tries it: a key that was added but does not open is a failure.

        Told is which slots the old ones open: once the server's power was cut while one was being
        wiped, its key does not find it any more.
        """
        new, old, there = self._new(), self.ports.old(), {}
        for disk in self.ports.disks():
            disk.ensure_key(new, by=old)
            found = (disk.slot_of(key) for key in old if key != new)
            there[disk.device] = [slot for slot in found if slot is not None]
        return there

    def _remove(self, there: dict[str, list[int]] | None) -> None:
        """`there`: from `_add`; one that an older metal began told nothing."""
        new = self._new()
        for disk in self.ports.disks():
            for old in self.ports.old():
                disk.ensure_without(old, keep=new)
            disk.ensure_empty((there or {}).get(disk.device, []), keep=new)

    def _look(self) -> list[str]:
        """From the header itself, and by trying: what was removed opens it no more."""
        new, said = self._new(), []
        for disk in self.ports.disks():
            if disk.slot_of(new) is None:
                raise self._wrong(disk, "its new key does not open it")
            if any(disk.slot_of(key) is not None for key in self.ports.old() if key != new):
                raise self._wrong(disk, "an old key opens it still")
            slots = disk.slots()
            others = sum(slot.token is None for slot in slots) - 1
            if others and self.alone:
                raise self._wrong(disk, f"{others} passphrases that metal does not know open it")
            said += [f"{disk.device}, {slot.said}" for slot in slots]
        return said

    def _wrong(self, disk: DiskKeys, what: str) -> Failed:
        return Failed(
            what,
            where=f"{self.server}, {disk.device}",
            mend=f"look at it there: cryptsetup luksDump {disk.device}; "
            f"then metal run resume {self.run.id}",
        )

    def _bind(self) -> list[str]:
        """Before the header is escrowed, so that one put back opens itself, too."""
        new, said = self._new(), []
        for disk in self.ports.disks():
            bound = disk.ensure_bound(self.ports.pins, by=new)
            said += [f"{disk.device}, {text}" for text in bound]
            if self.alone:  # that was seen before: another is of a binding that was cut off
                mine = disk.slot_of(new)
                cut = [s.number for s in disk.slots() if s.token is None and s.number != mine]
                disk.ensure_empty(cut, keep=new)
        return said

    def _back_up(self) -> None:
        """Only now: a header of before could be opened with the old key for ever."""
        for disk in self.ports.disks():
            uuid, header = disk.header()
            name = f"header/{self.server}/{uuid}"
            self.ports.escrow.escrow(name, header, controller=False)

    def _forget(self) -> None:
        if not self.ports.held:
            self.ports.escrow.forget(self.name)
