"""What is placed as one: a VM, or the VMs that stay together, by the first name of them."""

from collections.abc import Mapping

from metal.model.fleet import Inventory
from metal.model.world import World
from metal.schedule.survival import Item
from metal.schedule.wishes import guest_of, members, together_sets

At = tuple[str, str]
"""(cluster, server)"""


class Together:
    """The wishes of VMs as wishes of what is placed as one. `where` is live: VM → where it is."""

    def __init__(self, inventory: Inventory, world: World, where: Mapping[str, At]) -> None:
        self._vms = inventory.vms
        self._world = world
        self._where = where
        self._sets = together_sets(inventory.vms)
        self._members = members(self._sets)
        self._inventory = inventory
        self._items: dict[str, Item] = {}
        self._pins: dict[str, str | None] = {}
        self._units: dict[str, tuple[str, ...]] = {}
        self._wishful = frozenset(
            self.first(vm) for vm, wanted in inventory.vms.items() if wanted.home or wanted.prefers
        )
        """Most have neither: asked of each of thousands, that is to cost nothing."""
        self._groups: dict[str, set[str]] = {}
        for vm, wanted in inventory.vms.items():
            if wanted.apart:
                self._groups.setdefault(wanted.apart, set()).add(vm)

    def first(self, vm: str) -> str:
        return self._sets.get(vm, vm)

    def unit(self, first: str) -> tuple[str, ...]:
        """Those of it that are not there yet."""
        found = self._units.get(first)
        if found is None:
            found = self._units[first] = self._unit(first)
        return found

    def _unit(self, first: str) -> tuple[str, ...]:
        if first not in self._members:
            return (first,)
        new = (vm for vm in self._members[first] if vm not in self._world.vms)
        return tuple(vm for vm in new if self._vms[vm].adopted is None)

    def item(self, first: str) -> Item:
        """Those of it that are not there yet, as they are placed."""
        if first not in self._items:
            those = [guest_of(self._inventory, vm, self._sets) for vm in self.unit(first)]
            self._items[first] = Item.of(those)
        return self._items[first]

    def anchor(self, first: str) -> str | None:
        """The server where others of its set run."""
        for vm in self._members.get(first, ()):
            if vm in self._world.vms:
                return self._world.vms[vm].server
        return None

    def clash(self, first: str) -> str:
        """Why no server can be right: those of its set run, or are pinned, in several places."""
        if first not in self._members:
            return ""
        run = [vm for vm in self._members[first] if vm in self._world.vms]
        servers = {self._world.vms[vm].server for vm in run}
        if len(servers) > 1:
            return f"{', '.join(run)} stay together and run on {', '.join(sorted(servers))}"
        pins = {self._vms[vm].cluster for vm in self.unit(first)} - {None}
        pins |= {self._world.vms[vm].cluster for vm in run}
        if len(pins) > 1:
            return f"those it stays together with are in {', '.join(sorted(map(str, pins)))}"
        return ""

    def pin(self, first: str) -> str | None:
        """The cluster it must be in: where it is pinned, or where its set runs already."""
        if first not in self._pins:
            self._pins[first] = self._pin(first)
        return self._pins[first]

    def _pin(self, first: str) -> str | None:
        for vm in self._members.get(first, (first,)):
            at = self._where.get(vm) if vm in self._world.vms else None
            pin = at[0] if at else self._vms[vm].cluster
            if pin is not None:
                return pin
        return None

    def prefers(self, first: str) -> tuple[str, ...]:
        """Clusters, the best first."""
        if first not in self._wishful:
            return ()
        return tuple(dict.fromkeys(c for vm in self.unit(first) for c in self._vms[vm].prefers))

    def home(self, first: str) -> tuple[str, ...]:
        """Servers where HA would bring it, the best first."""
        if first not in self._wishful:
            return ()
        return tuple(dict.fromkeys(s for vm in self.unit(first) for s in self._vms[vm].home))

    def others(self, vm: str) -> list[str]:
        """The others of its replica group, by name."""
        group = self._vms[vm].apart
        return sorted(self._groups[group] - {vm}) if group else []

    def mates_of(self, vm: str) -> list[At]:
        """Where the placed others of its replica group are."""
        return [self._where[o] for o in self.others(vm) if o in self._where]

    def mates(self, first: str) -> list[At]:
        return [at for vm in self.unit(first) for at in self.mates_of(vm)]
