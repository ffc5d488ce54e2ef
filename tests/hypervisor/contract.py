"""What every hypervisor driver keeps, whichever it is: one suite, run over all of them.

A subclass names the fixture that makes its world: a `Bed` with hosts, a driver, and the means to
look behind the driver's back.
"""

from contextlib import suppress
from typing import Any, Protocol

import pytest

from metal.drivers.ports import Hypervisor
from metal.model.addresses import Addressing, Forward
from metal.model.errors import Failed, Refused, Unreachable
from metal.model.hypervisor import VmSpec

ADDRESSES = Addressing(
    treatment="ipv6",
    private_ipv4="10.11.128.5/20",
    ipv6="2001:db8:11::5/64",
    gateway4="10.11.128.1",
)
SEEN = ("10.11.128.5/20", "2001:db8:11::5/64")


def reached_by(public: str | None) -> Addressing:
    forwards = (Forward(public=public, protocol="tcp", port=22),) if public else ()
    return ADDRESSES.model_copy(update={"forwards": forwards})


class Bed(Protocol):
    """A world for one test."""

    nodes: tuple[str, ...]
    driver: Hypervisor
    storage: str
    memory_mib: int
    moves: bool
    """Whether it can migrate at all: libvirt's test driver cannot."""
    shuts_down: bool
    """Whether its guests heed the power button."""

    def another(self) -> Hypervisor:
        """A second driver for the same world, as after a restart of metal."""

    def starts(self, vmid: int) -> int | None:
        """How often the VM was really started; None where nobody counts."""

    def kill(self, node: str) -> None:
        """Its power is cut."""


def spec(bed: Bed, vmid: int, name: str) -> VmSpec:
    return VmSpec(
        vmid=vmid,
        name=name,
        vcpus=1,
        memory_mib=bed.memory_mib,
        disk_gib=1,
        storage=bed.storage,
        addressing=ADDRESSES,
    )


def make(bed: Bed, vmid: int = 101, name: str = "git", *, node: str = "", **other: Any) -> None:
    wanted = spec(bed, vmid, name)
    given = {field: getattr(wanted, field) for field in VmSpec.model_fields}
    bed.driver.ensure_vm(**(given | {"node": node or bed.nodes[0], "ha": False} | other))


