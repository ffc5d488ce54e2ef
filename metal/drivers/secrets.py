"""Secrets escrowed with age (https://age-encryption.org/v1), before anything uses what they hold.

`secrets/NAME.age` is encrypted to every administrator. What the controller needs unattended is
also in `state/held/NAME.age`, encrypted to `state/controller.key` alone. A secret that replaces
another keeps the old file beside it as `NAME.1.age`, `NAME.2.age` and so on: until a disk is
really wiped, it is the old key that opens it.
"""

import fcntl
import hmac
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import pyrage

from metal.model.errors import BadInput, Failed, Refused

Recipient: TypeAlias = Any
"""pyrage's x25519 or ssh recipient; pyrage ships no types."""
Identity: TypeAlias = Any
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}(/[a-z0-9][a-z0-9-]{0,62}){0,3}")
PRIVATE = 0o600


class AgeSecrets:
    """`folder`: the workspace's secrets/. `state`: its state/. Safe from any thread or process."""

    def __init__(self, folder: Path, state: Path, recipients: Sequence[str]) -> None:
        self._folder, self._state = folder, state
        self._recipients = tuple(recipients)

    def escrow(self, name: str, secret: str, *, controller: bool) -> None:
        """Write `secret` under `name` for all administrators, read back before it returns.

        The administrators' copy becomes visible before the controller's: killed in between,
        `reveal` still tells what it told before, so nothing can use what was not escrowed, and
        whoever is run again escrows anew. Failed, with nothing of that name changed, when the
        disk is full or broken; BadInput for a bad name, an unusable key, or an empty secret.
        """
        plain = _bytes_of(name, secret)
        admins = [_recipient(key) for key in self._recipients]
        if not admins:
            raise BadInput(
                "nobody to escrow to",
                where=f"secret {name}",
                mend="add an administrator with a key to inventory.toml",
            )
        try:
            with self._locked():
                self._write(name, plain, admins, controller)
        except OSError as error:
            raise Failed(
                f"could not be escrowed: {error.strerror or 'the disk did not keep it'}; "
                "no key is handed out",
                where=str(self._folder / f"{name}.age"),
                mend="make room on that disk, then run the same command again",
            ) from error

    def reveal(self, name: str) -> str | None:
        """The controller's own copy; None if it holds none of that name."""
        held = self._held(name)
        try:
            sealed = held.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Failed(f"cannot be read: {error.strerror}", where=str(held)) from error
        try:
            return bytes(pyrage.decrypt(sealed, [self._identity()])).decode()
        except pyrage.DecryptError as error:
            raise Failed(
                "is not encrypted to this controller's key, or is damaged",
                where=str(held),
                mend="restore state/controller.key of the same age, or escrow the secret anew",
            ) from error

    def forget(self, name: str) -> None:
        """Drop the controller's own copy; the administrators' stays."""
        held = self._held(name)
        if held.exists():
            held.unlink(missing_ok=True)
            _sync(held.parent)

    # ── writing ─────────────────────────────────────────────────────────────────────────────

    def _write(self, name: str, plain: bytes, admins: list[Recipient], controller: bool) -> None:
        staged: list[tuple[Path, Path]] = []
        try:
            staged.append(_stage(self._folder / f"{name}.age", plain, admins))
            if controller:
                staged.append(_stage(self._held(name), plain, [self._identity().to_public()]))
            _publish(staged)
        finally:
            for temp, _ in staged:
                temp.unlink(missing_ok=True)

    def _held(self, name: str) -> Path:
        _check_name(name)
        return self._state / "held" / f"{name}.age"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One escrow at a time in this workspace, whatever process or thread does it."""
        _make_folder(self._state)
        lock = os.open(self._state / "escrow.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    # ── the controller's identity ───────────────────────────────────────────────────────────

    def _identity(self) -> Identity:
        """`state/controller.key`, made the first time; an existing one is never overwritten."""
        file = self._state / "controller.key"
        if not file.exists():
            _make_identity(file)
        if file.stat().st_mode & 0o077:
            raise Refused(
                "others on this machine can read the controller's key",
                where=str(file),
                mend=f"chmod 600 {file}, and escrow anew what they may have read",
            )
        lines = [line for line in file.read_text().split() if line.startswith("AGE-SECRET-KEY-")]
        try:
            return pyrage.x25519.Identity.from_str(lines[0])
        except (IndexError, pyrage.IdentityError):
            # From None: the cause could carry the key.
            raise Failed(
                "holds no age identity",
                where=str(file),
                mend="restore it from a backup; without it the held secrets cannot be read here",
            ) from None


def _make_identity(file: Path) -> None:
    """Link the complete file into place: never half a key, never over another process's."""
    _make_folder(file.parent)
    temp = file.with_name(f".{file.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        _write_file(temp, f"{pyrage.x25519.Identity.generate()}\n".encode())
        with suppress(FileExistsError):
            os.link(temp, file)
        _sync(file.parent)
    finally:
        temp.unlink(missing_ok=True)


def _stage(target: Path, plain: bytes, recipients: list[Recipient]) -> tuple[Path, Path]:
    """Encrypt into a file beside `target`, and decrypt what the disk gives back.

    Nobody here holds an administrator's private key, so a one-time identity is a recipient too;
    its private half is gone when this returns.
    """
    once = pyrage.x25519.Identity.generate()
    _make_folder(target.parent)
    temp = target.with_name(f".{target.name}.tmp")
    try:
        _write_file(temp, pyrage.encrypt(plain, [*recipients, once.to_public()]))
        if not hmac.compare_digest(_opened(_from_disk(temp), once), plain):
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


def _publish(staged: list[tuple[Path, Path]]) -> None:
    """Rename all into place, or none: what was done is undone when a later one fails."""
    undo: list[tuple[Path, Path | None]] = []
    try:
        for temp, target in staged:
            kept = _keep_old(target) if target.suffix == ".age" and target.exists() else None
            undo.append((target, kept))
            temp.replace(target)
            _sync(target.parent)
    except OSError:
        for target, kept in reversed(undo):
            with suppress(OSError):
                kept.replace(target) if kept else target.unlink(missing_ok=True)
        raise


def _keep_old(target: Path) -> Path:
    """Give the file that is about to be replaced a second name: the lowest free number."""
    number = 1
    while True:
        kept = target.with_name(f"{target.stem}.{number}.age")
        try:
            os.link(target, kept)
            return kept
        except FileExistsError:
            number += 1


# ── files ───────────────────────────────────────────────────────────────────────────────────


def _write_file(path: Path, content: bytes) -> None:
    """All of `content`, mode 0600, on the disk; OSError otherwise."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE)
    try:
        os.fchmod(descriptor, PRIVATE)
        while content:
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _from_disk(path: Path) -> bytes:
    """The file's content, asked of the disk and not of the page cache where that is possible."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return file.read()


def _make_folder(folder: Path) -> None:
    """Make `folder` (0700) and its parents, durably."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ── what was given ──────────────────────────────────────────────────────────────────────────


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise BadInput(
            f"{name[:80]!r} is no name for a secret",
            mend="lower-case letters, digits and hyphens, in parts such as disk/alba1",
        )


def _bytes_of(name: str, secret: str) -> bytes:
    _check_name(name)
    try:
        plain = secret.encode()
    except UnicodeEncodeError:
        plain = b""  # the exception would carry the secret
    if not plain:
        raise BadInput("an empty or unwritable secret", where=f"secret {name}", mend="make another")
    return plain


def _recipient(key: str) -> Recipient:
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
