"""What an inventory may say, and what comes to nothing as it stands: no mistake, for the next
enrolment may change it, and nobody who heals the fleet is to be stopped by it."""

from collections.abc import Iterator
from pathlib import Path

from metal.inventory.loading import nearby
from metal.inventory.mistakes import Mistake
from metal.inventory.reading import Source, read
from metal.model.fleet import Inventory


def doubts(workspace: Path, inventory: Inventory) -> tuple[Mistake, ...]:
    """Servers whose memory was not learned, and VMs that are too large for any place they may
    have; each where it stands in inventory.toml."""
    source = read(nearby(workspace) / "inventory.toml")
    if isinstance(source, Mistake):
        return (source,)
    return tuple(sorted({*_dark(source, inventory), *_too_large(source, inventory)}))


def _dark(source: Source, inventory: Inventory) -> Iterator[Mistake]:
    for name, server in inventory.servers.items():
        if server.learned is not None and server.learned.memory_gib is None:
            what = f"nobody told how much memory {name} has: no VM is placed on it"
            mend = f"`metal enroll {name}` asks again; or write `memory_gib` here"
            yield source.at_key(("servers", name, "learned"), what, mend)


def _too_large(source: Source, inventory: Inventory) -> Iterator[Mistake]:
    for name, vm in inventory.vms.items():
        clusters = [vm.cluster] if vm.cluster else _open(inventory)
        rooms = [_room(inventory, cluster) for cluster in clusters]
        needs = inventory.needs(name)
        if vm.adopted or not rooms or None in rooms:
            continue
        most = max(room for room in rooms if room is not None)
        if needs.memory_mib > most * 1024:
            path = ("vms", name, "memory_gib")
            if vm.memory_gib is None:
                path = ("vms", name, "size")
            where = vm.cluster or "any cluster"
            what = (
                f"{name} needs {needs.memory_mib / 1024:g} GiB of memory, and no place in {where}"
            )
            what += f" has more than {most:g} GiB for a VM, with room to restart it"
            yield source.at_value(path, what, "less memory for it, or more for two servers there")


def _open(inventory: Inventory) -> list[str]:
    """Clusters that a VM may come to which names none."""
    return [n for n, c in inventory.clusters.items() if c.restarts and not c.only_pinned]


def _room(inventory: Inventory, cluster: str) -> float | None:
    """GiB that one VM can have there: it must fit on a second server, too, where one restarts it.
    None where the memory of a server is not known."""
    rooms: list[float] = []
    for name in inventory.clusters[cluster].servers:
        learned = inventory.servers[name].learned
        if learned is None or learned.memory_gib is None:
            return None
        rooms.append(learned.memory_gib - inventory.profile(name).reserved_memory_gib)
    rooms.sort()
    return max(0, rooms[-2] if inventory.clusters[cluster].restarts else rooms[-1])
