"""The contract over the Proxmox driver, against the double."""

from typing import Any

import pytest

from metal.drivers.ports import Forms, Hypervisor

from .contract import Contract, make, reached_by


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


def test_what_people_wrote_in_the_notes_stays(lab: Any) -> None:
    bed = DoubleBed(lab)
    make(bed, addressing=reached_by("192.0.2.2"), ha=True)
    api = bed.driver._api  # type: ignore[attr-defined]
    path = f"nodes/{bed.nodes[0]}/qemu/101/config"
    notes = str(api.get(path)["description"])
    api.put(path, {"description": f"{notes}\n\nAsk Bruno before you restart it."})
    bed.driver.ensure_described(101, "git", reached_by("192.0.2.3"))
    told = str(api.get(path)["description"])
    assert "192.0.2.3 tcp/22 is forwarded here" in told and "192.0.2.2" not in told
    assert told.endswith("Ask Bruno before you restart it.")


def test_what_it_is_reached_by_is_known_when_its_node_is_dead(lab: Any) -> None:
    bed = DoubleBed(lab)
    make(bed, addressing=reached_by("192.0.2.2"), ha=True)
    bed.driver.ensure_described(101, "git", reached_by("192.0.2.3"))
    comment = bed.driver._api.get("cluster/ha/resources/vm:101")["comment"]  # type: ignore[attr-defined]
    assert comment == "metal: git 10.11.128.5/20 2001:db8:11::5/64 via=192.0.2.3"
