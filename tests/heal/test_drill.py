"""`metal drill`: a death rehearsed on doubles of the cluster as it is."""

import pytest

from metal.lab.rehearsal import rehearse
from metal.lab.storms.fleet import fleet
from metal.lab.storms.laws import PROMISED
from metal.model.errors import BadInput, Refused
from metal.model.fleet import Inventory, LibvirtAccess
from metal.model.life import Life
from metal.model.world import SeenCluster, SeenServer, SeenVm, World


def world(inventory: Inventory, **homes: str) -> World:
    up = SeenServer(life=Life.MEMBER, power="on", health="ok", node="online")
    return World(
        servers=dict.fromkeys(inventory.servers, up),
        clusters={c: SeenCluster(formed=True, quorate=True) for c in inventory.clusters},
        vms={
            vm.replace("_", "-"): SeenVm(
                vmid=100 + n, cluster=home[:-1], server=home, state="running"
            )
            for n, (vm, home) in enumerate(homes.items())
        },
    )


def test_each_of_its_vms_runs_elsewhere_after_the_proof_and_in_time() -> None:
    inventory = fleet()
    seen = world(inventory, alba_1="alba1", alba_2="alba1", alba_3="alba2", brio_1="brio1")
    found = rehearse(inventory, seen, "alba1")
    assert set(found.vms) == {"alba-1", "alba-2"}
    assert found.down == ()
    assert found.noticed is not None and found.proven is not None
    assert found.noticed <= found.proven
    for at, after in found.vms.values():
        assert at in ("alba2", "alba3")
        assert found.noticed <= after <= PROMISED


def test_it_is_the_same_each_time() -> None:
    inventory = fleet()
    seen = world(inventory, alba_1="alba1", alba_2="alba1")
    assert rehearse(inventory, seen, "alba1") == rehearse(inventory, seen, "alba1")


def test_what_cannot_be_rehearsed_is_refused_with_the_way_that_can() -> None:
    inventory = fleet()
    with pytest.raises(BadInput, match="no such server"):
        rehearse(inventory, world(inventory), "nobody1")
    with pytest.raises(Refused, match="not seen online"):
        rehearse(inventory, World(), "alba1")
    alba = inventory.clusters["alba"].model_copy(update={"libvirt": LibvirtAccess()})
    own = inventory.model_copy(update={"clusters": inventory.clusters | {"alba": alba}})
    with pytest.raises(Refused, match="metal itself restarts") as refused:
        rehearse(own, world(own), "alba1")
    assert "--engine namespaces" in refused.value.mend
