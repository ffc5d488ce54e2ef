"""iPXE for the cards' firmware to load: Debian's package, put where TFTP and HTTP find it."""

import shutil
from pathlib import Path

from metal.model.errors import Failed, Refused

DEBIAN = Path("/usr/lib/ipxe")
FILES = ("undionly.kpxe", "snponly.efi")
"""Legacy BIOS and UEFI; both drive the card through the firmware's own driver."""


def ensure_firmware(folder: Path, source: Path = DEBIAN) -> None:
    """`folder` holds FILES, as `source` has them. Refused when the package is missing."""
    missing = [name for name in FILES if not (source / name).is_file()]
    if missing:
        raise Refused(
            f"iPXE is not installed: no {' nor '.join(missing)}",
            where=str(source),
            mend="apt install ipxe",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)  # dnsmasq reads it as a user of its own
        for name in FILES:
            temp = folder / f".{name}.tmp"
            shutil.copyfile(source / name, temp)
            temp.chmod(0o644)
            temp.replace(folder / name)
    except OSError as error:
        raise Failed(
            f"iPXE cannot be put there: {error.strerror}", where=str(folder), mend="make room"
        ) from error
