"""The HA manager of one cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metal.lab.proxmox.state import Cluster, Node

if TYPE_CHECKING:
    from metal.lab.proxmox.datacenter import Datacenter


class Ha:
    def __init__(self, dc: Datacenter, cluster: Cluster) -> None:
        self.resources: dict[str, dict[str, Any]] = {}
        self.rules: dict[str, dict[str, Any]] = {}

    def has(self, vmid: int) -> bool:
        return f"vm:{vmid}" in self.resources

    def state(self, vmid: int) -> str:
        return ""

    def command(self, what: str, sid: str, target: str) -> None: ...
    def woke(self, node: Node) -> None: ...
    def forget(self, name: str) -> None: ...

    def truth(self) -> dict[str, Any]:
        return {}
