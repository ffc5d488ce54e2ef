"""The files of VMs in pmxcfs, as root on a node reads and moves them."""

from __future__ import annotations

import re

from metal.drivers.commands import Result
from metal.lab.proxmox.state import Node, Vm

FILE = re.compile(r"/etc/pve/nodes/([^/]+)/qemu-server/(\d+)\.conf")
DONE = Result(0, b"", "")


def answer(node: Node, argv: list[str], now: float) -> Result | None:
    """None for a command that has nothing to do with them."""
    match argv:
        case ["cat", path] if FILE.fullmatch(path):
            vm = _at(node, path)
            if vm is None:
                return Result(1, b"", f"cat: {path}: No such file or directory\n")
            return Result(0, written(vm).encode(), "")
        case ["mv", path, to] if FILE.fullmatch(path) and FILE.fullmatch(to):
            return _move(node, path, to, now)
        case ["qm", "unlock", vmid]:
            vm = node.cluster.vms.get(int(vmid))
            if vm is None or vm.node != node.name:
                said = (
                    f"Configuration file 'nodes/{node.name}/qemu-server/{vmid}.conf' does not exist"
                )
                return Result(2, b"", f"{said}\n")
            vm.lock = ""
            return DONE
    return None


def written(vm: Vm) -> str:
    """As Proxmox writes it: notes first, then the options by name."""
    notes = str(vm.config.get("description", "")).splitlines()
    options = {k: v for k, v in vm.config.items() if k != "description"}
    if vm.lock:
        options["lock"] = vm.lock
    lines = [f"#{line}" for line in notes] + [f"{k}: {v}" for k, v in sorted(options.items())]
    return "\n".join(lines) + "\n"


def _at(node: Node, path: str) -> Vm | None:
    found = FILE.fullmatch(path)
    vm = node.cluster.vms.get(int(found[2])) if found else None
    return vm if found and vm and (vm.node, vm.kind) == (found[1], "qemu") else None


def _move(node: Node, path: str, to: str, now: float) -> Result:
    """For all nodes at once; nothing is written without quorum."""
    vm, target = _at(node, path), FILE.fullmatch(to)
    said = f"mv: cannot move '{path}' to '{to}'"
    if vm is None or target is None:
        return Result(1, b"", f"mv: cannot stat '{path}': No such file or directory\n")
    if not node.quorate(now):
        return Result(1, b"", f"{said}: Permission denied\n")
    if target[1] not in node.cluster.members or int(target[2]) != vm.vmid:
        return Result(1, b"", f"{said}: No such file or directory\n")
    vm.node = target[1]
    return DONE
