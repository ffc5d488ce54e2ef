"""tayga of a site: each VM's IPv6 to its own IPv4 behind the gateway, and back.

Both gateways have the same map, so a connection does not care which of them it meets.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address

from metal.network import nat64
from metal.network.view import View, bare

STATE = "/var/spool/tayga"


def render_tayga(seen: View) -> str:
    lines = [
        f"# Gateways of site {seen.name}, rendered by metal: what is changed here by hand is lost.",
        f"tun-device {nat64.DEVICE}",
        f"ipv4-addr {nat64.translator(seen.site)}",
        f"ipv6-addr {seen.prefixes[0].vms[0x6464]}",
        f"prefix {nat64.PREFIX}",
        "# For those that are no VMs of ours, such as the pods of a Kubernetes cluster.",
        f"dynamic-pool {nat64.translated_network(seen.site)}",
        f"data-dir {STATE}",
        *_maps(seen),
    ]
    return "\n".join(lines) + "\n"


def _maps(seen: View) -> Iterator[str]:
    """One IPv4 has one IPv6: while a site is renumbered the other addresses are dynamic.

    VMs with an IPv4 of their own have none here: they leave by theirs, past the gateways.
    """
    for vm, has in seen.vms.items():
        translated = nat64.translated(seen.site, IPv4Address(bare(has.private_ipv4)))
        if translated is not None and has.ipv6 and not has.public_ipv4:
            yield f"map {translated} {bare(has.ipv6)}  # {vm}"


def render_nat64_unit(seen: View) -> str:
    """A systemd unit: the device and its routes, then the translator."""
    device, ip = nat64.DEVICE, "/usr/sbin/ip"
    tayga = "/usr/sbin/tayga --config /etc/metal/tayga.conf"
    return f"""\
# Gateways of site {seen.name}, rendered by metal: what is changed here by hand is lost.
[Unit]
Description=NAT64 of metal
After=network.target

[Service]
ExecStartPre=/usr/bin/mkdir -p {STATE}
ExecStartPre=-{tayga} --mktun
ExecStartPre={ip} link set {device} up
ExecStartPre={ip} route replace {nat64.translated_network(seen.site)} dev {device}
ExecStartPre={ip} -6 route replace {nat64.PREFIX} dev {device}
ExecStart={tayga} --nodetach
ExecStopPost=-{tayga} --rmtun
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""
