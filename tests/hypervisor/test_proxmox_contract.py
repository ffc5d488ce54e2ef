"""The contract over the Proxmox driver, against the double."""

from typing import Any

import pytest

from metal.drivers.ports import Forms, Hypervisor

from .contract import Contract


class DoubleBed:
    storage, memory_mib = "vms", 512
    moves = shuts_down = True

    def __init__(self, lab: Any) -> None:
        self._lab = lab
        self.nodes = lab.nodes
        self.driver: Hypervisor = lab.form()

    def another(self) -> Hypervisor:
        driver: Hypervisor = self._lab.driver()
        return driver

    def starts(self, vmid: int) -> int:
        vm = next(v for v in self._lab.datacenter.truth()["vms"] if v["vmid"] == vmid)
        assert vm["max_copies"] <= 1
        return int(vm["starts"])

    def kill(self, node: str) -> None:
        self._lab.datacenter.power_off(node)


class TestProxmox(Contract):
    @pytest.fixture
    def bed(self, lab: Any) -> DoubleBed:
        return DoubleBed(lab)


def test_it_forms_clusters(lab: Any) -> None:
    assert isinstance(lab.driver(), Forms)
