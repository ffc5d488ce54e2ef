"""A Tang server on the wire, as one at another site would be."""

import subprocess
from pathlib import Path

from metal.lab.machines import Wire

PORT = 7500
SERVER = "/usr/libexec/tangd"


class Tang:
    """Its keys, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._keys = folder
        folder.mkdir()
        subprocess.run([f"{SERVER}-keygen", str(folder)], check=True)

    def start(self, wire: Wire) -> "subprocess.Popen[bytes]":
        listen = f"TCP-LISTEN:{PORT},fork,reuseaddr"
        return wire.start("tang.log", "socat", listen, f"EXEC:{SERVER} {self._keys}")

    def thumbprint(self) -> str:
        """What tang-show-keys prints: of the key that signs."""
        signs = next(f for f in sorted(self._keys.glob("*.jwk")) if '"ES512"' in f.read_text())
        words = ["jose", "jwk", "thp", "-a", "S256", "-i", str(signs)]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
