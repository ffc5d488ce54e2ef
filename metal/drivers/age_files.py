"""Files that age encrypted: written beside the old one, read back, then renamed into place.

pyrage ships no types; its recipients and identities have a name here.
"""

import hmac
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import pyrage

from metal.drivers.durable import from_disk, make_folder, sync, write_file
from metal.model.errors import BadInput, Failed, Refused

Recipient: TypeAlias = Any
"""pyrage's x25519 or ssh recipient."""
Identity: TypeAlias = Any


def recipient(key: str) -> Recipient:
    """An administrator's public key as age wants it; BadInput names the key by its beginning."""
    kind = key.split(" ", 1)[0]
    try:
        if key.startswith("age1"):
            return pyrage.x25519.Recipient.from_str(key.strip())
        return pyrage.ssh.Recipient.from_str(key.strip())
    except pyrage.RecipientError as error:
        why = "FIDO keys" if kind.startswith("sk-") else "ECDSA keys" if "ecdsa" in kind else ""
        raise BadInput(
            f"nothing can be encrypted to the key {key[:32]!r}…"
            + (f": age knows no {why}" if why else ""),
            where="inventory.toml, [administrators]",
            mend="give an ssh-ed25519 or ssh-rsa public key, or an age recipient (age1…)",
        ) from error


def identity_in(file: Path) -> Identity:
    """The controller's own, made the first time; an existing one is never overwritten."""
    if not file.exists():
        _make_identity(file)
    if file.stat().st_mode & 0o077:
        raise Refused(
            "others on this machine can read the controller's key",
            where=str(file),
            mend=f"chmod 600 {file}, and escrow anew what they may have read",
        )
    found = first_identity(file.read_text())
    if found is None:
        raise Failed(
            "holds no age identity",
            where=str(file),
            mend="restore it from a backup; without it the held secrets cannot be read here",
        )
    return found


def first_identity(text: str) -> Identity | None:
    """The first age identity in `text`, as age-keygen writes it; None where there is none.

    No exception tells why: it could carry the key.
    """
    lines = [line for line in text.split() if line.startswith("AGE-SECRET-KEY-")]
    try:
        return pyrage.x25519.Identity.from_str(lines[0])
    except (IndexError, pyrage.IdentityError):
        return None


def _make_identity(file: Path) -> None:
    """Link the complete file into place: never half a key, never over another process's."""
    make_folder(file.parent)
    temp = file.with_name(f".{file.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        write_file(temp, f"{pyrage.x25519.Identity.generate()}\n".encode())
        with suppress(FileExistsError):
            os.link(temp, file)
        sync(file.parent)
    finally:
        temp.unlink(missing_ok=True)


def stage(target: Path, plain: bytes, recipients: list[Recipient]) -> tuple[Path, Path]:
    """Encrypt into a file beside `target`, and decrypt what the disk gives back.

    Nobody here holds an administrator's private key, so a one-time identity is a recipient too;
    its private half is gone when this returns.
    """
    once = pyrage.x25519.Identity.generate()
    make_folder(target.parent)
    temp = target.with_name(f".{target.name}.tmp")
    try:
        write_file(temp, pyrage.encrypt(plain, [*recipients, once.to_public()]))
        if not hmac.compare_digest(_opened(from_disk(temp), once), plain):
            raise OSError("what was read back differs")
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    return temp, target


def _opened(sealed: bytes, identity: Identity) -> bytes:
    try:
        return bytes(pyrage.decrypt(sealed, [identity]))
    except pyrage.DecryptError as error:
        raise OSError("what was read back cannot be decrypted") from error


def publish(staged: list[tuple[Path, Path]]) -> None:
    """Rename all into place, or none: what was done is undone when a later one fails."""
    undo: list[tuple[Path, Path | None]] = []
    try:
        for temp, target in staged:
            kept = keep_old(target) if target.suffix == ".age" and target.exists() else None
            undo.append((target, kept))
            temp.replace(target)
            sync(target.parent)
    except OSError:
        for target, kept in reversed(undo):
            with suppress(OSError):
                kept.replace(target) if kept else target.unlink(missing_ok=True)
        raise


def keep_old(target: Path) -> Path:
    """Give the file that is about to be replaced a second name: the lowest free number."""
    number = 1
    while True:
        kept = target.with_name(f"{target.stem}.{number}.age")
        try:
            os.link(target, kept)
            return kept
        except FileExistsError:
            number += 1
