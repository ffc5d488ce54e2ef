"""Fetch the Debian installer's kernel and initrd from a mirror, checked and kept.

The layout is Debian's own: dists/SUITE/main/installer-amd64/current/images/ holds SHA256SUMS and
netboot/debian-installer/amd64/{linux,initrd.gz}. The sums guard against a broken transfer or
disk. They are not signed: who does not trust the network to the mirror gives an https:// one.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from metal.model.errors import Failed, MetalError, Unreachable

IMAGES = "dists/{suite}/main/installer-amd64/current/images"
FOLDER = "netboot/debian-installer/amd64"
FILES = ("linux", "initrd.gz")
LARGEST = 512 * 1024 * 1024
"""Bytes of one file; Debian 13's initrd has some 45 MB."""
SUMS_LARGEST = 1024 * 1024
TIMEOUT = (10, 60)
"""Seconds to connect, and between two pieces."""


def fetch_installer(mirror: str, suite: str, cache: Path) -> None:
    """`cache`/SUITE/{linux,initrd.gz} are what the mirror's SHA256SUMS says, afterwards.

    What is there already and fits is not fetched again. A file is never seen half. Unreachable
    when the mirror does not answer (worth a retry), Failed when it has no installer or another
    than it says, or the disk is full.
    """
    base = f"{mirror.rstrip('/')}/{IMAGES.format(suite=suite)}"
    folder = cache / suite
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            sums = _sums(base)
            for name in FILES:
                _ensure(f"{base}/{FOLDER}/{name}", folder / name, sums[f"./{FOLDER}/{name}"])
    except KeyError as error:
        raise _no_installer(base, f"SHA256SUMS does not list {error}") from error
    except requests.RequestException as error:
        # Before OSError: requests' exceptions are OSErrors too.
        raise Unreachable(
            f"the Debian mirror does not answer: {type(error).__name__}",
            where=base,
            mend="check the network, or set another mirror in inventory.toml",
        ) from error
    except OSError as error:
        raise Failed(
            f"the installer could not be kept: {error.strerror}",
            where=str(folder),
            mend="make room on that disk, then run the same command again",
        ) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Ten servers of one site want the same files at once: one fetches, the others find them."""
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _sums(base: str) -> dict[str, str]:
    """File name → SHA-256 in hex, as sha256sum prints them."""
    text = b"".join(_pieces(f"{base}/SHA256SUMS", SUMS_LARGEST)).decode(errors="replace")
    lines = (line.split(maxsplit=1) for line in text.splitlines())
    return {line[1].lstrip("*"): line[0].lower() for line in lines if len(line) == 2}


def _ensure(url: str, file: Path, wanted: str) -> None:
    if file.is_file() and _sha256(file) == wanted:
        return
    temp = file.with_name(f".{file.name}.tmp")
    digest = hashlib.sha256()
    try:
        with temp.open("wb") as out:
            for piece in _pieces(url, LARGEST):
                digest.update(piece)
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        if digest.hexdigest() != wanted:
            raise Failed(
                "what came is not what the mirror's SHA256SUMS says",
                where=url,
                mend="the mirror may be in the middle of an update: try again, or set another",
            )
        temp.replace(file)
    finally:
        temp.unlink(missing_ok=True)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _pieces(url: str, largest: int) -> Iterator[bytes]:
    """The body in pieces, never more than `largest` bytes of it, and never less than promised."""
    # identity: some mirrors would call initrd.gz compressed on the way, and it would come unpacked.
    plain = {"Accept-Encoding": "identity"}
    with requests.get(url, stream=True, timeout=TIMEOUT, headers=plain) as answer:
        if answer.status_code >= 500:
            raise Unreachable(f"the mirror answers {answer.status_code}", where=url, mend="wait")
        if answer.status_code != 200:
            raise _no_installer(url, f"the mirror answers {answer.status_code}")
        size = 0
        for piece in answer.iter_content(256 * 1024):
            size += len(piece)
            if size > largest:
                raise Failed(
                    f"it is larger than {largest} bytes, so it was not fetched to its end",
                    where=url,
                    mend="that is no Debian mirror: set another in inventory.toml",
                )
            yield piece


def _no_installer(url: str, what: str) -> MetalError:
    return Failed(
        f"no installer there: {what}",
        where=url,
        mend="set a Debian mirror in inventory.toml that carries installer-amd64",
    )
