"""The key of a site in the mesh: made here, escrowed before anything has it, handed over once."""

import base64
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from metal.controller.addressing import chosen_sites
from metal.controller.workspace import Workspace
from metal.drivers.durable import write_file
from metal.model.errors import BadInput, Refused


def make_site_key(workspace: Workspace, site: str, out: Path, *, anew: bool = False) -> str:
    """The public key. The private one is in the escrow and in `out`, of mode 0600, and nowhere
    else: the gateways have it, the controller needs none.

    Refused where the site has one, unless it is to be made `anew`.
    """
    chosen_sites(workspace.inventory, site)
    if workspace.inventory.sites[site].gateways is None:
        raise BadInput(
            "the site has no gateways", where=f"sites.{site}", mend=f"add [sites.{site}.gateways]"
        )
    name = f"wireguard/{site}"
    if workspace.secrets.generations(name) and not anew:
        raise Refused(
            "the site has a key: a new one cuts it off until every other site has heard of it",
            where=name,
            mend=f"--anew, if that is wanted; the old one: age -d secrets/{name}.age",
        )
    if out.exists():
        raise BadInput("is there already", where=str(out), mend="name a file that is not")
    private = X25519PrivateKey.generate()
    secret = _text(private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
    workspace.secrets.escrow(name, secret, controller=False)
    try:
        write_file(out, f"{secret}\n".encode())
    except OSError as error:
        raise BadInput(
            f"cannot be written: {error.strerror}",
            where=str(out),
            mend=f"the key is escrowed: age -d secrets/{name}.age > {out}",
        ) from None
    return _text(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()