class Contract:
    """Every test twice where it can be: what is done already is done."""

    def test_it_tells_what_it_can(self, bed: Bed) -> None:
        can = bed.driver.capabilities
        assert can.kind in type(bed.driver).__module__
        assert not (can.restarts and can.restarted), "never two that restart"

    def test_nothing_there_is_seen_as_nothing(self, bed: Bed) -> None:
        cluster, nodes, vms = bed.driver.look()
        assert cluster.formed is True
        assert cluster.quorate is True
        assert nodes == dict.fromkeys(bed.nodes, "online")
        assert set(cluster.nodes) == set(bed.nodes)
        assert "git" not in vms
        assert bed.driver.silent == {}

    def test_a_host_tells_what_it_has(self, bed: Bed) -> None:
        has = bed.driver.resources(bed.nodes[0])
        assert has.threads >= 1
        assert 0 <= has.memory_free_mib <= has.memory_mib
        assert has.version

    def test_a_vm_is_made_once_and_started_once(self, bed: Bed) -> None:
        for _ in range(2):
            make(bed)
        assert bed.driver.where(101) == (bed.nodes[0], "stopped")
        for _ in range(2):
            bed.driver.ensure_started(101)
        assert bed.driver.where(101) == (bed.nodes[0], "running")
        seen = bed.driver.look()[2]["git"]
        assert (seen.vmid, seen.server, seen.state) == (101, bed.nodes[0], "running")
        assert seen.addresses == SEEN
        assert seen.memory_mib == bed.memory_mib
        assert bed.starts(101) in (1, None)

    def test_another_driver_finds_what_one_made(self, bed: Bed) -> None:
        make(bed)
        other = bed.another()
        other.ensure_started(101)
        assert bed.driver.where(101) == other.where(101) == (bed.nodes[0], "running")

    def test_what_it_is_reached_by_is_kept_at_the_vm(self, bed: Bed) -> None:
        """When it is made, when it changes, whether it runs or not; its cards are left alone."""
        make(bed, addressing=reached_by("192.0.2.2"))
        assert bed.driver.look(thorough=True)[2]["git"].shared == "192.0.2.2"
        for public in ("192.0.2.3", "192.0.2.4", None):
            for _ in range(2):
                bed.driver.ensure_described(101, "git", reached_by(public))
            seen = bed.another().look(thorough=True)[2]["git"]
            assert (seen.shared, seen.addresses) == (public, SEEN)
            bed.driver.ensure_started(101)
        with pytest.raises(Failed, match="there is no VM 999"):
            bed.driver.ensure_described(999, "none", ADDRESSES)

    def test_an_id_that_another_vm_has_is_refused(self, bed: Bed) -> None:
        make(bed)
        with pytest.raises(Refused, match="VM 101 is 'git', not 'mail'"):
            make(bed, 101, "mail")

    def test_a_storage_that_is_not_there_is_told_with_those_that_are(self, bed: Bed) -> None:
        with pytest.raises(Failed, match=r"no stor.*'nowhere'"):
            make(bed, storage="nowhere")

    def test_its_power_is_cut(self, bed: Bed) -> None:
        make(bed)
        bed.driver.ensure_started(101)
        for _ in range(2):
            bed.driver.ensure_off(101)
        assert bed.driver.where(101) == (bed.nodes[0], "stopped")
        bed.driver.ensure_started(101)
        assert bed.driver.where(101)[1] == "running"

    def test_its_system_shuts_down_when_asked(self, bed: Bed) -> None:
        if not bed.shuts_down:
            pytest.skip("its guest does not heed the power button")
        make(bed)
        bed.driver.ensure_started(101)
        for _ in range(2):
            bed.driver.ensure_shut_down(101)
        assert bed.driver.where(101)[1] == "stopped"

    def test_one_that_runs_is_not_removed(self, bed: Bed) -> None:
        make(bed)
        bed.driver.ensure_started(101)
        with pytest.raises(Refused, match="stop it first"):
            bed.driver.ensure_removed(101)
        bed.driver.ensure_off(101)
        for _ in range(2):
            bed.driver.ensure_removed(101)
        assert "git" not in bed.driver.look()[2]
        with pytest.raises(Failed, match="there is no VM 101"):
            bed.driver.where(101)

    def test_a_vm_that_is_not_there_is_told(self, bed: Bed) -> None:
        for call in (bed.driver.where, bed.driver.ensure_started, bed.driver.ensure_off):
            with pytest.raises(Failed, match="there is no VM 999"):
                call(999)

    def test_a_running_vm_moves_live(self, bed: Bed) -> None:
        if not bed.moves:
            pytest.skip("this world cannot migrate")
        make(bed)
        bed.driver.ensure_started(101)
        assert bed.driver.obstacles(101, bed.nodes[2]) == ()
        for _ in range(2):
            bed.driver.ensure_migrated(101, bed.nodes[2])
        assert bed.driver.obstacles(101, bed.nodes[2]) == (), "it is there"
        assert bed.driver.where(101) == (bed.nodes[2], "running")
        assert bed.starts(101) in (1, None), "moved, not restarted"

    def test_a_stopped_vm_moves_as_it_is(self, bed: Bed) -> None:
        if len(bed.nodes) == 1:
            pytest.skip("there is nowhere to go")
        make(bed)
        for _ in range(2):
            bed.driver.ensure_migrated(101, bed.nodes[1])
        assert bed.driver.where(101) == (bed.nodes[1], "stopped")
        bed.driver.ensure_started(101)
        assert bed.driver.where(101) == (bed.nodes[1], "running")

    def test_what_a_dead_node_had_is_unknown_and_nothing_is_restarted(self, bed: Bed) -> None:
        if len(bed.nodes) == 1:
            pytest.skip("alone, nobody is left to tell")
        make(bed)
        bed.driver.ensure_started(101)
        bed.kill(bed.nodes[0])
        cluster, nodes, vms = bed.driver.look()
        assert nodes == dict(zip(bed.nodes, ("offline", "online", "online"), strict=True))
        assert cluster.quorate is True
        assert bed.nodes[0] in bed.driver.silent or cluster.formed
        if "git" in vms:
            assert (vms["git"].server, vms["git"].state) == (bed.nodes[0], "unknown")
        with suppress(Unreachable):  # where each host speaks for itself, nobody knows
            assert bed.driver.where(101) == (bed.nodes[0], "unknown")

    def test_nothing_moves_to_a_dead_node(self, bed: Bed) -> None:
        if len(bed.nodes) == 1:
            pytest.skip("there is nowhere to go")
        make(bed)
        bed.driver.ensure_started(101)
        bed.kill(bed.nodes[2])
        with pytest.raises(Refused, match=f"cannot move to {bed.nodes[2]}"):
            bed.driver.ensure_migrated(101, bed.nodes[2])
        assert bed.driver.where(101) == (bed.nodes[0], "running")

    def test_whoever_restarts_after_a_fence_is_one(self, bed: Bed) -> None:
        if len(bed.nodes) == 1:
            pytest.skip("there is nowhere to go")
        make(bed)
        bed.driver.ensure_started(101)
        vm = spec(bed, 101, "git")
        if not bed.driver.capabilities.restarted:
            with pytest.raises(Refused, match="HA"):
                bed.driver.ensure_restarted(vm, bed.nodes[1], bed.nodes[0])
            return
        bed.kill(bed.nodes[0])
        for _ in range(2):
            bed.driver.ensure_restarted(vm, bed.nodes[1], bed.nodes[0])
        assert bed.driver.where(101) == (bed.nodes[1], "running")

    def test_a_host_that_runs_it_was_not_fenced(self, bed: Bed) -> None:
        if len(bed.nodes) == 1 or not bed.driver.capabilities.restarted:
            pytest.skip("HA does that here, or nobody")
        make(bed)
        bed.driver.ensure_started(101)
        with pytest.raises(Refused, match="was said to be off"):
            bed.driver.ensure_restarted(spec(bed, 101, "git"), bed.nodes[1], bed.nodes[0])
        assert bed.driver.where(101) == (bed.nodes[0], "running")

    def test_while_a_third_host_is_silent_nothing_is_restarted(self, bed: Bed) -> None:
        if len(bed.nodes) == 1 or not bed.driver.capabilities.restarted:
            pytest.skip("HA does that here, or nobody")
        make(bed)
        bed.kill(bed.nodes[0])
        bed.kill(bed.nodes[2])
        with pytest.raises(Unreachable, match=bed.nodes[2]):
            bed.driver.ensure_restarted(spec(bed, 101, "git"), bed.nodes[1], bed.nodes[0])
