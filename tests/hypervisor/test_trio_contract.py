"""The contract over the libvirt driver, against three real libvirtd with QEMU: the trio."""

from collections.abc import Iterator
from typing import Any

import pytest

from metal.drivers.ports import Hypervisor
from metal.model.errors import MetalError

from .contract import Contract

pytestmark = pytest.mark.lab


class TrioBed:
    storage, memory_mib = "vms", 128
    moves = True
    shuts_down = False  # its guest heeds it once it has booted: tests/trio/ waits for that

    def __init__(self, trio: Any) -> None:
        self._trio = trio
        self.nodes = tuple(trio.servers)
        self.driver: Hypervisor = trio.driver()

    def another(self) -> Hypervisor:
        driver: Hypervisor = self._trio.driver()
        return driver

    def starts(self, vmid: int) -> None:
        running = [vm for s in self._trio.truth()["servers"].values() for vm in s["vms"]]
        assert len(running) == len(set(running)), "one runs twice"

    def kill(self, node: str) -> None:
        self._trio.break_(node, "crash")

    def clear(self) -> None:
        for server in self._trio.servers:
            self._trio.break_(server, "repair")
        for vm in list(self.driver.look()[2].values()):
            try:
                self.driver.ensure_off(vm.vmid)
                self.driver.ensure_removed(vm.vmid)
            except MetalError as error:
                raise AssertionError(f"not cleared: {error}") from error


class TestTrio(Contract):
    @pytest.fixture
    def bed(self, trio: Any) -> Iterator[TrioBed]:
        made = TrioBed(trio)
        yield made
        made.clear()
