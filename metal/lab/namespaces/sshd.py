"""Each server's sshd, as the installer leaves it: only keys, its host key known beforehand."""

import subprocess
from pathlib import Path

from metal.lab.namespaces.server import Server

_CONFIG = """\
ListenAddress {address}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
"""


def write(server: Server) -> str:
    """Its public host key. Nobody may log in yet."""
    folder = _folder(server)
    folder.mkdir()
    (folder / "sshd_config").write_text(_CONFIG.format(address=server.address, folder=folder))
    (folder / "authorized_keys").touch(mode=0o600)
    key = folder / "host_key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", server.name, "-f", str(key)],
        check=True,
        stdin=subprocess.DEVNULL,
        timeout=30,
    )
    return host_key(server)


def host_key(server: Server) -> str:
    return " ".join((_folder(server) / "host_key.pub").read_text().split()[:2])


def allow(server: Server, public_key: str) -> None:
    """Root may log in with it from now on."""
    (_folder(server) / "authorized_keys").write_text(f"{public_key}\n")


def _folder(server: Server) -> Path:
    return server.folder / "etc" / "ssh"
