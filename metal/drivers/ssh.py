"""Programs on a server, through OpenSSH's own client; nothing of the user's ssh_config is read.

The host key is pinned: a server that shows another is refused, and none is ever learned by
trusting the first contact. No agent, port or display is forwarded: a server that was taken over
gets nothing to go on with. What is secret goes through stdin.
"""

import re
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from metal.drivers.commands import Here, Result
from metal.drivers.durable import make_folder, write_file
from metal.model.errors import BadInput, Failed, MetalError, Refused, Unreachable

HOST_KEY = re.compile(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) [A-Za-z0-9+/]+={0,3}")
ALIAS = "pinned"
"""What the server is called in its known_hosts file, whatever its address and port are."""
ASKED = 4
"""Times that a silent server is asked whether it is there, before it is given up."""
OPTIONS = {
    "BatchMode": "yes",  # never asks: a prompt nobody sees is a hang
    "StrictHostKeyChecking": "yes",
    "GlobalKnownHostsFile": "none",
    "HostKeyAlias": ALIAS,
    "CheckHostIP": "no",
    "UpdateHostKeys": "no",
    "VerifyHostKeyDNS": "no",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "ClearAllForwardings": "yes",
    "PermitLocalCommand": "no",
    "ControlMaster": "no",
    "ControlPath": "none",
    "RequestTTY": "no",
    "EscapeChar": "none",
    "PreferredAuthentications": "publickey",
    "ServerAliveCountMax": str(ASKED),
    "LogLevel": "INFO",  # it tells of a silent server as of no error
}
_CUT = (
    "closed by remote host",
    "Connection closed by",
    "Connection reset",
    "Broken pipe",
    "not responding.",
)
_OWN = 255
"""ssh's exit code for its own troubles."""


class CutOff(Unreachable):
    """The connection stood, and ended before the answer: what was asked may have been done."""


@dataclass(frozen=True)
class SshHost:
    """A server that one logs in to."""

    name: str
    address: str
    host_keys: tuple[str, ...]
    """The pinned public keys, "ssh-ed25519 AAAA…" each; one of them must be shown."""
    port: int = 22
    user: str = "root"
    identity: Path | None = None
    """A private key without passphrase: the controller's own."""
    agent: Path | None = None
    """The socket of an ssh-agent, where there is no `identity`."""
    patience: float = 10.0
    """Seconds until a connection must stand."""
    silence: float = 60.0
    """Seconds without a word after which one that stood is given up."""


class Ssh:
    """A Runner on a server; each run is a connection of its own."""

    def __init__(self, host: SshHost) -> None:
        self.host = host
        self.where = host.name

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        """Run `argv` there; without any, what the server does by itself (a forced command).

        Unreachable without answer, Refused for another host key or when the login is denied.
        """
        return run(self.host, argv, stdin=stdin, timeout=timeout)


def run(host: SshHost, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
    """What `Ssh.run` does."""
    with _known_hosts(host) as known:
        words = ["ssh", "-F", "none", "-T", *_options(host, known), "-p", str(host.port)]
        words += ["-l", host.user, "--", host.address]
        if argv:
            words.append(shlex.join(argv))
        try:
            result = Here().run(words, stdin=stdin, timeout=timeout)
        except Unreachable:
            raise Unreachable(
                f"{argv[0] if argv else 'its console'} gave no answer within {timeout:g} s",
                where=_at(host),
            ) from None
    if result.code == _OWN:
        raise _trouble(host, result)
    return result


def _options(host: SshHost, known: Path) -> list[str]:
    options = OPTIONS | {
        "UserKnownHostsFile": f'"{known}"',
        "ConnectTimeout": str(max(1, round(host.patience))),
        "ServerAliveInterval": str(max(1, round(host.silence / ASKED))),
        "IdentityFile": f'"{host.identity}"' if host.identity else "none",
        "IdentitiesOnly": "yes" if host.identity else "no",
        "IdentityAgent": "none" if host.identity or not host.agent else f'"{host.agent}"',
    }
    return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]


