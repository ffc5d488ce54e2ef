"""tayga of a site: each VM's IPv6 to its own IPv4 behind the gateway, and back.

Both gateways have the same map, so a connection does not care which of them it meets.
"""

from collections.abc import Iterator

from metal.network import nat64
from metal.network.view import View

STATE = "/var/spool/tayga"


def render_tayga(seen: View) -> str:
    lines = [
        f"# Gateways of site {seen.name}, rendered by metal: what is changed here by hand is lost.",
        f"tun-device {nat64.DEVICE}",
        f"ipv4-addr {nat64.translator(seen)}",
        f"ipv6-addr {seen.prefixes[0].vms[0x6464]}",
        f"prefix {nat64.PREFIX}",
        "# For those that are no VMs of ours, such as the pods of a Kubernetes cluster.",
        f"dynamic-pool {nat64.networks(seen)[-1]}",
        f"data-dir {STATE}",
        *_maps(seen),
    ]
    return "\n".join(lines) + "\n"


def _maps(seen: View) -> Iterator[str]:
    """VMs with an IPv4 of their own have none here: they leave by theirs, past the gateways."""
    for vm, has in seen.vms.items():
        if has.public_ipv4:
            continue
        for translated, own in zip(nat64.translated(seen, vm), seen.addresses6(vm), strict=True):
            if translated is not None:
                yield f"map {translated} {own}  # {vm}"


def render_nat64_unit(seen: View) -> str:
    """A systemd unit: the device and its routes, then the translator."""
    device, ip = nat64.DEVICE, "/usr/sbin/ip"
    tayga = "/usr/sbin/tayga --config /etc/metal/tayga.conf"
    routes = "\n".join(
        f"ExecStartPre={ip} route replace {network} dev {device}"
        for network in nat64.networks(seen)
    )
    return f"""\
# Gateways of site {seen.name}, rendered by metal: what is changed here by hand is lost.
[Unit]
Description=NAT64 of metal
After=network.target

[Service]
ExecStartPre=/usr/bin/mkdir -p {STATE}
ExecStartPre=-{tayga} --mktun
ExecStartPre={ip} link set {device} up
{routes}
ExecStartPre={ip} -6 route replace {nat64.PREFIX} dev {device}
ExecStart={tayga} --nodetach
ExecStopPost=-{tayga} --rmtun
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""
