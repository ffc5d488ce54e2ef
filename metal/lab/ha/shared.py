"""What a cluster's HA manager and agents share through pmxcfs: configuration, status, locks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

LOCK = 120.0
"""Seconds that a lock lives without being renewed."""


class Exit(IntEnum):
    """How an agent's work for a service ended."""

    SUCCESS = 0
    ERROR = 1
    WRONG_NODE = 2
    TRY_AGAIN = 3


@dataclass
class Resource:
    """A service as configured."""

    node: str
    """Where its configuration file is."""
    state: str = "stopped"
    """started, stopped, disabled or ignored."""
    max_restart: int = 1
    max_relocate: int = 1
    failback: bool = True


@dataclass
class Service:
    """A service as the master sees it."""

    state: str
    node: str
    uid: str = ""
    """Names one order to the agent: its result carries it."""
    target: str = ""
    command: tuple[str, str] | None = None
    """(migrate or relocate, target) that a person asked for."""
    failed_nodes: list[str] = field(default_factory=list)
    """Where it could not be started, since it last ran."""
    maintenance_node: str = ""
    """Where it goes back to when that node comes out of maintenance."""


@dataclass
class Agent:
    """What an agent last told."""

    mode: str = "unknown"
    """active, maintenance, restart or shutdown."""
    results: dict[str, Exit] = field(default_factory=dict)
    """uid → how it ended."""


@dataclass
class Shared:
    """One cluster's part of pmxcfs."""

    resources: dict[str, Resource] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    shutdown_policy: str = "conditional"
    services: dict[str, Service] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    """Node → online, maintenance, unknown, fence or gone."""
    agents: dict[str, Agent] = field(default_factory=dict)
    maintenance: set[str] = field(default_factory=set)
    """Nodes for which a person asked for maintenance."""
    commands: list[tuple[str, str, str]] = field(default_factory=list)
    """(migrate or relocate, service, target), not obeyed yet."""
    master: str = ""
    locks: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Name → (owner, when it was renewed)."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def uid(self) -> str:
        return f"order-{next(self._numbers)}"

    def lock(self, name: str, owner: str, now: float) -> bool:
        """Take or renew it; a lock whose owner was silent for LOCK seconds is free."""
        holder, since = self.locks.get(name, (owner, now))
        if holder != owner and now - since <= LOCK:
            return False
        self.locks[name] = (owner, now)
        return True

    def release(self, name: str, owner: str) -> None:
        if self.locks.get(name, ("", 0.0))[0] == owner:
            del self.locks[name]


MANAGER_LOCK = "manager"


def agent_lock(node: str) -> str:
    return f"agent {node}"


@dataclass(frozen=True)
class Rule:
    """A rule of /etc/pve/ha/rules.cfg."""

    name: str
    kind: str
    """node-affinity or resource-affinity."""
    resources: frozenset[str]
    nodes: tuple[tuple[str, int], ...] = ()
    """(node, priority), the higher the better."""
    strict: bool = False
    affinity: str = ""
    """positive or negative."""
