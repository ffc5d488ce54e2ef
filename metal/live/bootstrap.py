"""What every build of a Debian root needs: the mirror's index, the tools, and to be alone."""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from metal.drivers.commands import Runner
from metal.model.errors import Failed, Refused, Unreachable

BUILD_SECONDS = 3600.0
INDEX_LARGEST = 4 * 1024 * 1024
FIRMWARE = "non-free-firmware"
Say = Callable[[str], None]


def index(mirror: str, suite: str) -> bytes:
    """The release's signed index; mmdebstrap checks its signature."""
    return fetched(f"{mirror.rstrip('/')}/dists/{suite}/InRelease")


def fetched(url: str) -> bytes:
    """At most 4 MiB from there."""
    import requests

    try:
        with requests.get(url, timeout=(10, 60), stream=True) as answer:
            body: bytes = answer.raw.read(INDEX_LARGEST, decode_content=True)
    except requests.RequestException as error:
        raise Unreachable(
            f"the Debian mirror does not answer: {type(error).__name__}",
            where=url,
            mend="check the network, or set another mirror in inventory.toml",
        ) from error
    if answer.status_code != 200:
        raise Failed(f"the mirror answers {answer.status_code}", where=url)
    return body


def carries_firmware(mirror: str, suite: str) -> bool:
    """Partial mirrors keep the whole's index, which says so of every component."""
    import requests

    component = f"{mirror.rstrip('/')}/dists/{suite}/{FIRMWARE}/binary-amd64"
    with suppress(requests.RequestException):
        return requests.head(f"{component}/Packages.xz", timeout=(10, 60)).status_code == 200
    return False


def components(sources: Iterable[str]) -> list[str]:
    """The lines of sources.list, firmware left out where the mirror does not carry it."""
    lines = []
    for line in sources:
        words = line.split()
        if FIRMWARE in words and not carries_firmware(words[1], words[2]):
            words.remove(FIRMWARE)
        lines.append(" ".join(words))
    return lines


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Ten servers want the same image at once: one builds it, the others find it."""
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def run_tool(here: Runner, argv: list[str], what: str = "the live system") -> None:
    """Refused when the tool is missing, Failed with what it said."""
    try:
        done = here.run(argv, timeout=BUILD_SECONDS)
    except Refused as error:
        raise Refused(
            f"{what} cannot be built: {error.what}",
            mend="apt install mmdebstrap zstd debian-archive-keyring",
        ) from None
    if done.code:
        errors = [line for line in done.err.splitlines() if line.startswith("E:")]
        said = errors[0] if errors else done.said
        raise Failed(
            f"{what} cannot be built: {argv[0]}: {said}",
            where=argv[-1] if argv[0] == "mmdebstrap" else "",
            mend="see that the mirror has that release, and that there is room for 1 GiB",
        )
