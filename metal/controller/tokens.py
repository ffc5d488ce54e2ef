"""The API token that metal keeps for a cluster, in place of root's password."""

from metal.controller.workspace import Workspace
from metal.drivers.proxmox import Proxmox
from metal.model.errors import MetalError


def secret_name(cluster: str) -> str:
    return f"proxmox/{cluster}"


def ident_of(workspace: Workspace) -> str:
    """The token's name: two fleets that look after one cluster have one each."""
    fleet = workspace.inventory.fleet.name
    return fleet if len(fleet) > 1 else f"{fleet}-metal"


def ensure_token(workspace: Workspace, cluster: str) -> None:
    """One is kept and works. Made anew, by root, where it is not so."""
    hypervisor = workspace.proxmox(cluster)
    if workspace.secrets.reveal(secret_name(cluster)) and _works(hypervisor):
        return
    fleet = workspace.inventory.fleet.name
    token = hypervisor.make_token(ident_of(workspace), f"metal, fleet {fleet}")
    workspace.secrets.escrow(secret_name(cluster), token, controller=True)


def _works(hypervisor: Proxmox) -> bool:
    try:
        return not hypervisor.lacking()
    except MetalError:
        return False
