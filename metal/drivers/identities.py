"""An administrator's own private key: an SSH key (ed25519, RSA) or a file of age-keygen.

It is read when an administrator asks for something only they may have, lives in memory, and its
passphrase is asked for once however much is opened with it.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage

from metal.drivers.age_files import first_identity
from metal.drivers.age_header import MAGIC
from metal.model.errors import BadInput, Failed, Refused

SSH = b"OPENSSH PRIVATE KEY"
USUAL = ("id_ed25519", "id_rsa")
"""In ~/.ssh, where none is named."""
LARGEST = 1 << 16
"""Bytes of a key file."""

AskPassphrase = Callable[[str], str]
"""Given what it is for; returns the passphrase."""


@dataclass(frozen=True)
class Identity:
    """A private key at hand. Its repr tells nothing of it."""

    file: Path
    public: str
    """The public half: "ssh-ed25519 AAAA…" without comment, or "age1…"."""
    _age: Any
    _ssh: bytes | None = None

    def __repr__(self) -> str:
        return f"Identity({self.public[:40]})"

    @property
    def ssh(self) -> bytes | None:
        """The decrypted SSH private key, for an agent; None for one of age."""
        return self._ssh

    def open(self, sealed: bytes, name: str) -> str:
        """What `sealed` holds; Refused when it is not encrypted to this key, or was damaged."""
        try:
            return bytes(pyrage.decrypt(sealed, [self._age])).decode()
        except (pyrage.DecryptError, UnicodeDecodeError):
            raise Refused(
                f"the key {self.file} does not open it, or the file is damaged",
                where=f"secret {name}",
                mend="metal keys show tells whose key opens it",
            ) from None

    def opens(self, sealed: bytes) -> bool:
        """Whether this key opens `sealed`; nothing of it is kept."""
        try:
            pyrage.decrypt(sealed, [self._age])
        except pyrage.DecryptError:
            return False
        return True


def usual() -> Path | None:
    """The key that OpenSSH would use, if there is one that age can use too."""
    found = (Path.home() / ".ssh" / name for name in USUAL)
    return next((file for file in found if file.is_file()), None)


def load(file: Path, ask: AskPassphrase) -> Identity:
    """The key in `file`; `ask` is called when it has a passphrase, once.

    BadInput when it holds no key that age can use, Refused when others may read it or for a
    wrong passphrase.
    """
    data = _read(file)
    if SSH in data:
        return _ssh(file, data, ask)
    if data.startswith(MAGIC):
        data = _unlocked(file, data, ask)
    return from_text(file, data.decode(errors="replace"))


def from_text(file: Path, text: str) -> Identity:
    """The first age identity in `text`, as age-keygen writes it; BadInput without one."""
    identity = first_identity(text)
    if identity is None:
        raise BadInput(
            "holds no private key that opens secrets",
            where=str(file),
            mend="give an SSH key (ed25519 or RSA) or a file that age-keygen wrote",
        )
    return Identity(file, str(identity.to_public()), identity)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            data = opened.read(LARGEST)
    except OSError as error:
        raise BadInput(
            f"cannot be read: {error.strerror}", where=str(file), mend="name another: --identity"
        ) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Refused(
            "others than you may read this private key",
            where=str(file),
            mend=f"chmod 600 {file}",
        )
    return data


def _ssh(file: Path, data: bytes, ask: AskPassphrase) -> Identity:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as form

    try:
        try:
            key = form.load_ssh_private_key(data, None)
        except (TypeError, ValueError) as error:
            if "password" not in str(error).lower() and "encrypted" not in str(error).lower():
                raise
            key = form.load_ssh_private_key(data, ask(str(file)).encode())
        plain = key.private_bytes(
            form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption()
        )
        public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
        return Identity(file, public.decode(), pyrage.ssh.Identity.from_buffer(plain), plain)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # From None: what was raised could carry pieces of the key.
        raise Refused(
            "the passphrase is wrong, or the key is damaged", where=str(file), mend="try it again"
        ) from None
    except pyrage.IdentityError:
        raise BadInput(
            "age cannot decrypt with a key of this kind",
            where=str(file),
            mend="use an ed25519 or RSA key: those in a security token and ECDSA ones only sign",
        ) from None


def _unlocked(file: Path, data: bytes, ask: AskPassphrase) -> bytes:
    """An identity file that is itself encrypted with a passphrase (age -p)."""
    try:
        return bytes(pyrage.passphrase.decrypt(data, ask(str(file))))
    except pyrage.DecryptError:
        raise Refused("the passphrase is wrong", where=str(file), mend="try it again") from None


def new_recovery() -> tuple[bytes, str]:
    """(secret, recipient) of a new age identity: 32 bytes to split, and what to encrypt to."""
    from metal.drivers import bech32

    identity = pyrage.x25519.Identity.generate()
    secret = bech32.decode("age-secret-key-", str(identity))
    if secret is None or len(secret) != 32:
        raise Failed("the new identity is not of the form that is known")
    return secret, str(identity.to_public())


def recovered(secret: bytes) -> str:
    """The age identity of 32 bytes, as age-keygen writes it."""
    from metal.drivers import bech32

    text = bech32.encode("age-secret-key-", secret).upper()
    pyrage.x25519.Identity.from_str(text)
    return text
