"""Which cards of a host carry what: bonds, the VMs' bridge, and networks of Ceph and corosync."""

from collections.abc import Mapping
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
