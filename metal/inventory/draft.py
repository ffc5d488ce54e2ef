"""An inventory being read: the parts that are well formed, and every mistake found so far.

A part with a mistake is left out of its dict but stays declared, so that one mistake does not
bring forth a dozen "unknown server" behind it.
"""

import re
from dataclasses import dataclass, field
from typing import Any, get_args

from metal.inventory.mistakes import Mistake
from metal.inventory.positions import Path
from metal.inventory.reading import Source
from metal.model.balance import BalancePolicy
from metal.model.fleet import (
    Administrator,
    Cluster,
    Fleet,
    Name,
    Server,
    ServerProfile,
    Site,
    Tang,
    Vm,
    VmSize,
)
from metal.model.watch import Hook, WatchPolicy

NAME = re.compile(get_args(Name)[1].pattern)


@dataclass
class Draft:
    source: Source
    """inventory.toml"""
    mistakes: list[Mistake] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    """What tomllib read, sections under their right names."""
    declared: dict[str, list[str]] = field(default_factory=dict)
    """Section → every name in it, well formed or not, in the file's order."""
    fleet: Fleet | None = None
    administrators: dict[str, Administrator] = field(default_factory=dict)
    sites: dict[str, Site] = field(default_factory=dict)
    servers: dict[str, Server] = field(default_factory=dict)
    clusters: dict[str, Cluster] = field(default_factory=dict)
    vms: dict[str, Vm] = field(default_factory=dict)
    profiles: dict[str, ServerProfile] = field(default_factory=dict)
    sizes: dict[str, VmSize] = field(default_factory=dict)
    tang: dict[str, Tang] = field(default_factory=dict)
    watch: WatchPolicy = field(default_factory=WatchPolicy)
    balance: BalancePolicy = field(default_factory=BalancePolicy)
    alarms: dict[str, Hook] = field(default_factory=dict)

    def add(self, section: str, name: str, model: Any) -> None:
        getattr(self, section)[name] = model

    def written(self, path: Path) -> Any:
        """What stands at `path`, well formed or not; None if nothing does."""
        found: Any = self.data
        for part in path:
            try:
                found = found[part]
            except (KeyError, IndexError, TypeError):
                return None
        return found

    def at_value(self, path: Path, what: str, mend: str = "") -> None:
        """A mistake at a value of inventory.toml."""
        self.mistakes.append(self.source.at_value(path, what, mend))

    def at_key(self, path: Path, what: str, mend: str = "") -> None:
        """A mistake at a key or header of inventory.toml."""
        self.mistakes.append(self.source.at_key(path, what, mend))

    def site_of(self, cluster: str) -> str | None:
        """The site of the cluster's first well-formed server."""
        servers = self.clusters[cluster].servers if cluster in self.clusters else ()
        return next((self.servers[s].site for s in servers if s in self.servers), None)
