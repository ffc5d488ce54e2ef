"""Whether a VM may move live between two servers, as far as the inventory tells.

What only the servers themselves know (bridges, storages, versions, memory that is free now) is
asked through the driver: `obstacles` of its port.
"""

from metal.model.cpus import HOST
from metal.model.fleet import Inventory


def unlike(inventory: Inventory, vm: str, source: str, target: str) -> str:
    """Why the VM cannot take its processor along; empty when it can.

    A VM with the server's own processor ("host") moves between equal ones only, and nobody knows
    that of servers whose processors have no name.
    """
    if vm not in inventory.vms or inventory.vms[vm].cpu != HOST:
        return ""
    here, there = _processor(inventory, source), _processor(inventory, target)
    if here is not None and here == there:
        return ""
    return (
        f'it has its server\'s own processor (cpu = "host"): {here or "not known"} on {source}, '
        f"{there or 'not known'} on {target}"
    )


def _processor(inventory: Inventory, server: str) -> str | None:
    learned = inventory.servers[server].learned
    return learned.cpu if learned else None
