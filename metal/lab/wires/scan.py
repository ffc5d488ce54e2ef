"""Every port of an address, by nmap: what answers, answers to anybody."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable

from metal.lab.wires.machine import Machine

Open = tuple[str, str, int]
"""(address, protocol, port)."""
ALL = "1-65535"


def open_ports(
    machine: Machine, addresses: Iterable[str], ports: str = ALL, *, udp: bool = False
) -> set[Open]:
    """What is open there, as seen from `machine`; IPv4 and IPv6 addresses may be mixed."""
    found: set[Open] = set()
    listed = list(addresses)
    for family in ([], ["-6"]):
        mine = [a for a in listed if (":" in a) == bool(family)]
        if mine:
            how = ["-sU", "--min-rate", "3000"] if udp else ["-sS", "--min-rate", "20000"]
            speed = ["-T5", "--max-retries", "1", "--host-timeout", "0"]
            words = [*family, "-n", "-Pn", *how, *speed, "-p", ports, "-oX", "-", *mine]
            found |= _open(machine.run("nmap", *words, seconds=600))
    return found


def _open(report: str) -> set[Open]:
    found: set[Open] = set()
    for host in ET.fromstring(report).iter("host"):
        address = next(
            a.get("addr", "") for a in host.iter("address") if a.get("addrtype") != "mac"
        )
        for port in host.iter("port"):
            state = port.find("state")
            if state is not None and state.get("state") == "open":
                protocol, number = port.get("protocol", ""), port.get("portid", "0")
                found.add((address, protocol, int(number)))
    return found
