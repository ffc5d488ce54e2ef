"""Install from an image: partition, encrypt, unpack, and make bootable what the job describes.

Each command must succeed: half an installed system is a failed install. The new system is in
/target, as in Debian's installer, so the same late commands run.
"""

import hashlib
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

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
    report(job, "base")
    talk.progress("configure", 0.6, "names, network, keys")
    system.enter(TARGET)
    system.write(job, made, TARGET)
    talk.progress("loader", 0.7, "boot loader")
    loader.install(disks, job["console"], TARGET)
    talk.progress("late", 0.8, "late commands")
    system.late(job["late"], TARGET)
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
    """Downloaded and unpacked at once; nothing of it is run before its SHA-256 was seen to be
    the pinned one."""
    digest, got = hashlib.sha256(), 0
    tar = subprocess.Popen(
        ["tar", "--zstd", "-xp", "--numeric-owner", "--xattrs", "-C", str(target)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert tar.stdin is not None and tar.stderr is not None
    try:
        with _open(urllib.request.Request(url), 60) as answer:
            while piece := answer.read(PIECE):
                digest.update(piece)
                tar.stdin.write(piece)
                got += len(piece)
                if got // (16 * PIECE) != (got - len(piece)) // (16 * PIECE):
                    share = got / root["bytes"]
                    talk.progress("unpack", 0.2 + 0.4 * share, f"{got // 10**6} MB")
        tar.stdin.close()
    except OSError as error:
        tar.kill()
        said = tar.stderr.read().decode(errors="replace").strip()[-200:]
        raise Failed(f"unpacking: {said or error}") from None
    said = tar.stderr.read().decode(errors="replace").strip()[-200:]
    if tar.wait() or digest.hexdigest() != root["sha256"]:
        raise Failed(f"unpacking: {said or 'the image is not the one that was pinned'}")


def _open(request: urllib.request.Request, seconds: float) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(request, timeout=seconds)
