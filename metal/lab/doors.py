"""The SSH doors of simulated servers: the installed system's, and dropbear's in the initramfs."""

from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True)
class DoorKey:
    """A host key as the installer makes one."""

    private: bytes
    """OpenSSH's format."""
    public: str
    """ "ssh-ed25519 AAAA…"."""


def new_door_key() -> DoorKey:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    return DoorKey(private, public.decode())