@contextmanager
def _known_hosts(host: SshHost) -> Iterator[Path]:
    """A known_hosts file of this connection's own."""
    if not host.host_keys:
        raise Refused(
            "its host key is not known, and a stranger could answer at its address",
            where=_at(host),
            mend=f"metal keys pin {host.name} pins the keys read at its console",
        )
    for key in host.host_keys:
        if not HOST_KEY.fullmatch(key):
            raise BadInput(f"{key[:40]!r} is no SSH host key", where=host.name)
    with tempfile.TemporaryDirectory(prefix="metal-ssh-") as folder:
        file = Path(folder) / "known_hosts"
        write_file(file, "".join(f"{ALIAS} {key}\n" for key in host.host_keys).encode())
        yield file


def _trouble(host: SshHost, result: Result) -> MetalError:
    said, where = result.err, _at(host)
    if "Host key verification failed" in said or "no matching host key type" in said:
        return Refused(
            "it shows another host key than the pinned one",
            where=where,
            mend="find out why before anything is sent to it: was it installed anew, or does "
            f"somebody stand in between? Then metal keys pin {host.name}",
        )
    if "Permission denied" in said or "Too many authentication failures" in said:
        return Refused(
            "it does not let this key in",
            where=where,
            mend="use an administrator's key that was in the inventory when it was installed",
        )
    if any(words in said for words in _CUT):
        return CutOff(f"it was cut off in its answer: {result.said}", where=where)
    return Unreachable(f"SSH did not get through: {result.said}", where=where)


def _at(host: SshHost) -> str:
    return f"{host.name} ({host.address} port {host.port})"


# ── keys to log in with ─────────────────────────────────────────────────────────────────────


def controller_key(state: Path) -> tuple[Path, str]:
    """(file, public key) of what the controller logs in with; made the first time.

    The installer puts the public half into root's authorized_keys.
    """
    file = state / "controller_ssh"
    public = file.with_suffix(".pub")
    if not file.exists() or not public.exists():
        _make_key(file)
    if file.stat().st_mode & 0o077:
        raise Refused(
            "others on this machine can read the controller's SSH key",
            where=str(file),
            mend=f"chmod 600 {file}, and take it out of the servers' authorized_keys",
        )
    return file, " ".join(public.read_text(encoding="utf-8").split()[:2])


def _make_key(file: Path) -> None:
    """Both halves at their places, or neither: ssh-keygen works in a folder of its own."""
    make_folder(file.parent)
    with tempfile.TemporaryDirectory(prefix=".ssh-", dir=file.parent) as folder:
        made = Path(folder) / "key"
        done = Here().run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "metal", "-f", str(made)]
        )
        if done.code:
            raise Failed(f"no SSH key could be made: {done.said}", where=str(file))
        made.replace(file)
        made.with_suffix(".pub").replace(file.with_suffix(".pub"))


@contextmanager
def agent(private: bytes) -> Iterator[Path]:
    """A private ssh-agent that holds one decrypted key; it ends with the block.

    The key goes from memory to the agent's memory through a pipe and never to a disk: one
    prompt for its passphrase serves every server.
    """
    with tempfile.TemporaryDirectory(prefix="metal-agent-") as folder:
        socket = Path(folder) / "socket"
        with _running(["ssh-agent", "-D", "-a", str(socket)], socket):
            done = Here({"SSH_AUTH_SOCK": str(socket)}).run(["ssh-add", "-q", "-"], stdin=private)
            if done.code:
                raise Failed(f"ssh-agent did not take the key: {done.said}")
            yield socket


@contextmanager
def _running(argv: list[str], socket: Path) -> Iterator[None]:
    """A program that lives as long as the block; it is up once its socket is there."""
    import subprocess
    import threading
    import time

    quiet = subprocess.DEVNULL
    process = subprocess.Popen(argv, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        deadline, pause = time.monotonic() + 10, threading.Event()
        while not socket.is_socket():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{argv[0]} did not start")
            pause.wait(0.01)
        yield
    finally:
        process.terminate()
        process.wait()


def through(host: SshHost, *, port: int, host_keys: Sequence[str]) -> SshHost:
    """The same server at another of its doors: dropbear's in the initramfs."""
    return replace(host, port=port, host_keys=tuple(host_keys))
