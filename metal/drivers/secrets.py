"""Secrets escrowed with age (https://age-encryption.org/v1), before anything uses what they hold.

`secrets/NAME.age` is encrypted to every administrator. What the controller needs unattended is
also in `state/held/NAME.age`, encrypted to `state/controller.key` alone. A secret that replaces
another keeps the old file beside it as `NAME.1.age`, `NAME.2.age` and so on: until a disk is
really wiped, it is the old key that opens it.

An age file does not tell which age recipients it is for, so `secrets/.sealed/NAME.json` keeps
whom each file was encrypted to, by the file's SHA-256. It is written before the file is.
"""

import fcntl
import hashlib
import hmac
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import pyrage

from metal.drivers.age_header import Header, read_header
from metal.drivers.durable import (
    PRIVATE,
    from_disk,
    make_folder,
    replace_file,
    sync,
    write_file,
)
from metal.model.errors import BadInput, Failed, Refused

Recipient: TypeAlias = Any
"""pyrage's x25519 or ssh recipient; pyrage ships no types."""
Identity: TypeAlias = Any
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}(/[a-z0-9][a-z0-9-]{0,62}){0,3}")


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
        plain, admins = _bytes_of(name, secret), self._administrators(name)
        try:
            with self._locked():
                self._write(name, plain, admins, controller)
        except OSError as error:
            raise _unwritable(self._folder / f"{name}.age", error) from error

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
            sync(held.parent)

    # ── who can open what ───────────────────────────────────────────────────────────────────

    def names(self) -> list[str]:
        """Every secret that is escrowed, older generations and what is half written left out."""
        found = (f.relative_to(self._folder).as_posix() for f in self._folder.rglob("*.age"))
        return sorted(n for f in found if NAME.fullmatch(n := f.removesuffix(".age")))

    def generations(self, name: str) -> list[Path]:
        """The administrators' files of `name`, the newest first; empty if there is none."""
        _check_name(name)
        now = self._folder / f"{name}.age"
        older = {
            int(part): file
            for file in now.parent.glob(f"{now.stem}.*.age")
            if (part := file.name.removesuffix(".age").rpartition(".")[2]).isdigit()
        }
        return ([now] if now.exists() else []) + [older[n] for n in sorted(older, reverse=True)]

    def sealed(self, name: str) -> bytes | None:
        """The administrators' file, encrypted as it is; None if there is none."""
        _check_name(name)
        try:
            return (self._folder / f"{name}.age").read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Failed(f"cannot be read: {error.strerror}", where=f"secret {name}") from None

    def header(self, name: str) -> Header:
        """Whom the file's own header names; the one-time identity of `_stage` is not counted."""
        try:
            found = read_header(self.sealed(name) or b"")
        except Failed as error:
            raise Failed(error.what, where=f"secret {name}", mend=error.mend) from None
        return Header(found.tags, max(0, found.anonymous - 1), found.others)

    def sealed_to(self, name: str) -> tuple[str, ...] | None:
        """The public keys that were noted when the file was written; None if that is not known."""
        digest = hashlib.sha256(self.sealed(name) or b"").hexdigest()
        keys = self._notes(name).get(digest)
        return None if keys is None else tuple(keys)

    def holds(self, name: str) -> bool:
        """Whether the controller has a copy of its own."""
        return self._held(name).exists()

    def reseal(self, name: str, secret: str, *, opened: bytes) -> None:
        """Encrypt what `name` holds to today's administrators. The file that was is replaced
        (it held the same); the controller's copy stays as it is. Failed as `escrow`.

        `opened`: the file that `secret` was read from. Refused when another has taken its place:
        what that one holds is newer.
        """
        plain, admins = _bytes_of(name, secret), self._administrators(name)
        try:
            with self._locked():
                if self.sealed(name) != opened:
                    raise Refused(
                        "another secret took its place meanwhile",
                        where=f"secret {name}",
                        mend="run the same command again",
                    )
                staged = _stage(self._folder / f"{name}.age", plain, admins)
                try:
                    self._note(name, staged[0])
                    staged[0].replace(staged[1])
                    sync(staged[1].parent)
                finally:
                    staged[0].unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(self._folder / f"{name}.age", error) from error

    def promote(self, pending: str, name: str) -> None:
        """What is escrowed as `pending` is `name` from now on; what `name` was stays beside it.

        Files are renamed, nothing is encrypted anew: at every moment the administrators have the
        secret under one of both names. Killed in between, the next call ends it; without
        `pending` there is nothing to do.
        """
        new, old = self._folder / f"{pending}.age", self._folder / f"{name}.age"
        held = self._held(pending)
        _check_name(name)
        try:
            with self._locked():
                if new.exists():
                    make_folder(old.parent)
                    self._copy_notes(pending, name)
                    kept = _keep_old(old) if old.exists() else None
                    try:
                        new.replace(old)
                    except OSError:
                        if kept is not None:
                            kept.unlink(missing_ok=True)
                        raise
                    sync(old.parent)
                    sync(new.parent)
                if held.exists():
                    make_folder(self._held(name).parent)
                    held.replace(self._held(name))
                    sync(self._held(name).parent)
                    sync(held.parent)
        except OSError as error:
            raise _unwritable(old, error) from error

    def _administrators(self, name: str) -> list[Recipient]:
        """At least one; BadInput otherwise."""
        admins = [_recipient(key) for key in self._recipients]
        if not admins:
            raise BadInput(
                "nobody to escrow to",
                where=f"secret {name}",
                mend="add an administrator with a key to inventory.toml",
            )
        return admins

    def _note(self, name: str, file: Path) -> None:
        """Keep whom `file` is encrypted to, beside what is known of the ones before it."""
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        self._write_notes(name, {**self._notes(name), digest: list(self._recipients)})

    def _copy_notes(self, source: str, name: str) -> None:
        self._write_notes(name, {**self._notes(name), **self._notes(source)})

    def _notes(self, name: str) -> dict[str, list[str]]:
        try:
            found = json.loads((self._folder / ".sealed" / f"{name}.json").read_bytes())
        except (OSError, ValueError):
            return {}  # they are a help: without them the header alone speaks
        return found if isinstance(found, dict) else {}

    def _write_notes(self, name: str, notes: dict[str, list[str]]) -> None:
        text = json.dumps(notes, indent=1, sort_keys=True)
        replace_file(self._folder / ".sealed" / f"{name}.json", f"{text}\n".encode())

    # ── writing ─────────────────────────────────────────────────────────────────────────────

    def _write(self, name: str, plain: bytes, admins: list[Recipient], controller: bool) -> None:
        staged: list[tuple[Path, Path]] = []
        try:
            staged.append(_stage(self._folder / f"{name}.age", plain, admins))
            if controller:
                staged.append(_stage(self._held(name), plain, [self._identity().to_public()]))
            self._note(name, staged[0][0])
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
        make_folder(self._state)
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


def _unwritable(file: Path, error: OSError) -> Failed:
    return Failed(
        f"could not be escrowed: {error.strerror or 'the disk did not keep it'}; "
        "no key is handed out",
        where=str(file),
        mend="make room on that disk, then run the same command again",
    )


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


def _stage(target: Path, plain: bytes, recipients: list[Recipient]) -> tuple[Path, Path]:
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


def _publish(staged: list[tuple[Path, Path]]) -> None:
    """Rename all into place, or none: what was done is undone when a later one fails."""
    undo: list[tuple[Path, Path | None]] = []
    try:
        for temp, target in staged:
            kept = _keep_old(target) if target.suffix == ".age" and target.exists() else None
            undo.append((target, kept))
            temp.replace(target)
            sync(target.parent)
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
