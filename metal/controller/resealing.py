"""Every secret, encrypted to the administrators of today."""

from metal.controller.key_readers import locked_out, strangers
from metal.controller.workspace import Workspace
from metal.drivers.identities import Identity
from metal.model.base import Frozen
from metal.model.errors import MetalError


class Resealed(Frozen):
    """What became of one secret."""

    name: str
    changed: bool = False
    error: str = ""
    exit_code: int = 0


def reseal_all(workspace: Workspace, identity: Identity) -> list[Resealed]:
    """One that cannot be opened never stops the others."""
    return [_resealed(workspace, name, identity) for name in workspace.secrets.names()]


def _resealed(workspace: Workspace, name: str, identity: Identity) -> Resealed:
    escrow, inventory = workspace.secrets, workspace.inventory
    try:
        if escrow.sealed_to(name) == inventory.recipients():
            return Resealed(name=name)
        sealed = escrow.sealed(name) or b""
        escrow.reseal(name, identity.open(sealed, name), opened=sealed)
        assert not locked_out(escrow, name, inventory) and not strangers(escrow, name, inventory)
        return Resealed(name=name, changed=True)
    except MetalError as error:
        return Resealed(name=name, error=str(error), exit_code=error.exit_code)
