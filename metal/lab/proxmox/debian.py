"""A node while it is a plain Debian: the script that makes it a Proxmox VE host, as a double.

What the script does to a real machine is tested with the script; here is what follows from it:
parts that take their time, a kernel that runs only after a restart, an API that is there then.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from metal.drivers.commands import Result
from metal.lab.trials import Files, Trials

if TYPE_CHECKING:
    from metal.lab.proxmox.datacenter import Datacenter
    from metal.lab.proxmox.state import Node, Unit

INTERFACES = "/etc/network/interfaces"
CARDS = re.compile(r"^for card in (.*); do$", re.M)
NAME = re.compile(rb"^name='([a-z0-9-]+)'$", re.M)


def answer(dc: Datacenter, node: Node, argv: list[str], stdin: bytes) -> Result | None:
    """None for a command that has nothing to do with it."""
    match argv:
        case ["sh", "-c", script, "_", part, word] if "metal: part" in script:
            return _run_part(dc, node, part, stdin, anew=word == "anew")
        case ["sh", "-c", script] if "pve-ssl" in script:
            shown = f"sha256 Fingerprint={node.certificate.fingerprint}"
            return _said(shown if node.proxmox else "none")
        case ["sh", "-c", script, "_", address] if "metal: the card" in script:
            bridged = "vmbr0" in node.trials.files.get(INTERFACES, "")
            return _said(("vmbr0" if bridged else node.cards[0]) if address == node.address else "")
        case ["cat", "/proc/sys/kernel/random/boot_id"]:
            return _said(f"{node.name}-{node.lives}")
        case ["systemctl", "reboot"]:
            dc.restart(node, back=True)
            return _said("")
    return node.trials.answer(argv, stdin)


def _run_part(dc: Datacenter, node: Node, part: str, script: bytes, *, anew: bool) -> Result:
    from metal.lab.proxmox.state import Unit

    unit = node.units.get(part)
    if unit and unit.code is None and unit.life == node.lives:
        return _said("running")
    if unit and unit.code is not None and unit.script == script:
        if unit.code == 0:
            return _said("done")
        if not anew:
            return _said(f"failed {unit.code}\n{unit.said}")
    unit = node.units[part] = Unit(script, node.lives)
    dc.event(node.name, f"part {part} begun")
    dc.timeline.after(dc.pace.packages, lambda: _end(dc, node, part, unit))
    return _said("begun")


def _end(dc: Datacenter, node: Node, part: str, unit: Unit) -> None:
    if node.units.get(part) is not unit or unit.life != node.lives or not node.powered:
        return
    unit.said = _obstacle(dc, node, part, unit.script)
    unit.code = 1 if unit.said else 0
    if unit.said:
        return
    dc.event(node.name, f"part {part} done")
    if part == "kernel":
        node.kernels = (node.kernels[0], "pve")
    else:
        node.proxmox = True
        dc.listen_soon()


def _obstacle(dc: Datacenter, node: Node, part: str, script: bytes) -> str:
    name = NAME.search(script)
    if not name or name[1].decode() != node.name:
        return f"metal: it calls itself {node.name}"
    if dc.broken_packages:
        return f"E: {dc.broken_packages}"
    if part == "proxmox" and node.kernels[0] != "pve":
        return "metal: it runs 6.12.41+deb13-amd64, not yet Proxmox's kernel"
    return ""


def trials_of(dc: Datacenter, node: Node) -> Trials:
    """Its dead man's switch, for its network."""

    def unfit(check: str, _files: Files) -> str:
        cards = CARDS.search(check)
        missing = [card for card in cards[1].split() if card not in node.cards] if cards else []
        return f"it has no card {missing[0]}" if missing else ""

    def used(name: str, back: bool) -> str:
        if name == "corosync":
            return ""
        node.cabled = back or not node.miswired
        dc.event(node.name, "network taken back" if back else "network tried")
        return ""

    return Trials(unfit=unfit, used=used, later=dc.timeline.after)


def _said(text: str) -> Result:
    return Result(0, f"{text}\n".encode(), "")
