"""What must hold in the world whatever metal does. Checked by the world's own record."""

from __future__ import annotations

from collections.abc import Callable

from metal.lab.storms.rack import Rack, Trio

PROMISED = 600.0
"""Seconds within which a VM runs again where its cluster was fit all the while: Proxmox's HA needs
120 to 187, metal some 100."""


class Broken(AssertionError):
    """A law was broken."""


class Laws:
    def __init__(self, rack: Rack, able: Callable[[str], bool] = lambda _cluster: True) -> None:
        """`able`: whether a watcher could recover what runs in a cluster that has no HA: nothing
        was promised for the day on which it, too, is cut off."""
        self._rack, self._able = rack, able
        self._excused: set[str] = set()
        """VMs that were down while nobody could restart them: they come when they come."""
        self._fit: dict[str, float] = dict.fromkeys(rack.clusters, 0.0)
        self._down: dict[str, float] = {}
        self.fenced = 0
        self.longest = 0.0
        """Seconds that a VM of a fit cluster was down at most."""

    def look(self) -> None:
        """After everything that happens, and as time goes on."""
        rack = self._rack
        for name, trio in rack.clusters.items():
            fit = any(trio.quorate(node) for node in trio.members)
            if not fit:
                self._fit[name] = rack.now
            by_ha = trio.shared.resources if isinstance(trio, Trio) else ()
            able: bool | None = None
            for vm in trio.vmids:
                copies = rack.copies(vm)
                if len(copies) > 1:
                    raise Broken(f"{vm} runs on {' and '.join(copies)} at once")
                alive = any(rack.on_site(box) for box in copies)
                since = self._down.setdefault(vm, rack.now)
                if alive:
                    del self._down[vm]
                    self._excused.discard(vm)
                    continue
                if vm not in by_ha:
                    if able is None:  # asked only where something is down: it reads the store
                        able = fit and self._able(name)
                    if not able:
                        self._excused.add(vm)
                if vm in self._excused:
                    continue
                down = rack.now - max(since, self._fit[name])
                self.longest = max(self.longest, down)
                if down > PROMISED:
                    raise Broken(f"{vm} has been down for {down:.0f} s, its cluster fit meanwhile")

    def promised(self, vm: str) -> bool:
        """Whether it is metal's, and nobody else's, to see that it runs again."""
        return vm not in self._excused

    def fence(self, name: str) -> None:
        """metal switches a server off."""
        rack = self._rack
        trio = next(t for t in rack.clusters.values() if name in t.members)
        if rack.on_site(name) and trio.quorate(name):
            raise Broken(f"{name} was switched off while it was well")
        self.fenced += 1

    def fresh(self, seconds: float) -> None:
        """Time leapt over while all was well."""
        self._fit = {name: at + seconds for name, at in self._fit.items()}
