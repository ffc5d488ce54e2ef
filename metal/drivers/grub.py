"""Debian's signed loaders over the network: shim, which loads GRUB, which asks the boot service.

The firmware of a machine under Secure Boot believes shim (Microsoft signed it), shim believes what
Debian signed: this GRUB, and the kernels that it starts. All else of GRUB is built in: it loads no
modules then.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from metal.model.errors import Failed

LOADERS = ("bootnetx64.efi", "grubx64.efi")
CONFIG = "debian-installer/amd64/grub/grub.cfg"
"""Where Debian's GRUB for an installer looks, below the root that it came from."""


def http_device(url: str) -> str:
    """What GRUB calls a web server: http://192.0.2.1:8080 is (http,192.0.2.1:8080)."""
    parts = urlsplit(url)
    return f"(http,{parts.netloc}){parts.path.rstrip('/')}"


def put_loaders(folder: Path, source: Path, config: str) -> None:
    """`folder` holds the loaders, as `source` has them, and GRUB's configuration."""
    held: Mapping[str, bytes | Path] = {name: source / name for name in LOADERS}
    try:
        for name, content in (*held.items(), (CONFIG, config.encode())):
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            temp = file.with_name(f".{file.name}.tmp")
            if isinstance(content, Path):
                shutil.copyfile(content, temp)
            else:
                temp.write_bytes(content)
            temp.chmod(0o644)  # dnsmasq reads it as a user of its own
            temp.replace(file)
    except OSError as error:
        raise Failed(
            f"the signed loaders cannot be put there: {error.strerror}",
            where=str(folder),
            mend="make room",
        ) from error
