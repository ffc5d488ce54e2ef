"""In which order VMs are placed, and how bad it is that some are left over."""

from collections.abc import Callable, Iterable

from metal.model.fleet import Inventory

Order = Callable[[Inventory, str], tuple[object, ...]]


def _by_priority(inventory: Inventory, vm: str) -> tuple[object, ...]:
    return (-inventory.vms[vm].priority, -inventory.needs(vm).memory_mib, vm)


def _pinned_first(inventory: Inventory, vm: str) -> tuple[object, ...]:
    return (inventory.vms[vm].cluster is None, *_by_priority(inventory, vm))


def _biggest_first(inventory: Inventory, vm: str) -> tuple[object, ...]:
    wanted = inventory.vms[vm]
    return (wanted.cluster is None, wanted.apart is None, -inventory.needs(vm).memory_mib, vm)


ORDERS: tuple[Order, ...] = (_by_priority, _pinned_first, _biggest_first)


def loss(inventory: Inventory, left: Iterable[str]) -> list[int]:
    """The priorities left over, highest first: to be as low as can be."""
    return sorted((inventory.vms[vm].priority for vm in left), reverse=True)
