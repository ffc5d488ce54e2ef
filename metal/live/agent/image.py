"""Install from an image: partition, encrypt, unpack, and make bootable what the job describes.

Each command must succeed: half an installed system is a failed install. The new system is in
/target, as in Debian's installer, so the same late commands run.
"""

import hashlib
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from . import loader, system, volumes
from .programs import Failed
from .talk import Talk

TARGET = Path("/target")
PIECE = 1024 * 1024


def perform(job: dict[str, Any], talk: Talk, told: dict[str, str]) -> None:
    """`job`: metal/install/image.py."""
    talk.progress("partition", 0.05, "finding the disk")
    disks = volumes.find(job["disks"])
    talk.progress("partition", 0.08, f"partitioning and encrypting {' and '.join(disks)}")
    made = volumes.make(job["recipe"], disks, job["server"], job["passphrase"])
    volumes.mount(made, TARGET)
    report(job, "partitioned")
    talk.progress("unpack", 0.2, "unpacking Debian")
    unpack(talk, told["url"] + job["root"]["path"], job["root"], TARGET)
    loader.unpack(TARGET)
    report(job, "base")
    talk.progress("configure", 0.6, "names, network, keys")
    system.enter(TARGET)
    system.write(job, made, TARGET)
    talk.progress("loader", 0.7, "boot loader")
    loader.install(disks, job["console"], TARGET)
    talk.progress("late", 0.8, "late commands")
    with ThreadPoolExecutor(1) as aside:
        menu = aside.submit(loader.menu)
        system.late(job["late"], TARGET)
        menu.result()
    talk.progress("leave", 0.98, "unmounting")
    system.leave(TARGET)
    volumes.close(made)


def report(job: dict[str, Any], phase: str) -> None:
    """As the preseed's hooks do: one that is lost stops nothing, the next one tells more."""
    request = urllib.request.Request(f"{job['report']}/{phase}", data=b"", method="POST")
    try:
        _open(request, 10).close()
    except OSError as error:
        print(f"metal: {phase} was not told: {error}", flush=True)


def unpack(talk: Talk, url: str, root: dict[str, Any], target: Path) -> None:
    """Downloaded and unpacked at once; nothing of it is run before its BLAKE2b was seen to be
    the pinned one."""
    digest, got = hashlib.blake2b(), 0
    with _unpacker(target) as into, _open(urllib.request.Request(url), 60) as answer:
        while piece := answer.read(PIECE):
            digest.update(piece)
            into.write(piece)
            got += len(piece)
            if got // (16 * PIECE) != (got - len(piece)) // (16 * PIECE):
                share = got / root["bytes"]
                talk.progress("unpack", 0.2 + 0.4 * share, f"{got // 10**6} MB")
    if digest.hexdigest() != root["blake2b"]:
        raise Failed("unpacking: the image is not the one that was pinned")


@contextmanager
def _unpacker(target: Path) -> Iterator[IO[bytes]]:
    """Takes a compressed tar; Failed, with what was said, where not all of it was unpacked.

    Its pipes hold a whole piece, or two thirds of the time go into changing from one program to
    the next where processors are emulated.
    """
    words = ["tar", "-xp", "--blocking-factor=2048", "--numeric-owner", "--xattrs"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with tempfile.TemporaryFile() as errors:
        zstd = subprocess.Popen(["zstd", "-dcq"], stderr=errors, pipesize=PIECE, **pipes)
        assert zstd.stdin is not None and zstd.stdout is not None
        tar = subprocess.Popen([*words, "-C", str(target)], stdin=zstd.stdout, stderr=errors)
        zstd.stdout.close()  # tar's alone: zstd ends when tar does
        lost = ""
        try:
            with zstd.stdin:
                yield zstd.stdin
        except OSError as error:
            lost = str(error)
        codes = (zstd.wait(), tar.wait())
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip()[-200:]
    if lost or any(codes):
        raise Failed(f"unpacking: {said or lost or codes}")


def _open(request: urllib.request.Request, seconds: float) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(request, timeout=seconds)
