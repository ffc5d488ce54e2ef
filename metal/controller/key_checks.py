"""Whether the keys in escrow are worth anything: opened, tried on the disks, and rehearsed."""

import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from metal.controller.disk_keys import Disks
from metal.controller.key_readers import locked_out, strangers
from metal.controller.keyring import headers_of, keys_of
from metal.controller.progress import Progress
from metal.controller.sweeping import side_by_side
from metal.controller.workspace import Workspace
from metal.drivers.commands import Here
from metal.drivers.identities import Identity
from metal.drivers.luks import Luks
from metal.drivers.secrets import AgeSecrets
from metal.model.base import Frozen
from metal.model.errors import Failed, MetalError
from metal.model.keys import Pin

WORKERS = 16
Pins = Callable[[str], Sequence[Pin]]
"""By what a server's disk is to open itself."""


class KeyState(Frozen):
    """What is known of a server's key without any private key."""

    server: str
    error: str = ""
    """Why no more is known of it: its file is damaged."""
    escrowed: bool = False
    older: int = 0
    """How many keys of before are kept beside it."""
    pending: bool = False
    """A rotation has begun and not ended."""
    held: bool = False
    """The controller has a copy, and could unlock the server by itself."""
    locked_out: tuple[str, ...] = ()
    """Who should be able to open it, and is not."""
    strangers: int = 0
    """Keys of people who are no administrators (any more) that open it."""
    headers: int = 0
    pinned: tuple[str, ...] = ()
    """The doors whose host key is pinned."""

    @property
    def well(self) -> bool:
        """Everybody can open it who should, and nobody else."""
        return self.escrowed and not (self.error or self.locked_out or self.strangers)


class Verdict(Frozen):
    """What became of trying a server's key."""

    server: str
    works: tuple[str, ...] = ()
    """What was proven, one line each."""
    error: str = ""
    exit_code: int = 0


def states(workspace: Workspace, names: Sequence[str]) -> list[KeyState]:
    return [_state_or_why(workspace, name) for name in names]


def _state_or_why(workspace: Workspace, server: str) -> KeyState:
    """A file that is damaged says nothing against the others."""
    try:
        return _state(workspace, server)
    except Failed as error:
        return KeyState(server=server, error=str(error))


def _state(workspace: Workspace, server: str) -> KeyState:
    escrow, name, inventory = workspace.secrets, f"disk/{server}", workspace.inventory
    files = escrow.generations(name)
    doors = [d for d in ("system", "initramfs") if workspace.host_keys.of(server, d)]
    there = escrow.sealed(name) is not None
    return KeyState(
        server=server,
        escrowed=there,
        older=max(0, len(files) - 1),
        pending=escrow.sealed(f"disk-next/{server}") is not None,
        held=escrow.holds(name),
        locked_out=locked_out(escrow, name, inventory) if there else (),
        strangers=strangers(escrow, name, inventory) if there else 0,
        headers=sum(n.startswith(f"header/{server}/") for n in escrow.names()),
        pinned=tuple(doors),
    )


def verify_all(
    escrow: AgeSecrets,
    servers: Sequence[str],
    identity: Identity,
    disks: Disks | None,
    progress: Progress,
    pins: Pins = lambda _server: (),
) -> list[Verdict]:
    """Side by side: a server that does not answer takes its time."""

    def one(server: str) -> Verdict:
        progress.begin(server, f"try the key of {server}")
        verdict = verify(escrow, server, identity, disks, pins(server))
        progress.end(server, not verdict.error, verdict.error)
        return verdict

    return side_by_side(servers, one, workers=WORKERS, stop=threading.Event())


def verify(
    escrow: AgeSecrets,
    server: str,
    identity: Identity,
    disks: Disks | None,
    pins: Sequence[Pin] = (),
) -> Verdict:
    """The escrow opens with `identity`; over SSH (unless None) the key opens every disk, and each
    opens itself by `pins`, the policy's, and by nothing else."""

    def check() -> list[str]:
        keys = keys_of(escrow, server, identity)
        works = [f"{identity.file} opens the escrow"]
        for disk in disks(server) if disks else ():
            works += [*_on_disk(disk, keys[0]), *_by_itself(disk, pins, server)]
        return works

    return _judged(server, check)


def _on_disk(disk: Luks, key: str) -> list[str]:
    slot = disk.slot_of(key)
    if slot is None:
        raise Failed(
            "the escrowed key does not open it",
            where=disk.device,
            mend="metal keys recover shows the older keys: try those; then metal keys rotate",
        )
    others = [one.said for one in disk.slots() if one.number != slot]
    also = f"; also {', '.join(others)}" if others else ", and nothing else does"
    return [f"it opens slot {slot} of {disk.device}{also}"]


def _by_itself(disk: Luks, pins: Sequence[Pin], server: str) -> list[str]:
    """Failed where it is not bound as the inventory says, or that does not open it now."""
    there, works = disk.bindings(), []
    rebind = f"metal keys rotate {server} binds it as the inventory says"
    for pin in pins:
        bound = next((one for one in there if one.is_(pin)), None)
        if bound is None:
            raise Failed(f"no slot is bound to {pin.said}", where=disk.device, mend=rebind)
        if not disk.opens_itself(bound.slot):
            raise Failed(
                f"slot {bound.slot} is bound to {pin.said}, and that does not open it now",
                where=disk.device,
                mend="do the Tang servers answer it? Was its firmware or boot loader changed "
                "since? A person can still unlock it; " + rebind,
            )
        there.remove(bound)
        works.append(f"slot {bound.slot} of {disk.device} opens itself by {pin.said}")
    if there:
        slots = ", ".join(str(one.slot) for one in there)
        what = f"slot {slots} opens by something that the inventory does not name"
        raise Failed(what, where=disk.device, mend=rebind)
    return works


def drill(escrow: AgeSecrets, server: str, identity: Identity) -> Verdict:
    """Recovery as if the server's header were lost: its escrowed copy, opened with the escrowed
    key, on this machine. Nothing of it is kept."""

    def check() -> list[str]:
        keys, headers = keys_of(escrow, server, identity), headers_of(escrow, server, identity)
        if not headers:
            raise Failed(
                "no copy of its header is escrowed",
                where=server,
                mend=f"metal keys rotate {server} makes one",
            )
        return [_opens(uuid, image, keys[0]) for uuid, image in headers.items()]

    return _judged(server, check)


def _opens(uuid: str, image: bytes, key: str) -> str:
    with tempfile.TemporaryDirectory(prefix="metal-drill-", dir=_memory()) as folder:
        file = Path(folder) / "header"
        file.touch(mode=0o600)
        file.write_bytes(image)
        slot = Luks(Here(), str(file)).slot_of(key)
    if slot is None:
        raise Failed("the escrowed key does not open the escrowed header", where=f"disk {uuid}")
    return f"the header of disk {uuid} opens with it, slot {slot}"


def _memory() -> str | None:
    """A file system that is never written to a disk, where there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _judged(server: str, check: Callable[[], list[str]]) -> Verdict:
    try:
        return Verdict(server=server, works=tuple(check()))
    except MetalError as error:
        return Verdict(server=server, error=str(error), exit_code=error.exit_code)
