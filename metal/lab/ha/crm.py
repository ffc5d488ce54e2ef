"""The cluster resource manager of one node: master, slave, or waiting."""

from __future__ import annotations

from metal.lab.ha.manager import Manager
from metal.lab.ha.shared import MANAGER_LOCK, Shared
from metal.lab.ha.world import World


class Crm:
    """One node's; its memory goes with its power."""

    def __init__(self, world: World, shared: Shared, node: str) -> None:
        self._world, self._shared, self._node = world, shared, node
        self._manager = Manager(world, shared, node)
        self.state = "startup"
        self.ending = False
        self._turn("wait_for_quorum")

    def round(self) -> bool:
        """False once it has ended."""
        if self.ending:
            self._leave()
            return False
        self._transit()
        if self.state == "master":
            self._shared.master = self._node
            self._manager.round()
        return True

    def _transit(self) -> None:
        if self.state == "master" and not self._take():
            self._turn("lost_manager_lock")
        if self.state == "lost_manager_lock":
            if self._world.quorate(self._node):
                self._turn("master" if self._take() else "slave")
            else:
                self._turn("wait_for_quorum")
        elif self.state in ("wait_for_quorum", "slave"):
            wanted = "wait_for_quorum"
            if self._needed():
                wanted = "master" if self._take() else "slave"
            if wanted != self.state:
                self._turn(wanted)

    def _needed(self) -> bool:
        """It idles until there is something to manage."""
        shared = self._shared
        return self._world.quorate(self._node) and bool(
            shared.resources or shared.services or shared.maintenance
        )

    def _take(self) -> bool:
        held = self._world.quorate(self._node) and self._shared.lock(
            MANAGER_LOCK, self._node, self._world.now
        )
        if held:
            self._world.watchdog(self._node, "crm", armed=True)
        return held

    def _leave(self) -> None:
        self._world.log(f"{self._node}/crm", "exit (loop end)")
        if self.state != "lost_manager_lock":
            self._world.watchdog(self._node, "crm", armed=False)
        if self._world.quorate(self._node):
            self._shared.release(MANAGER_LOCK, self._node)

    def _turn(self, state: str) -> None:
        self._world.log(f"{self._node}/crm", f"status change {self.state} => {state}")
        self.state = state
