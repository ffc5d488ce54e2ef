"""The addresses of this machine's network interfaces, as iproute2 tells them."""

import json
import socket
import subprocess
from ipaddress import IPv4Address, IPv6Address, ip_address

from metal.model.errors import Refused


def addresses(interface: str) -> tuple[IPv4Address | IPv6Address, ...]:
    """Every address of `interface`, in the kernel's order; Refused if there is no such one."""
    done = subprocess.run(
        ["ip", "-json", "address", "show", "dev", interface],
        capture_output=True,
        text=True,
        timeout=10,
    )
    if done.returncode:
        raise Refused(
            done.stderr.strip() or "no such interface",
            where=interface,
            mend="`ip link` lists the interfaces",
        )
    links = json.loads(done.stdout or "[]")
    return tuple(
        ip_address(info["local"])
        for link in links
        for info in link.get("addr_info", ())
        if "local" in info
    )


def own_address(towards: str) -> str | None:
    """The address that this machine shows to `towards`; None where no route leads there.

    Nothing is sent: connecting a datagram socket only asks the kernel for the route.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(towards, 9, type=socket.SOCK_DGRAM)[
            0
        ]
        with socket.socket(family, kind, protocol) as plain:
            plain.connect(address)
            return str(plain.getsockname()[0])
    except OSError:
        return None
