"""A node while it is a plain Debian: the script that makes it a Proxmox VE host, as a double.

What the script does to a real machine is tested with the script; here is what follows from it:
parts that take their time, a kernel that runs only after a restart, an API that is there then.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from metal.drivers.commands import Result

if TYPE_CHECKING:
    from metal.lab.proxmox.datacenter import Datacenter
    from metal.lab.proxmox.state import Node, Unit

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
            bridged = "vmbr0" in node.interfaces
            return _said(("vmbr0" if bridged else node.cards[0]) if address == node.address else "")
        case ["sh", "-c", script, "_", seconds, *cards] if "metal: try" in script:
            return _try_network(dc, node, stdin.decode(), cards, float(seconds))
        case ["sh", "-c", script] if "metal: keep" in script:
            return _keep_network(node, stdin.decode())
        case ["cat", "/proc/sys/kernel/random/boot_id"]:
            return _said(f"{node.name}-{node.lives}")
        case ["systemctl", "reboot"]:
            dc.restart(node, back=True)
            return _said("")
    return None


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


def _try_network(dc: Datacenter, node: Node, text: str, cards: list[str], seconds: float) -> Result:
    if missing := [card for card in cards if card not in node.cards]:
        return _said(f"missing {missing[0]}")
    if text == node.interfaces and node.interfaces_before is None:
        return _said("same")
    if node.interfaces_before is None:
        node.interfaces_before = node.interfaces
    node.interfaces, node.cabled = text, not node.miswired
    node.trial += 1
    dc.event(node.name, "network tried")
    trial = node.trial
    dc.timeline.after(seconds, lambda: _take_back(dc, node, trial))
    return _said("trying")


def _take_back(dc: Datacenter, node: Node, trial: int) -> None:
    if node.trial == trial and node.interfaces_before is not None:
        node.interfaces, node.interfaces_before = node.interfaces_before, None
        node.cabled = True
        dc.event(node.name, "network taken back")


def _keep_network(node: Node, text: str) -> Result:
    if node.interfaces != text:
        return _said("back")
    node.interfaces_before = None
    return _said("kept")


def _said(text: str) -> Result:
    return Result(0, f"{text}\n".encode(), "")
