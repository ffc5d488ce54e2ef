"""Proxmox's own firewall for VMs with a public address of their own: no gateway is before them.

One file a VM, /etc/pve/firewall/VMID.fw, and it acts on `net1`, the card of the public address.
The other card is the gateways' business.
"""

from collections.abc import Iterator

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
        *_rules(seen, vm),
    ]
    return "\n".join(lines) + "\n"


def _rules(seen: View, vm: str) -> Iterator[str]:
    wanted = seen.inventory.vms[vm]
    yield "IN ACCEPT -i net0"
    yield "IN ACCEPT -i net1 -p icmp"
    if "ipsec" in wanted.needs:
        yield "IN ACCEPT -i net1 -p esp"
    for service in wanted.serves:
        yield f"IN ACCEPT -i net1 -p {service.protocol} -dport {service.span.replace('-', ':')}"
