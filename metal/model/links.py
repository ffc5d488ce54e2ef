"""Which cards of a host carry what: bonds, the VMs' bridge, and networks of Ceph and corosync."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_interface
from typing import Annotated, Literal, get_args

from pydantic import Field, IPvAnyAddress, IPvAnyInterface, IPvAnyNetwork, StringConstraints

from metal.model.base import Frozen

Role = Literal["management", "ceph", "replication", "corosync"]
"""management: the host itself, and the VMs' bridge on it. ceph: clients, monitors and OSDs.
replication: what OSDs copy among themselves, where that has cards of its own too."""
ROLES: tuple[Role, ...] = get_args(Role)
Card = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,14}$")]
"""As Linux names it: eno1, enp65s0f0, enx0a1b2c3d4e5f."""
BRIDGE = "vmbr0"
"""What the VMs' cards hang on."""


class Link(Frozen):
    """Cards that carry one network of a host."""

    cards: tuple[Card, ...] = Field(min_length=1)
    """The first is preferred where the others only stand in for it."""
    bond: Literal["active-backup", "802.3ad", "balance-xor", "balance-alb"] | None = None
    """How several are one. active-backup asks nothing of the switch, 802.3ad that it does LACP."""
    mtu: int | None = Field(default=None, ge=1280, le=9216)
    vlan: int | None = Field(default=None, ge=1, le=4094)
    """The host's own address is on this VLAN; untagged when absent."""


Links = Mapping[Role, Link]


class Place(Frozen):
    """A link and what the host is on it."""

    link: Link
    address: IPvAnyInterface
    gateway: IPvAnyAddress | None = None


class Port(Frozen):
    """One interface of a host, as it is configured: a card, a bond, a bridge or a VLAN."""

    name: str
    kind: Literal["eth", "bond", "bridge", "vlan"]
    on: tuple[str, ...] = ()
    """What it stands on: a bond's cards, a bridge's port, what a VLAN is on."""
    mode: str | None = None
    """Of a bond."""
    address: IPvAnyInterface | None = None
    gateway: IPvAnyAddress | None = None
    mtu: int | None = None


def differences(seen: Sequence[Port], wanted: Sequence[Port]) -> tuple[str, ...]:
    """What is configured otherwise than wanted, in words; cards that carry nothing do not count."""
    there, here = ({p.name: p for p in ports if not _idle(p)} for ports in (seen, wanted))
    gone = [f"{name} is there, and is not wanted" for name in there if name not in here]
    new = [f"there is no {_told(port)}" for name, port in here.items() if name not in there]
    other = [
        f"{_told(there[name])} is to be {_told(port)}"
        for name, port in here.items()
        if name in there and there[name] != port
    ]
    return tuple(gone + new + other)


def is_plain(ports: Sequence[Port]) -> bool:
    """At most the VMs' bridge on one card, as a host has it of which nobody said anything."""
    busy = [port for port in ports if not _idle(port)]
    return all(port.kind == "eth" or port.name == BRIDGE for port in busy) and (
        len([port for port in busy if port.address]) <= 1
    )


def _idle(port: Port) -> bool:
    return port.kind == "eth" and port.address is None and port.mtu is None


def _told(port: Port) -> str:
    parts = (
        f"on {'+'.join(port.on)}" if port.on else "",
        port.mode or "",
        str(port.address or ""),
        f"by {port.gateway}" if port.gateway else "",
        f"mtu {port.mtu}" if port.mtu else "",
    )
    said = ", ".join(part for part in parts if part)
    return f"{port.name} ({said})" if said else port.name


def address_in(
    network: IPvAnyNetwork, address: IPvAnyAddress, management: IPvAnyNetwork
) -> IPvAnyInterface | None:
    """The host's number on the management network, on another: 10.1.1.11 → 10.9.0.11. None where
    that is none of a host's: nothing but its address there needs to be written down."""
    number = int(address) - int(management.network_address)
    last = network.num_addresses - (2 if network.version == 4 and network.num_addresses > 2 else 1)
    if not 0 < number <= last:
        return None
    return ip_interface(f"{network[number]}/{network.prefixlen}")
