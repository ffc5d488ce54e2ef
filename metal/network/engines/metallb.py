"""MetalLB's address pools for the Kubernetes clusters on a site's VMs: one for each range.

IPv4 from the ranges the inventory keeps free; IPv6 by rule, 256 addresses of the VMs' network a
range, below those that VMs get. On one link MetalLB answers for them itself (L2).
"""

from collections.abc import Iterator
from ipaddress import IPv4Address

from metal.network.sites import spans
from metal.network.view import View

FIRST6, SIZE6 = 0x1000, 0x100


def render_metallb(seen: View) -> str:
    """Kubernetes objects; empty without ranges."""
    ranges = spans(seen.site.subnets.metallb)
    if not ranges:
        return ""
    lines = [f"# Site {seen.name}, rendered by metal: what is changed here by hand is lost."]
    for number, (low, high) in enumerate(ranges):
        lines += [*_object("IPAddressPool", f"{seen.name}-{number}"), "  addresses:"]
        lines.append(f"  - {IPv4Address(low)}-{IPv4Address(high)}")
        lines += [f"  - {span}" for span in _ipv6(seen, number)]
    lines += [*_object("L2Advertisement", seen.name), "  ipAddressPools:"]
    lines += [f"  - {seen.name}-{number}" for number in range(len(ranges))]
    return "\n".join(lines) + "\n"


def _object(kind: str, name: str) -> list[str]:
    return [
        "---",
        "apiVersion: metallb.io/v1beta1",
        f"kind: {kind}",
        "metadata:",
        f"  name: {name}",
        "  namespace: metallb-system",
        "spec:",
    ]


def _ipv6(seen: View, number: int) -> Iterator[str]:
    first = FIRST6 + SIZE6 * number
    for prefix in seen.prefixes:
        yield f"{prefix.vms[first]}-{prefix.vms[first + SIZE6 - 1]}"
