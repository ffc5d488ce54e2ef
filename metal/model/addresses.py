"""The addresses a VM has: what the network planner decides and the hypervisor is told."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from metal.model.base import Frozen
from metal.model.fleet import Treatment


def ip_of(text: str | None) -> IPv4Address | IPv6Address | None:
    """None for a host name, and for nothing."""
    try:
        return ip_address(text or "")
    except ValueError:
        return None


class Forward(Frozen):
    """One public port of a shared address, sent to one VM."""

    public: str
    protocol: Literal["tcp", "udp"]
    port: int
    """The same number outside and inside: clients expect the standard port."""
    last: int | None = None
    """The last port of a range."""
    to: str | None = None
    """Where it goes instead of the VM's own address: one of Kubernetes' at its site."""

    @property
    def span(self) -> str:
        """ "25", or "10000-20000"."""
        return str(self.port) if self.last is None else f"{self.port}-{self.last}"


class ProxyRoute(Frozen):
    """One host name on a shared address, told apart by TLS-SNI or HTTP Host."""

    public: str
    name: str
    port: int
    proxy_protocol: bool = False
    """The VM is told its client's address by the PROXY protocol."""


class Addressing(Frozen):
    """Every address of one VM at one site."""

    treatment: Treatment
    private_ipv4: str
    """With prefix length: 10.1.128.5/17."""
    public_ipv4: str | None = None
    """With prefix length; only for `dedicated`."""
    ipv6: str | None = None
    """With prefix length; None where the site has no IPv6."""
    gateway4: str | None = None
    gateway6: str | None = None
    forwards: tuple[Forward, ...] = ()
    routes: tuple[ProxyRoute, ...] = ()

    @property
    def shared(self) -> str | None:
        """The shared address that its ports or its names are on."""
        ends = [f.public for f in self.forwards] + [r.public for r in self.routes]
        return ends[0] if ends else None
