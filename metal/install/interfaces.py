"""The installed system's /etc/network/interfaces, until its cluster is formed. Pure."""

from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from metal.install.answers import Answers

CARD = "@card@"
"""In it: the name that the installed system gives the card."""


def place(answers: Answers) -> IPv4Interface | IPv6Interface:
    """The address with its prefix length."""
    return ip_interface(f"{answers.address}/{answers.netmask}")


def interfaces(answers: Answers) -> str:
    """As netcfg writes it, but that netcfg knows no VLAN."""
    name = f"vlan{answers.vlan}" if answers.vlan else CARD
    where = place(answers)
    lines = (
        "source /etc/network/interfaces.d/*",
        "",
        "auto lo",
        "iface lo inet loopback",
        "",
        f"auto {name}" if answers.vlan else f"allow-hotplug {name}",
        f"iface {name} {'inet' if where.version == 4 else 'inet6'} static",
        *_tagged(name, answers.vlan),
        f"\taddress {where.with_prefixlen}",
        f"\tgateway {answers.gateway}",
        f"\tdns-nameservers {' '.join(answers.nameservers)}",
        f"\tdns-search {answers.domain}",
    )
    return "".join(f"{line}\n" for line in lines)


def resolver(answers: Answers) -> str:
    """Its /etc/resolv.conf."""
    servers = "".join(f"nameserver {address}\n" for address in answers.nameservers)
    return f"search {answers.domain}\n{servers}"


def _tagged(name: str, vlan: int | None) -> Iterator[str]:
    """ifupdown2 makes it by the first two lines, ifupdown by the others. CARD.VLAN, which both
    know, can be longer than the 15 characters that Linux allows."""
    if vlan is not None:
        yield f"\tvlan-raw-device {CARD}"
        yield f"\tvlan-id {vlan}"
        yield f"\tpre-up ip link set dev {CARD} up"
        made = f"ip link add link {CARD} name {name} type vlan id {vlan}"
        yield f"\tpre-up [ -e /sys/class/net/{name} ] || {made}"
