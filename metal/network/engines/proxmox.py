"""Proxmox's own firewall for VMs with a public address of their own: no gateway is before them.

One file a VM, /etc/pve/firewall/VMID.fw, and it acts on `net1`, the card of the public address.
The other card is the gateways' business.
"""

from collections.abc import Iterator

from metal.model.walls import WallRule
from metal.network.view import View

DATACENTER = """\
# Rendered by metal: what is changed here by hand is lost.
# Without `enable` here no VM's firewall acts. The hosts' own ports stay as they are.
[OPTIONS]
enable: 1
policy_in: ACCEPT
policy_out: ACCEPT
"""


def firewalled(seen: View) -> dict[str, int]:
    """VM → its number, of those that need a file and have a number."""
    return {vm: seen.ids[vm] for vm, has in seen.vms.items() if has.public_ipv4 and vm in seen.ids}


def render_proxmox(seen: View, vm: str) -> str:
    lines = [
        f"# {vm}, rendered by metal: what is changed here by hand is lost.",
        "[OPTIONS]",
        "enable: 1",
        "policy_in: DROP",
        "policy_out: ACCEPT",
        "",
        "[RULES]",
        # `metal network apply` knows them by these comments, and leaves other rules alone.
        *(f"{rule.line} # {rule.comment}" for rule in wall_rules(seen, vm)),
    ]
    return "\n".join(lines) + "\n"


def wall_rules(seen: View, vm: str) -> tuple[WallRule, ...]:
    return tuple(dict.fromkeys(_rules(seen, vm)))


def _rules(seen: View, vm: str) -> Iterator[WallRule]:
    wanted = seen.inventory.vms[vm]
    yield WallRule(card="net0")
    yield WallRule(card="net1", protocol="icmp")
    if "ipsec" in wanted.needs:
        yield WallRule(card="net1", protocol="esp")
    for service in wanted.serves:
        ports = service.span.replace("-", ":")
        yield WallRule(card="net1", protocol=service.protocol, ports=ports)
