"""The root that installs by image unpack: made by mmdebstrap once, pinned by BLAKE2b, kept.

In state/image/KEY/ {root.tar.zst, manifest.json}; KEY stands for all that goes in: what is wanted,
and the mirror's signed index. state/image/for-WANTED → KEY names the one in use for what is
wanted: a mirror that moves on changes nothing until somebody builds anew.

No secret is in it, and nothing by which two machines could be taken for one: keys, ids and seeds
that packages made while it was built are removed, and made on each machine.
"""

import hashlib
import json
import shlex
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from metal.drivers.commands import Here
from metal.inventory.defaults import defaults
from metal.live.bootstrap import Say, alone, components, index, run_tool
from metal.live.build import installed
from metal.model.base import Frozen

FILE = "root.tar.zst"
ZSTD_LEVEL = "-9"
SCRIPTS = {
    "init-premount": defaults() / "preseed" / "initramfs-network.sh",
    "init-bottom": defaults() / "preseed" / "initramfs-network-end.sh",
}
"""What the late commands put into a system whose address the kernel's ip= does not lead to, in
every image's initramfs: scripts have an order that only a whole build works out."""
THE_ROOT = "the root to install"
HOOK = Path(__file__).parent / "initramfs-hook"
LOADER_HOOK = Path(__file__).parent / "loader-hook"
UNIQUE = (
    "etc/ssh/ssh_host_*",
    "etc/dropbear/dropbear_*_host_key*",
    "etc/dropbear/initramfs/dropbear_*_host_key*",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/machine-id",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/log/apt/*",
    "var/log/bootstrap.log",
    "var/log/dpkg.log",
)
"""Shell patterns of what no two machines may share, or is nobody's affair."""


class RootWanted(Frozen):
    """What a root is made of."""

    suite: str
    mirror: str
    sources: tuple[str, ...]
    """Lines of sources.list."""
    packages: tuple[str, ...]
    loaders: dict[str, tuple[str, ...]]
    """Kind of firmware → packages of its boot loader."""

    @property
    def digest(self) -> str:
        told = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        files = (HOOK, LOADER_HOOK, *SCRIPTS.values())
        ours = f"{told}\n{UNIQUE}\n{''.join(file.read_text() for file in files)}"
        return hashlib.sha256(ours.encode()).hexdigest()[:16]


class RootImage(Frozen):
    """state/image/KEY/manifest.json."""

    key: str
    suite: str
    mirror: str
    built: str
    """ISO 8601 UTC."""
    blake2b: str
    """Of root.tar.zst; whoever unpacks it checks it. A processor that has no instructions for
    SHA-256 is done with this in a fraction of the time."""
    bytes: int
    packages: dict[str, str]
    """Package → version."""

    @property
    def path(self) -> str:
        """Of its URL at the boot service."""
        return f"/image/{self.key}/{FILE}"


def file_of(state: Path, key: str, name: str) -> Path | None:
    file = state / "image" / key / name
    return file if name == FILE and file.is_file() else None


def pinned(state: Path, wanted: RootWanted) -> RootImage | None:
    """The one that is in use for `wanted`; None if none was built yet."""
    try:
        text = (_pointer(state, wanted) / "manifest.json").read_text()
        return RootImage.model_validate_json(text)
    except (OSError, ValueError):
        return None


def ensure_root(state: Path, wanted: RootWanted, *, say: Say | None = None) -> RootImage:
    """The image of what the mirror has now; built unless it was already, and pinned from now on.

    Unreachable when the mirror does not answer, Refused when a tool is missing.
    """
    signed = index(wanted.mirror, wanted.suite)
    key = hashlib.sha256(wanted.digest.encode() + signed).hexdigest()[:16]
    folder = state / "image" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(folder.parent):
        if not (folder / "manifest.json").is_file():
            _build(wanted, key, folder, say or (lambda _: None))
        _pin(state, wanted, folder)
        return RootImage.model_validate_json((folder / "manifest.json").read_text())


def _pointer(state: Path, wanted: RootWanted) -> Path:
    return state / "image" / f"for-{wanted.digest}"


def _pin(state: Path, wanted: RootWanted, folder: Path) -> None:
    """At once: whoever looks sees the one before, or this."""
    new = folder.parent / f".for-{wanted.digest}"
    new.unlink(missing_ok=True)
    new.symlink_to(folder.name)
    new.replace(_pointer(state, wanted))


def _build(wanted: RootWanted, key: str, folder: Path, say: Say) -> None:
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder.parent) as temp:
        work, here = Path(temp), Here()
        made = work / "made"
        made.mkdir()
        say("bootstrapping Debian")
        status, tar = work / "status", work / "root.tar"
        command = bootstrap_command(wanted, status, tar)
        run_tool(here, command, THE_ROOT)
        say("compressing the image")
        run_tool(
            here, ["zstd", "-q", "-T0", ZSTD_LEVEL, str(tar), "-o", str(made / FILE)], THE_ROOT
        )
        with (made / FILE).open("rb") as file:
            digest = hashlib.file_digest(file, "blake2b").hexdigest()
        image = RootImage(
            key=key,
            suite=wanted.suite,
            mirror=wanted.mirror,
            built=datetime.now(UTC).isoformat(timespec="seconds"),
            blake2b=digest,
            bytes=(made / FILE).stat().st_size,
            packages=installed(status.read_text()),
        )
        (made / "manifest.json").write_text(image.model_dump_json(indent=2))
        made.replace(folder)


def bootstrap_command(wanted: RootWanted, status: Path, tar: Path) -> list[str]:
    """mmdebstrap's words; `status` gets dpkg's list. As root, or in a user namespace."""
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=important",
        '--aptopt=Apt::Install-Recommends "false"',
        f"--include={','.join(wanted.packages)}",
        *(f"--customize-hook={hook}" for hook in _hooks(wanted, status)),
        wanted.suite,
        str(tar),
        *components(wanted.sources),
    ]


def _hooks(wanted: RootWanted, status: Path) -> Iterator[str]:
    """Shell commands; $1 is the root. Failing ones end the build."""
    for kind, packages in wanted.loaders.items():
        yield f'sh {shlex.quote(str(LOADER_HOOK))} "$1" {kind} {" ".join(packages)}'
    yield f'cp "$1"/var/lib/dpkg/status {shlex.quote(str(status))}'
    yield f'cd "$1" && rm -f {" ".join(UNIQUE)}'
    yield from _initramfs()


def _initramfs() -> Iterator[str]:
    """Built here, where that takes seconds; the machine adds what it alone knows."""
    yield f'cp {shlex.quote(str(HOOK))} "$1"/etc/initramfs-tools/hooks/metal'
    for when, script in SCRIPTS.items():
        place = f'"$1"/etc/initramfs-tools/scripts/{when}/metal'
        yield f"cp {shlex.quote(str(script))} {place} && chmod 755 {place}"
    yield 'echo "/dev/root / ext4 defaults 0 1" >"$1"/etc/fstab'  # which fsck it needs
    yield 'chroot "$1" update-initramfs -u -k all'
    yield 'rm "$1"/etc/initramfs-tools/scripts/*/metal'
    yield 'rm "$1"/etc/initramfs-tools/hooks/metal "$1"/etc/fstab'
