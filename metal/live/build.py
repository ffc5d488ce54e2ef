"""Build the live system, or find it built: a kernel and an initrd that holds everything.

Kept in state/live/KEY/ {linux, initrd, manifest.json}; state/live/current names the newest. KEY
stands for all that goes in: the release's signed index (and with it every package's version),
the list of packages, and the agent.
"""

import hashlib
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from metal.drivers.commands import Here, Runner
from metal.live.bootstrap import Say, alone, carries_firmware, index, run_tool
from metal.live.contents import (
    BYTECODE,
    FIRMWARE,
    NOT_FILES,
    NOT_MODULES,
    NOT_UNPACKED,
    PACKAGES,
    wanted,
)
from metal.live.cpio import Cpio, from_tar
from metal.model.base import Frozen
from metal.model.errors import BadInput

SUITE = "trixie"
AGENT = Path(__file__).parent / "agent"
ZSTD_LEVEL = "-12"


class LiveImage(Frozen):
    """state/live/KEY/manifest.json."""

    key: str
    suite: str
    mirror: str
    built: str
    """ISO 8601 UTC."""
    kernel: str
    """Its version, as in linux-image-VERSION."""
    linux_bytes: int
    initrd_bytes: int
    packages: dict[str, str]
    """Package → version."""


def current(state: Path) -> LiveImage | None:
    """The newest image; None if none was built yet."""
    try:
        text = (state / "live" / "current" / "manifest.json").read_text()
        return LiveImage.model_validate_json(text)
    except (OSError, ValueError):
        return None


def file_of(state: Path, key: str, name: str) -> Path | None:
    file = state / "live" / key / name
    return file if file.is_file() else None


def ensure_live(
    mirror: str, state: Path, *, suite: str = SUITE, say: Say | None = None
) -> LiveImage:
    """The image of what the mirror has now; built unless it was already.

    Unreachable when the mirror does not answer, Refused when a tool is missing.
    """
    say = say or (lambda _: None)
    key = _key(index(mirror, suite), suite)
    folder = state / "live" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(folder.parent):
        manifest = folder / "manifest.json"
        if not manifest.is_file():
            _build(mirror, suite, key, folder, say)
        _point(folder)
        return LiveImage.model_validate_json(manifest.read_text())


def _key(index: bytes, suite: str) -> str:
    digest = hashlib.sha256(index)
    for part in (suite, BYTECODE, *PACKAGES, *FIRMWARE, *NOT_FILES, *NOT_MODULES):
        digest.update(part.encode() + b"\0")
    for file in agent_files():
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def agent_files() -> list[Path]:
    return sorted(f for f in AGENT.iterdir() if f.is_file() and f.suffix in ("", ".py"))


def _point(folder: Path) -> None:
    """state/live/current → KEY, at once."""
    new = folder.parent / ".current"
    new.unlink(missing_ok=True)
    new.symlink_to(folder.name)
    new.replace(folder.parent / "current")


def _build(mirror: str, suite: str, key: str, folder: Path, say: Say) -> None:
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder.parent) as temp:
        work, here = Path(temp), Here()
        say("bootstrapping Debian")
        _bootstrap(here, mirror, suite, work / "root.tar")
        say("packing the initrd")
        kernel, packages = pack(work / "root.tar", work)
        say("compressing the initrd")
        run_tool(
            here, ["zstd", "-q", "-T0", ZSTD_LEVEL, str(work / "base"), "-o", str(work / "zst")]
        )
        made = work / "made"
        made.mkdir()
        (work / "linux").replace(made / "linux")
        with (made / "initrd").open("wb") as out:
            with Cpio(out) as cpio:
                put_agent(cpio)
            out.write(bytes(-out.tell() % 4) + (work / "zst").read_bytes())
        image = LiveImage(
            key=key,
            suite=suite,
            mirror=mirror,
            built=datetime.now(UTC).isoformat(timespec="seconds"),
            kernel=kernel,
            linux_bytes=(made / "linux").stat().st_size,
            initrd_bytes=(made / "initrd").stat().st_size,
            packages=packages,
        )
        (made / "manifest.json").write_text(image.model_dump_json(indent=2))
        made.replace(folder)


def _bootstrap(here: Runner, mirror: str, suite: str, tar: Path) -> None:
    """A root made with mmdebstrap; as root, or in a user namespace of its own."""
    firmware = FIRMWARE if carries_firmware(mirror, suite) else ()
    out = [f"--dpkgopt=path-exclude=/{pattern}" for pattern in NOT_UNPACKED]
    run_tool(
        here,
        [
            "mmdebstrap",
            "--quiet",
            "--variant=essential",
            '--aptopt=Apt::Install-Recommends "false"',
            *out,
            f"--include={','.join((*PACKAGES, *firmware))}",
            f"--customize-hook=chroot \"$1\" sh -c '{BYTECODE}'",
            suite,
            str(tar),
            f"deb {mirror} {suite} main{' non-free-firmware' if firmware else ''}",
        ],
    )


def pack(tar: Path, work: Path) -> tuple[str, dict[str, str]]:
    """Write `work`/linux and `work`/base (cpio) of a root; its kernel's version and packages."""
    with tarfile.open(tar) as root:
        names = [n.removeprefix("./") for n in root.getnames()]
        kernel = next((n for n in names if n.startswith("boot/vmlinuz-")), None)
        if kernel is None:
            raise BadInput("there is no kernel in it", where=str(tar))
        (work / "linux").write_bytes(_content(root, kernel))
        packages = installed(_content(root, "var/lib/dpkg/status").decode())
    with tarfile.open(tar) as root, (work / "base").open("wb") as out, Cpio(out) as cpio:
        from_tar(root, cpio, lambda name: name != kernel and wanted(name))
    return kernel.removeprefix("boot/vmlinuz-"), packages


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(f"./{name}")
    assert file is not None, name
    return file.read()


def installed(status: str) -> dict[str, str]:
    """Package → version, of dpkg's own list."""
    packages: dict[str, str] = {}
    for stanza in status.split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in stanza.splitlines()
            if ": " in line and not line.startswith(" ")
        )
        if "Package" in fields and "Version" in fields:
            packages[fields["Package"]] = fields["Version"]
    return packages


def put_agent(cpio: Cpio) -> None:
    """/init and /metal/agent/: the part of the image that is ours."""
    for folder in ("metal", "metal/agent"):
        cpio.folder(folder)
    for file in agent_files():
        init = file.name == "init"
        name = "init" if init else f"metal/agent/{file.name}"
        cpio.file(name, file.read_bytes(), 0o755 if init else 0o644)
