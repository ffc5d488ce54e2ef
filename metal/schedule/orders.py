"""In which order VMs are placed, and how bad it is that some are left over."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from metal.model.fleet import Inventory

Order = Callable[[Inventory, Sequence[str]], tuple[object, ...]]
"""Of VMs that stay together, mostly one: the lower the sooner."""


def _by_priority(inventory: Inventory, unit: Sequence[str]) -> tuple[object, ...]:
    return min(_importance(inventory, vm) for vm in unit)


def _pinned_first(inventory: Inventory, unit: Sequence[str]) -> tuple[object, ...]:
    return (not _pinned(inventory, unit), *_by_priority(inventory, unit))


def _biggest_first(inventory: Inventory, unit: Sequence[str]) -> tuple[object, ...]:
    alone = all(inventory.vms[vm].apart is None for vm in unit)
    memory = sum(inventory.needs(vm).memory_mib for vm in unit)
    return (not _pinned(inventory, unit), alone, -memory, min(unit))


def _biggest_one_first(inventory: Inventory, unit: Sequence[str]) -> tuple[object, ...]:
    """As if the largest of them were alone: for once that leaves less over."""
    return min(_biggest_first(inventory, (vm,)) for vm in unit)


def _importance(inventory: Inventory, vm: str) -> tuple[int, int, str]:
    return -inventory.vms[vm].priority, -inventory.needs(vm).memory_mib, vm


def _pinned(inventory: Inventory, unit: Sequence[str]) -> bool:
    return any(inventory.vms[vm].cluster is not None for vm in unit)


ORDERS: tuple[Order, ...] = (_by_priority, _pinned_first, _biggest_first, _biggest_one_first)


def loss(inventory: Inventory, left: Iterable[str]) -> list[tuple[int, int]]:
    """The priorities left over, highest first, each with its VMs' memory in MiB: to be as low as
    can be."""
    memory = Counter[int]()
    for vm in left:
        memory[inventory.vms[vm].priority] += inventory.needs(vm).memory_mib
    return sorted(memory.items(), reverse=True)
