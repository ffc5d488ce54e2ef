"""The boot network of a site as dnsmasq's configuration. Pure: what it says is read, not run.

Formats: dnsmasq(8); PXE 2.1 (architectures: RFC 4578, RFC 5970), iPXE's option 175.
"""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from metal.install.render import Templates
from metal.model.base import Frozen
from metal.model.errors import BadInput
from metal.model.fleet import Inventory

Dhcp = Literal["ours", "theirs"]
"""ours: metal gives the addresses. theirs: it only adds what to boot (proxyDHCP)."""
BIOS, EFI, SIGNED = "undionly.kpxe", "snponly.efi", "bootnetx64.efi"
"""iPXE as firmware loads it: with the card's own driver, which every card that asked has. Nobody
signed it: under Secure Boot it is Debian's shim, which loads Debian's GRUB from beside it."""
SCRIPT = "{boot_url}/boot?mac=${{net0/mac:hexhyp}}&uuid=${{uuid}}"
"""iPXE fills in who it is."""


class BootHost(Frozen):
    """A network card that may boot here."""

    name: str
    mac: str
    address: str
    """The server's; of IPv6, those that it has while it boots."""
    signed: bool = False
    """It starts what is signed and nothing else."""


def boot_hosts(inventory: Inventory, site: str) -> Iterator[BootHost]:
    """Every known card of the site's servers: which of them a firmware tries is its own affair.

    The first card alone has the server's address; a second one would be given it twice.
    """
    for name, server in inventory.servers.items():
        if server.site != site:
            continue
        management = inventory.sites[site].subnets.management
        first = (server.boot_mac,) if server.boot_mac else ()
        known = (*first, *(server.learned.macs if server.learned else ()))
        for mac in dict.fromkeys(known):
            v4 = isinstance(management, IPv4Network)
            address = str(server.address) if v4 else _block(IPv6Network(management), mac)
            yield BootHost(name=name, mac=mac, address=address, signed=server.signed_boot)


def _block(network: IPv6Network, mac: str) -> str:
    """256 addresses that no other card is given: firmware, its PXE and iPXE each ask as somebody
    else (another IAID of RFC 8415) while the one before still has its lease."""
    own = 0xB0 << 56 | int(mac.replace(":", ""), 16) << 8
    return f"{network.network_address + own % network.num_addresses}/120"


def dnsmasq_text(
    templates: Templates,
    inventory: Inventory,
    site: str,
    *,
    dhcp: Dhcp,
    interface: str,
    listen: str,
    boot_url: str,
    tftp: str,
    leases: str,
    announce: IPv6Network | None = None,
) -> str:
    """What dnsmasq reads to answer the servers of `site` on `interface`.

    `listen`: our address there. `tftp`: the folder with iPXE. `announce`: a prefix for router
    advertisements. BadInput when no server of the site has a known card.
    """
    hosts = _one_each(boot_hosts(inventory, site))
    if not hosts:
        raise BadInput(
            "no server there has a known network card, so nobody would be answered",
            where=f"sites.{site}",
            mend="enrol its servers, or write boot_mac by hand",
        )
    subnets = inventory.sites[site].subnets
    management = subnets.management
    v4 = isinstance(management, IPv4Network)
    return templates.render(
        "pxe/dnsmasq.conf.j2",
        site=site,
        dhcp=dhcp,
        interface=interface,
        listen=listen,
        boot_url=boot_url,
        script=SCRIPT.format(boot_url=boot_url),
        bios=BIOS,
        efi=EFI,
        signed=SIGNED,
        network=_parts(management) if v4 else None,
        prefix=None if v4 else _parts(management),
        gateway=str(subnets.gateway),
        nameservers=[str(a) for a in subnets.nameservers or (subnets.gateway,)],
        announce=_parts(announce) if announce else None,
        tftp=tftp,
        leases=leases,
        hosts=hosts,
    )


def _one_each(hosts: Iterator[BootHost]) -> list[BootHost]:
    """One line a server: dnsmasq takes several cards for one address, one at a time."""
    cards: dict[str, BootHost] = {}
    for host in hosts:
        before = cards.get(host.name)
        cards[host.name] = (
            host.model_copy(update={"mac": f"{before.mac},{host.mac}"}) if before else host
        )
    return list(cards.values())


def _parts(network: IPv4Network | IPv6Network) -> dict[str, object]:
    return {
        "network": str(network.network_address),
        "netmask": str(network.netmask),
        "prefixlen": network.prefixlen,
    }
