"""Where the boot service is reached by HTTPS: what media are told, and its certificate says."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from metal.model.errors import BadInput
from metal.model.fleet import Fleet


def https_url(fleet: Fleet, served_at: str | None) -> str:
    """Without a slash at its end. `served_at`: where this process answers by HTTP, if it does."""
    if fleet.boot_https_listen is None:
        raise BadInput(
            "the boot service speaks no HTTPS, and a medium trusts nothing else",
            where="inventory.toml, [fleet]",
            mend='add boot_https_listen = "0.0.0.0:8443"',
        )
    if fleet.boot_https_url:
        return fleet.boot_https_url.rstrip("/")
    listen, _, port = fleet.boot_https_listen.rpartition(":")
    host = urlsplit(fleet.boot_url or served_at or f"http://{listen}").hostname
    if not host or _everywhere(host):
        raise BadInput(
            "nothing says at which address servers reach the boot service",
            where="inventory.toml, [fleet]",
            mend='add boot_https_url = "https://ADDRESS-OR-NAME:8443"',
        )
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _everywhere(host: str) -> bool:
    """0.0.0.0 and ::, on which one listens and which nobody reaches."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
