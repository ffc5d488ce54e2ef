"""Signatures that anybody can check with OpenSSH: ssh-keygen -Y sign and verify (SSHSIG).

The namespace keeps a signature from being taken for one of another kind, such as a log-in.
"""

import tempfile
from pathlib import Path

from metal.drivers.commands import Here
from metal.drivers.durable import write_file
from metal.model.errors import Failed, Refused

NAMESPACE = "metal-erasure"


def sign(content: bytes, key: Path) -> bytes:
    """The signature (armored SSHSIG) of `content` by the SSH key in the file `key`."""
    argv = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE]
    done = Here().run(argv, stdin=content)
    if done.code:
        raise Failed(f"it could not be signed: {done.said}", where=str(key))
    return done.out


def check(content: bytes, signature: Path, public: str, identity: str) -> None:
    """Refused unless `signature` is of `content`, by the key `public` ("ssh-ed25519 AAAA…")."""
    with tempfile.TemporaryDirectory(prefix="metal-verify-") as folder:
        allowed = Path(folder) / "allowed_signers"
        write_file(allowed, signers(identity, public).encode())
        argv = ["ssh-keygen", "-Y", "verify", "-f", str(allowed), "-I", identity]
        done = Here().run([*argv, "-n", NAMESPACE, "-s", str(signature)], stdin=content)
    if done.code:
        raise Refused(
            "the signature is not of this text, or not by this key",
            where=str(signature),
            mend="verify it in the workspace that it was made in (-C); else ask whoever gave you "
            "the record for it and its signature again",
        )


def signers(identity: str, public: str) -> str:
    """One line of the file that ssh-keygen calls allowed_signers."""
    return f'{identity} namespaces="{NAMESPACE}" {public}\n'
