"""The keys of disks as an administrator finds them in escrow, with nothing but secrets/ at hand.

Neither the controller nor the inventory is needed: this is what still works when they are gone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from metal.drivers import identities, shares
from metal.drivers.identities import Identity
from metal.drivers.luks import unpacked_header
from metal.drivers.secrets import AgeSecrets
from metal.model.errors import BadInput, Failed, Refused

if TYPE_CHECKING:
    from metal.model.fleet import Inventory

KINDS = {"disk": "the key", "disk-next": "the next key, of a rotation that was not ended"}
"""Where a key may be escrowed that opens a server's disk."""
ROOT = {"root": "root's password"}
"""What metal gave root when it installed the server: at its console, and in Proxmox as root@pam."""


@dataclass(frozen=True)
class FoundKey:
    """One file in escrow. Its repr tells nothing of the key."""

    server: str
    what: str
    """ "the key", "an older key"…"""
    file: Path
    key: str | None = field(repr=False)
    """None where the identity does not open it."""


def escrow_in(folder: Path) -> AgeSecrets:
    """The escrow of a workspace's folder, to read; BadInput if there is none."""
    if not (folder / "secrets").is_dir():
        raise BadInput(
            "no secrets/ here",
            where=str(folder),
            mend="-C names the workspace, or any copy of it: secrets/ alone is enough",
        )
    return AgeSecrets(folder / "secrets", folder / "state", ())


def workspace_folder(start: Path) -> Path:
    """The folder that holds secrets/, here or above; an inventory need not be there."""
    here = start.absolute()
    return next((f for f in (here, *here.parents) if (f / "secrets").is_dir()), here)


def chosen(escrow: AgeSecrets, names: Sequence[str]) -> list[str]:
    """The servers named, or all that have a key in escrow; BadInput for one that has none."""
    known = servers_in(escrow)
    for name in names:
        if name not in known:
            raise BadInput(
                "no key of its disk is escrowed here",
                where=name,
                mend=f"here are: {', '.join(known) or 'none'}",
            )
    return list(dict.fromkeys(names)) or known


def chosen_here(
    escrow: AgeSecrets, inventory: "Inventory", names: Sequence[str]
) -> tuple[list[str], list[str]]:
    """As `chosen`, in two: those that can be logged in to, and, of all, those that have left.

    BadInput where one that has left is named.
    """
    wanted = chosen(escrow, names)
    gone = [name for name in wanted if name not in inventory.servers]
    if names and gone:
        raise BadInput(
            "its key is escrowed, and it is no server of the inventory: nobody knows where it is",
            where=gone[0],
            mend="metal keys recover prints the key, for whoever stands before it",
        )
    return [name for name in wanted if name not in gone], gone


def servers_in(escrow: AgeSecrets) -> list[str]:
    """Every server whose disk's key is escrowed."""
    parts = (name.split("/") for name in escrow.names())
    return sorted({words[1] for words in parts if words[0] in KINDS and len(words) == 2})


def find(escrow: AgeSecrets, server: str, identity: Identity) -> list[FoundKey]:
    """Every key of the server's disk in escrow, the likeliest first. BadInput if there is none."""
    chosen(escrow, [server])
    return _find(escrow, server, identity, KINDS, "key")


def root_of(escrow: AgeSecrets, server: str, identity: Identity) -> list[FoundKey]:
    """Every password of the server's root in escrow, likewise."""
    found = _find(escrow, server, identity, ROOT, "password")
    if not found:
        mend = "metal keeps that of servers which it installed itself"
        raise BadInput("no password of its root is escrowed here", where=server, mend=mend)
    return found


def _find(
    escrow: AgeSecrets, server: str, identity: Identity, kinds: Mapping[str, str], noun: str
) -> list[FoundKey]:
    found = []
    for kind, what in kinds.items():
        for number, file in enumerate(escrow.generations(f"{kind}/{server}")):
            said = what if number == 0 else f"an older {noun} ({file.name})"
            found.append(FoundKey(server, said, file, _opened(identity, file)))
    return sorted(found, key=lambda one: (one.what not in kinds.values(), one.key is None))


def keys_of(escrow: AgeSecrets, server: str, identity: Identity) -> list[str]:
    """The keys that `identity` opens; Refused if it opens none."""
    keys = [one.key for one in find(escrow, server, identity) if one.key is not None]
    if not keys:
        raise Refused(
            f"the key {identity.file} opens none of what is escrowed",
            where=server,
            mend="metal keys show tells whose key does",
        )
    return list(dict.fromkeys(keys))


def headers_of(escrow: AgeSecrets, server: str, identity: Identity) -> dict[str, bytes]:
    """UUID of a disk → its escrowed header, as `cryptsetup luksHeaderRestore` takes it."""
    prefix = f"header/{server}/"
    found = {}
    for name in escrow.names():
        if name.startswith(prefix) and (sealed := escrow.sealed(name)) is not None:
            found[name.removeprefix(prefix)] = unpacked_header(identity.open(sealed, name))
    return found


def from_shares(ask: Callable[[int], str | None]) -> Identity:
    """The recovery key out of its shares; `ask` gives the next, None when there is no other."""
    lines: list[str] = []
    while (line := ask(len(lines) + 1)) is not None:
        lines.append(line)
        try:
            secret = shares.combine(lines)
        except shares.TooFew:
            continue
        return identities.from_text(Path("the shares"), identities.recovered(secret))
    secret = shares.combine(lines)
    return identities.from_text(Path("the shares"), identities.recovered(secret))


def _opened(identity: Identity, file: Path) -> str | None:
    try:
        return identity.open(file.read_bytes(), file.name)
    except Refused:
        return None
    except OSError as error:
        raise Failed(f"cannot be read: {error.strerror}", where=str(file)) from None
