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
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyrage

from metal.drivers.age_files import (
    Identity,
    Recipient,
    identity_in,
    keep_old,
    publish,
    recipient,
    stage,
)
from metal.drivers.age_header import Header, read_header
from metal.drivers.durable import (
    PRIVATE,
    make_folder,
    replace_file,
    sync,
)
from metal.model.errors import BadInput, Failed, Refused

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
        return _generations(self._folder / f"{name}.age")

    def sealed(self, name: str) -> bytes | None:
        """The administrators' file, encrypted as it is; None if there is none."""
        _check_name(name)
        try:
            return (self._folder / f"{name}.age").read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Failed(
                f"cannot be read: {error.strerror}",
                where=f"secret {name}",
                mend=f"see what stands at secrets/{name}.age, then run the same again",
            ) from None

    def header(self, name: str) -> Header:
        """Whom the file's own header names; the one-time identity of `stage` is not counted."""
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
                staged = stage(self._folder / f"{name}.age", plain, admins)
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
        secret under one of both names. What was pending before it goes. Killed in between, the
        next call ends it; without `pending` there is nothing to do.
        """
        new, old = self._folder / f"{pending}.age", self._folder / f"{name}.age"
        held = self._held(pending)
        _check_name(name)
        try:
            with self._locked():
                if new.exists():
                    make_folder(old.parent)
                    self._copy_notes(pending, name)
                    kept = keep_old(old) if old.exists() else None
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
                for file in (*_generations(new), *_generations(held)):
                    file.unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(old, error) from error

    def kept(self) -> list[str]:
        """Every secret of which the administrators or the controller have a copy."""
        held = self._state / "held"
        found = (f.relative_to(held).as_posix().removesuffix(".age") for f in held.rglob("*.age"))
        return sorted({*self.names(), *filter(NAME.fullmatch, found)})

    def rename(self, name: str, new: str) -> None:
        """`name` is called `new` from now on, its older files too.

        Files are renamed, nothing is encrypted anew, and the administrators' newest goes last: at
        every moment they have the secret under one of both names. Killed in between, the next
        call ends it. Refused, with nothing changed, where `new` holds another secret.
        """
        now, later = self._folder / f"{name}.age", self._folder / f"{new}.age"
        held, held_later = self._held(name), self._held(new)
        try:
            with self._locked():
                moves = [*_moves(held, held_later), *_moves(now, later)]
                if taken := [target for _, target in moves if target.exists()]:
                    raise Refused(
                        f"there is another secret, and that of {name} would take its place",
                        where=str(taken[0]),
                        mend="see which of them is right, and move the other one away",
                    )
                self._copy_notes(name, new)
                for file, target in moves:
                    make_folder(target.parent)
                    file.replace(target)
                    sync(target.parent)
                    sync(file.parent)
                (self._folder / ".sealed" / f"{name}.json").unlink(missing_ok=True)
        except OSError as error:
            raise Failed(
                f"could not be renamed: {error.strerror or 'the disk did not keep it'}; "
                "every secret is under one of both names",
                where=str(later),
                mend="make room or correct the permissions",
            ) from error

    def _administrators(self, name: str) -> list[Recipient]:
        """At least one; BadInput otherwise."""
        admins = [recipient(key) for key in self._recipients]
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
            staged.append(stage(self._folder / f"{name}.age", plain, admins))
            if controller:
                staged.append(stage(self._held(name), plain, [self._identity().to_public()]))
            self._note(name, staged[0][0])
            publish(staged)
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
        return identity_in(self._state / "controller.key")


def _generations(now: Path) -> list[Path]:
    older = {
        int(part): file
        for file in now.parent.glob(f"{now.stem}.*.age")
        if (part := file.name.removesuffix(".age").rpartition(".")[2]).isdigit()
    }
    return ([now] if now.exists() else []) + [older[n] for n in sorted(older, reverse=True)]


def _moves(now: Path, later: Path) -> list[tuple[Path, Path]]:
    """(file, what it will be called) of each generation, the newest last."""
    return [
        (file, later.with_name(later.stem + file.name.removeprefix(now.stem)))
        for file in reversed(_generations(now))
    ]


def _unwritable(file: Path, error: OSError) -> Failed:
    return Failed(
        f"could not be escrowed: {error.strerror or 'the disk did not keep it'}; "
        "no key is handed out",
        where=str(file),
        mend="make room or correct the permissions, then run the same command again",
    )


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
