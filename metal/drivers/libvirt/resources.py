"""What a host has, and what of it is free."""

from typing import Any

from metal.drivers.libvirt.calls import libvirt
from metal.model.hypervisor import HostResources


def resources(connection: Any) -> HostResources:
    _model, memory, cpus, *_rest = connection.getInfo()
    version = connection.getVersion()
    return HostResources(
        threads=cpus,
        memory_mib=memory,
        memory_free_mib=min(memory, free_mib(connection)),
        version=f"{connection.getType()} {version // 10**6}.{version // 10**3 % 10**3}"
        f".{version % 10**3}",
    )


def free_mib(connection: Any) -> int:
    """The host's page cache is free: it goes when somebody wants the memory."""
    module = libvirt()
    try:
        stats = connection.getMemoryStats(module.VIR_NODE_MEMORY_STATS_ALL_CELLS)
    except module.libvirtError:
        return int(connection.getFreeMemory()) >> 20
    return sum(int(stats.get(kind, 0)) for kind in ("free", "buffers", "cached")) >> 10
