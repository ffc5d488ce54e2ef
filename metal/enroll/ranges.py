"""The networks that are looked through for BMCs. Pure."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network

from metal.model.addresses import ip_of
from metal.model.errors import BadInput

LARGEST = 4096
"""Addresses of one scan: a /20."""


def network_of(text: str) -> tuple[IPv4Network | IPv6Network, int | None]:
    """(network, port) of "10.0.0.0/24" or "10.0.0.0/24:8443"; BadInput if none or too large."""
    match = re.fullmatch(r"(.+/\d+):(\d{1,9})", text)
    plain, port = (match[1], int(match[2])) if match else (text, None)
    if port is not None and not 1 <= port <= 65535:
        raise BadInput(f"port {port} is no number from 1 to 65535", where=text, mend="correct it")
    if alone := ip_of(plain):
        around = ip_network(f"{alone}/{24 if alone.version == 4 else 120}", strict=False)
        raise BadInput(
            "is one address, no network",
            where=text,
            mend=f"did you mean {around}? For that address alone: metal enroll {alone}",
        )
    try:
        network = ip_network(plain, strict=False)
    except ValueError:
        raise BadInput(
            "is no network", where=text, mend="such as 10.0.0.0/24, or 10.0.0.0/24:8443"
        ) from None
    if network.num_addresses > LARGEST:
        raise BadInput(
            f"holds {network.num_addresses} addresses, and a scan is of {LARGEST} at most",
            where=text,
            mend="scan the networks that BMCs are in, a /20 or smaller each",
        )
    return network, port
