"""Mirrors of one archive, asked one after the other: whatever comes is checked, so any will do."""

import hashlib
import lzma
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import requests

from metal.drivers.archive.release import Release, Sum, parse_release
from metal.drivers.archive.signed import verified
from metal.model.errors import Failed, MetalError, Unreachable

LARGEST = 512 * 1024 * 1024
"""Bytes of one file; the package with Debian 13's installers has some 150 MB."""
RELEASE_LARGEST = 4 * 1024 * 1024
UNPACKED_LARGEST = 256 * 1024 * 1024
"""Of an index; main's has some 50 MB."""
TIMEOUT = (10, 60)
"""Seconds to connect, and between two pieces."""


class Mirrors:
    """`bases`: URLs such as http://mirror.example.org/debian, the nearest first."""

    def __init__(self, bases: Sequence[str]) -> None:
        self._bases = tuple(dict.fromkeys(base.rstrip("/") for base in bases))

    def release(self, suite: str, keyring: Path) -> Release:
        """The newest signed state that a mirror has of `suite`.

        Unreachable when none answers (worth a retry); Failed when none has one that is signed by
        `keyring` and is of that release: an old signed Release of another one proves nothing.
        """
        found, errors = [], []
        for base in self._bases:
            where = f"{base}/dists/{suite}/InRelease"
            try:
                signed = b"".join(_pieces(where, RELEASE_LARGEST))
                release = parse_release(verified(signed, keyring, where), where)
                _check_codename(release, suite, where)
            except (Failed, Unreachable) as error:
                errors.append(error)
            else:
                found.append(release)
        if not found:
            raise _worst(errors)
        return max(found, key=lambda release: release.date)

    def index(self, release: Release, suite: str, path: str) -> bytes:
        """An index that the Release lists, whole and unpacked (.xz), at `path` below dists/SUITE.

        Failed when the Release lists none, or no mirror has the one it lists.
        """
        wanted = release.sums.get(path)
        if wanted is None:
            raise Failed(f"Debian {release.version} {suite} has no {path}", where=self._bases[0])
        folder, _, _name = f"dists/{suite}/{path}".rpartition("/")
        paths = [f"{folder}/by-hash/SHA256/{wanted.sha256}"] if release.by_hash else []
        content = self._read([*paths, f"dists/{suite}/{path}"], wanted)
        return _unpacked(content, path) if path.endswith(".xz") else content

    def keep(self, path: str, wanted: Sum, file: Path) -> None:
        """`file` is the one at `path` and fits its sum, afterwards; nothing to do if it does.

        It is never seen half. Whoever needs it looks at its sum anew: nothing is synced.
        """
        if fits(file, wanted.sha256):
            return
        temp = file.with_name(f".{file.name}.tmp")

        def take(base: str) -> None:
            with temp.open("wb") as out:
                for piece in _checked(f"{base}/{path}", wanted):
                    out.write(piece)
            temp.replace(file)

        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._first(take)
        except OSError as error:
            raise Failed(
                f"the installer could not be kept: {error.strerror}",
                where=str(file),
                mend="make room on that disk, then run the same command again",
            ) from error
        finally:
            temp.unlink(missing_ok=True)

    def _read(self, paths: Sequence[str], wanted: Sum) -> bytes:
        found: list[bytes] = []

        def take(base: str) -> None:
            errors = []
            for path in paths:
                try:
                    found.append(b"".join(_checked(f"{base}/{path}", wanted)))
                except Failed as error:
                    errors.append(error)
                else:
                    return
            raise errors[-1]

        self._first(take)
        return found[0]

    def _first(self, take: Callable[[str], None]) -> None:
        """The first mirror that has what is wanted; otherwise the error that says most."""
        errors: list[MetalError] = []
        for base in self._bases:
            try:
                take(base)
            except (Failed, Unreachable) as error:
                errors.append(error)
            else:
                return
        raise _worst(errors)


def fits(file: Path, sha256: str) -> bool:
    """Whether the file is there and is what it should be."""
    return file.is_file() and sum_of(file) == sha256


def sum_of(file: Path) -> str:
    """The file's SHA-256, hex."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _worst(errors: Sequence[MetalError]) -> MetalError:
    """Worth a retry if a mirror was silent; else what the last one said."""
    silent = [error for error in errors if isinstance(error, Unreachable)]
    return silent[0] if silent else errors[-1]


def _check_codename(release: Release, suite: str, where: str) -> None:
    if release.codename != suite:
        raise Failed(
            f"that is the Release of {release.codename}, not of {suite}",
            where=where,
            mend="set another mirror in inventory.toml",
        )


def _unpacked(content: bytes, path: str) -> bytes:
    packed = lzma.LZMADecompressor()
    try:
        unpacked = packed.decompress(content, UNPACKED_LARGEST)
    except lzma.LZMAError as error:
        raise Failed(f"it cannot be unpacked: {error}", where=path) from error
    if not packed.eof:
        raise Failed(f"it has more than {UNPACKED_LARGEST} bytes unpacked", where=path)
    return unpacked


def _checked(url: str, wanted: Sum) -> Iterator[bytes]:
    """The body in pieces; Failed after the last one if it is not what is wanted."""
    digest = hashlib.sha256()
    for piece in _pieces(url, min(wanted.size, LARGEST)):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != wanted.sha256:
        raise Failed(
            "what came is not what the archive's signed sums say",
            where=url,
            mend="the mirror may be in the middle of an update: try again, or set another",
        )


def _pieces(url: str, largest: int) -> Iterator[bytes]:
    """The body in pieces, never more than `largest` bytes of it, and never less than promised."""
    # identity: some mirrors would call initrd.gz compressed on the way, and it would come unpacked.
    plain = {"Accept-Encoding": "identity"}
    try:
        with requests.get(url, stream=True, timeout=TIMEOUT, headers=plain) as answer:
            if answer.status_code >= 500:
                raise Unreachable(
                    f"the mirror answers {answer.status_code}", where=url, mend="wait"
                )
            if answer.status_code != 200:
                raise _not_there(url, answer.status_code)
            size = 0
            for piece in answer.iter_content(256 * 1024):
                size += len(piece)
                if size > largest:
                    raise Failed(
                        f"it is larger than {largest} bytes, so it was not fetched to its end",
                        where=url,
                        mend="the mirror may be in the middle of an update: try again",
                    )
                yield piece
    except requests.RequestException as error:
        raise Unreachable(
            f"the Debian mirror does not answer: {type(error).__name__}",
            where=url,
            mend="check the network, or set another mirror in inventory.toml",
        ) from error


def _not_there(url: str, status: int) -> Failed:
    return Failed(
        f"it is not there: the mirror answers {status}",
        where=url,
        mend="set a Debian mirror in inventory.toml that carries the installer (installer-amd64 "
        "and debian-installer)",
    )
