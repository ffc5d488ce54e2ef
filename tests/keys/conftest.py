"""A real LUKS2 header in a file, a real sshd on loopback, real SSH keys."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from metal.drivers.commands import Here
from metal.drivers.luks import Luks
from metal.drivers.ssh import SshHost

CHEAP = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
"""Costs of a slot in tests: what is tested is not how long a guess takes."""
FIRST = "firstkeyfirstkeyfirstkey"
SSHD = "/usr/sbin/sshd"


def format_luks(file: Path, key: str = FIRST) -> Luks:
    """`file` becomes a LUKS2 disk that `key` opens; no device-mapper is needed for the header."""
    if not shutil.which("cryptsetup"):
        pytest.skip("needs cryptsetup (package cryptsetup-bin)")
    with file.open("wb") as opened:
        opened.truncate(20 << 20)
    argv = ("cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", *CHEAP)
    done = Here().run((*argv, "--key-file=-", str(file)), stdin=key.encode())
    assert done.code == 0, done.err
    return Luks(Here(), str(file), pbkdf=CHEAP)


@pytest.fixture
def disk(tmp_path: Path) -> Luks:
    """A disk that FIRST opens."""
    return format_luks(tmp_path / "disk.img")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where `disk` is."""
    return tmp_path / "disk.img"


@pytest.fixture
def new_disk() -> Callable[..., Luks]:
    return format_luks


def make_key(file: Path, *, passphrase: str = "", kind: str = "ed25519") -> str:
    """An SSH key pair at `file`; its public half without comment."""
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "x", "-f", str(file)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return " ".join(file.with_suffix(".pub").read_text().split()[:2])


@pytest.fixture
def new_key() -> Callable[..., str]:
    return make_key


@dataclass
class Sshd:
    """A running OpenSSH server."""

    host: SshHost
    authorized: Path
    """Its authorized_keys file."""


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """Takes root's log-in with the key at `host.identity`; its host key is pinned."""
    if not Path(SSHD).exists() or os.getuid() != 0:
        pytest.skip("needs root and sshd (package openssh-server)")
    folder = tmp_path / "sshd"
    folder.mkdir()
    host_key, mine = make_key(folder / "host"), make_key(folder / "mine")
    authorized = folder / "authorized_keys"
    authorized.write_text(f"{mine}\n")
    authorized.chmod(0o600)
    port = _free_port()
    settings = folder / "config"
    settings.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {authorized}\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen(
        [SSHD, "-D", "-e", "-f", str(settings)], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert "Server listening" in said, said
        host = SshHost("alba1", "127.0.0.1", (host_key,), port, identity=folder / "mine")
        yield Sshd(host, authorized)
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
