"""Whether a host is alive, from here: something of its own that speaks, not a kernel that answers.

A hung system still completes TCP handshakes; only a living sshd sends its banner (RFC 4253, 4.2)
and only a living API shakes hands in TLS.
"""

import socket
import ssl

from metal.drivers.tls import UNVERIFIED

SECONDS = 3.0


def answers(address: str, port: int, seconds: float = SECONDS) -> bool:
    """Whether somebody takes a TCP connection there."""
    try:
        socket.create_connection((address, port), seconds).close()
        return True
    except OSError:
        return False


def speaks_ssh(address: str, port: int = 22, seconds: float = SECONDS) -> bool:
    """Whether an sshd sends its banner."""
    try:
        with socket.create_connection((address, port), seconds) as connection:
            connection.settimeout(seconds)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def speaks_tls(address: str, port: int, seconds: float = SECONDS) -> bool:
    """Whether somebody shakes hands in TLS; whose certificate it is does not matter here."""
    try:
        with socket.create_connection((address, port), seconds) as connection:
            connection.settimeout(seconds)
            with UNVERIFIED.wrap_socket(connection):
                return True
    except ssl.SSLError as error:
        return "ALERT" in str(error)  # it answered, if only to say no
    except OSError:
        return False


def alive(address: str, api_port: int, ssh_port: int = 22) -> bool:
    """Whether the host's SSH or its API speaks."""
    return speaks_ssh(address, ssh_port) or speaks_tls(address, api_port)
