"""The Proxmox double on loopback, and a driver for it that is as impatient as its clock is fast."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metal.drivers.ports import Hypervisor
from metal.drivers.proxmox import NodeAccess, Patience, Proxmox
from metal.lab.clock import Clock
from metal.lab.proxmox import Datacenter

PORT = 18006
NET = f"127.77.{os.getpid() % 250}"
"""Two runs of the tests at once must not meet."""
NETWORK = f"{NET}.0/24"
PATIENCE = Patience(
    connect=1, answer=5, poll=0.02, task=10, quorum=10, start=10, migrate=10, lock=3
)


def password_of(node: str) -> str:
    return f"root-{node}"


class Lab:
    """Three nodes with three disks each, the first of them the system's."""

    nodes = ("alba1", "alba2", "alba3")
    network = NETWORK

    def __init__(self, folder: Path, speed: float) -> None:
        self.clock = Clock(speed)
        self.datacenter = Datacenter(self.clock, folder)
        self.access: dict[str, NodeAccess] = {}
        for number, name in enumerate(self.nodes, 1):
            self.add(name, f"{NET}.{number}")

    def add(self, name: str, address: str, **options: Any) -> None:
        handle = self.datacenter.add_node(
            name,
            address,
            memory_gib=64,
            threads=16,
            disks=["sda", "sdb", "sdc"],
            root_password_check=lambda given: given == password_of(name),
            port=PORT,
            **options,
        )
        self.access[name] = NodeAccess(address, PORT, handle.fingerprint)
        self.datacenter.power_on(name)

    def driver(
        self,
        *nodes: str,
        password: Callable[[str], str] = password_of,
        **options: Any,
    ) -> Proxmox:
        access = {n: self.access[n] for n in nodes or self.nodes}
        given: dict[str, Any] = {"cluster": "alba", "patience": PATIENCE, **options}
        made = Proxmox(access, password=password, **given)
        checked: Hypervisor = made
        assert checked is made
        return made

    def form(self) -> Proxmox:
        """One cluster with Ceph and the VMs' pool."""
        driver = self.driver()
        driver.ensure_created("alba", "alba1")
        for node in ("alba2", "alba3"):
            driver.ensure_joined(node, "alba1")
        for node in self.nodes:
            driver.ensure_ceph(node, first=node == "alba1", network=NETWORK)
            driver.ensure_osd(node, "sdb")
        driver.ensure_pool("vms")
        return driver

    def events(self, what: str) -> list[str]:
        """Where something happened, as often as it did."""
        return [e["where"] for e in self.datacenter.truth()["events"] if what in e["what"]]
