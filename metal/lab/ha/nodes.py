"""What the master thinks of each node, and how it fences one."""

from __future__ import annotations

from metal.lab.ha.shared import Shared, agent_lock
from metal.lab.ha.world import World

FENCE_DELAY = 60.0
"""Seconds that a node must be lost before its services count as lost."""
GONE = 3600.0
"""Seconds after which a node that is no member any more is forgotten."""


class Nodes:
    """A master's memory; what others must know is in the shared status."""

    def __init__(self, world: World, shared: Shared, me: str) -> None:
        self._world, self._shared, self._me = world, shared, me
        self._seen: dict[str, float] = {}

    def update(self) -> None:
        now, shared = self._world.now, self._shared
        members = self._world.node_names()
        for node in sorted(members):
            self._seen.setdefault(node, now)
            if self._world.online(node):
                self._meet(node)
                self._seen[node] = now
        for node in sorted(shared.nodes):
            if node not in members or not self._world.online(node):
                self._miss(node, node in members)

    def _meet(self, node: str) -> None:
        state = self._shared.nodes.setdefault(node, "unknown")
        agent = self._shared.agents.get(node)
        mode = agent.mode if agent else "unknown"
        if state == "online" and mode == "maintenance":
            self._turn(node, "maintenance")
        elif (state == "maintenance" and mode not in ("maintenance", "unknown")) or (
            state in ("unknown", "gone")
        ):
            self._turn(node, "online")

    def _miss(self, node: str, member: bool) -> None:
        state = self._shared.nodes[node]
        if state == "online":
            self._turn(node, "unknown")
        elif state == "unknown" and not member and self._silence(node) > GONE:
            self._turn(node, "gone")

    def _silence(self, node: str) -> float:
        return self._world.now - self._seen.get(node, self._world.now)

    def online(self) -> list[str]:
        return sorted(node for node, state in self._shared.nodes.items() if state == "online")

    def lost(self, node: str) -> bool:
        """Long enough that what ran there counts as lost."""
        state = self._shared.nodes.get(node, "unknown")
        return state != "online" and self._silence(node) >= FENCE_DELAY

    def fence(self, node: str) -> bool:
        """Whether it is fenced: its agent's lock is ours, so its watchdog has fired or it is well
        behaved; either way nothing of it runs."""
        if self._shared.nodes.get(node) != "fence":
            self._turn(node, "fence")
            self._say(f"FENCE: Try to fence node '{node}'")
        if not self._shared.lock(agent_lock(node), f"manager {self._me}", self._world.now):
            return False
        self._say(f"fencing: acknowledged - got agent lock for node '{node}'")
        self._turn(node, "unknown")
        self._say(f"SUCCEED: fencing: acknowledged - got agent lock for node '{node}'")
        return True

    def _turn(self, node: str, state: str) -> None:
        old = self._shared.nodes.get(node, "unknown")
        self._shared.nodes[node] = state
        self._say(f"node '{node}': state changed from '{old}' => '{state}'")

    def _say(self, what: str) -> None:
        self._world.log(f"{self._me}/crm", what)
