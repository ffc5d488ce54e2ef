"""Proxmox's firewall in the wires lab: there is no Proxmox, so the rendered rules are translated.

What is tested of them is what they let through, not that Proxmox reads them so.
"""

import re

from metal.lab.wires.machine import Machine
from metal.network.tree import Tree

RULE = re.compile(r"^IN ACCEPT -i (net\d)(?: -p (\w+))?(?: -dport ([\d:]+))?(?: #.*)?$", re.M)


def wall(machine: Machine, tree: Tree, site: str, number: int) -> None:
    """Nothing where the tree has no file for this VM."""
    file = tree.files.get(f"{site}/firewall/{number}.fw")
    if file is None:
        return
    assert "policy_in: DROP" in file.text
    rules = []
    for card, protocol, ports in RULE.findall(file.text):
        match = f'iifname "{card}"'
        if ports:
            match += f" {protocol} dport {ports.replace(':', '-')}"
        elif protocol:
            match += f" meta l4proto {protocol}"
        rules.append(f"{match} accept")
    chain = "type filter hook prerouting priority -150; policy drop;"
    lines = [chain, "ct state established,related accept", 'iifname "lo" accept', *rules]
    text = "table inet wall {\n chain in {\n  " + "\n  ".join(lines) + "\n }\n}\n"
    machine.run("nft", "-f", "-", stdin=text)
