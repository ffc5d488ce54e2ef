"""Who can open what is escrowed, as far as the files tell without any private key."""

from metal.drivers.age_header import tag_of
from metal.drivers.secrets import AgeSecrets
from metal.model.errors import Failed
from metal.model.fleet import Inventory

RECOVERY = "the recovery shares"


def readers(inventory: Inventory) -> dict[str, tuple[str, ...]]:
    """Who is to open everything → the public keys of each, any of which is enough."""
    wanted = {name: admin.keys for name, admin in inventory.administrators.items()}
    if inventory.fleet.recovery:
        wanted[RECOVERY] = (inventory.fleet.recovery,)
    return wanted


def locked_out(escrow: AgeSecrets, name: str, inventory: Inventory) -> tuple[str, ...]:
    """Who cannot open the secret `name`, by what was noted when it was written.

    Without a note (a file from elsewhere) the file's header alone speaks: it tells SSH keys, and
    only how many age recipients.
    """
    noted = escrow.sealed_to(name)
    if noted is not None:
        return tuple(n for n, keys in readers(inventory).items() if not set(keys) & set(noted))
    header = escrow.header(name)
    tags = {n: [tag_of(k) for k in keys] for n, keys in readers(inventory).items()}
    without = tuple(
        n for n, known in tags.items() if None not in known and not set(known) & header.tags
    )
    anonymous = sum(None in known for known in tags.values())
    if anonymous > header.anonymous:
        raise Failed(
            f"is encrypted to {header.anonymous} age recipients, and {anonymous} are wanted",
            where=f"secret {name}",
            mend="metal keys reseal encrypts it to everyone of today",
        )
    return without


def strangers(escrow: AgeSecrets, name: str, inventory: Inventory) -> int:
    """How many keys that are nobody's of today open it: of who left, or was never there."""
    noted = escrow.sealed_to(name)
    return 0 if noted is None else len(set(noted) - set(inventory.recipients()))
