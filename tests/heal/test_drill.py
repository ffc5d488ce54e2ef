"""`metal drill`: a death rehearsed on doubles of the cluster as it is."""

from collections.abc import Callable

import pytest

from metal.cli.render.drill import drill_lines, drills_lines
from metal.lab.rehearsal import Drill, rehearse, rehearse_each, rehearse_site
from metal.lab.storms.fleet import fleet
from metal.lab.storms.laws import PROMISED
from metal.model.errors import BadInput, Refused
from metal.model.fleet import Inventory, LibvirtAccess
from metal.model.life import Life
from metal.model.world import SeenCluster, SeenHa, SeenServer, SeenVm, World


def world(inventory: Inventory, ha: SeenHa | None = None, **homes: str) -> World:
    up = SeenServer(life=Life.MEMBER, power="on", health="ok", node="online")
    return World(
        servers=dict.fromkeys(inventory.servers, up),
        clusters={c: SeenCluster(formed=True, quorate=True, ha=ha) for c in inventory.clusters},
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


def test_every_server_dies_in_turn_on_a_world_that_is_whole_again() -> None:
    inventory = fleet()
    alone = inventory.clusters["duna"].model_copy(update={"servers": ("duna1",)})
    inventory = inventory.model_copy(update={"clusters": inventory.clusters | {"duna": alone}})
    seen = world(inventory, alba_1="alba1", alba_2="alba2", brio_1="brio1", cala_1="cala3")
    found = rehearse_each(inventory, seen)
    assert [one.server for one in found.servers] == [
        s for s in inventory.servers if not s.startswith("duna")
    ]
    assert set(found.skipped) == {"duna1", "duna2", "duna3"}
    back = {one.server: set(one.vms) for one in found.servers if one.vms}
    assert back == {
        "alba1": {"alba-1"}, "alba2": {"alba-2"}, "brio1": {"brio-1"}, "cala3": {"cala-1"},
    }  # fmt: skip
    assert all(one == rehearse(inventory, seen, one.server) for one in found.servers[:2])


def test_a_site_that_goes_dark_is_acted_on_by_nobody_and_alarmed() -> None:
    inventory = fleet()
    seen = world(inventory, alba_1="alba1", brio_1="brio2", cala_1="cala1")
    found = rehearse_site(inventory, seen, "lisbon")
    assert found.verdict == "site-trouble"
    assert found.noticed is not None and found.noticed <= 60
    assert (found.proven, found.vms, found.down) == (None, {}, ("alba-1", "brio-1"))
    with pytest.raises(Refused, match="nothing is known to run there"):
        rehearse_site(inventory, seen, "porto")


def test_it_is_told_a_line_a_vm(golden: Callable[[str, str], None]) -> None:
    inventory = fleet()
    seen = world(inventory, SeenHa(managed=(100,)), alba_1="alba1", alba_2="alba1", cala_1="cala3")
    untold = rehearse(inventory, world(inventory, alba_1="alba1"), "alba1")
    every = rehearse_each(inventory, seen)
    small = Drill(servers=every.servers[:2], skipped={"brio1": "it stands alone"})
    dark = rehearse_site(inventory, seen, "utrecht")
    golden(
        "drill.txt",
        "\n".join([*drills_lines(small), "", *drill_lines(dark), "", *drill_lines(untold)]) + "\n",
    )


def test_it_is_the_same_each_time() -> None:
    inventory = fleet()
    seen = world(inventory, alba_1="alba1", alba_2="alba1")
    assert rehearse(inventory, seen, "alba1") == rehearse(inventory, seen, "alba1")


def test_what_cannot_be_rehearsed_is_refused() -> None:
    inventory = fleet()
    with pytest.raises(BadInput, match="no such server"):
        rehearse(inventory, world(inventory), "nobody1")
    with pytest.raises(Refused, match="not seen online"):
        rehearse(inventory, World(), "alba1")


def test_what_ha_does_not_manage_metal_starts_once_ha_has_seen_to_its_own() -> None:
    inventory = fleet()
    seen = world(inventory, SeenHa(managed=(100,)), alba_1="alba1", alba_2="alba1")
    found = rehearse(inventory, seen, "alba1")
    assert found.by_metal == ("alba-2",) and not found.untold
    by_ha, by_metal = found.vms["alba-1"], found.vms["alba-2"]
    assert {by_ha[0], by_metal[0]} <= {"alba2", "alba3"} and not found.down
    assert by_ha[1] <= by_metal[1] <= PROMISED
    none_managed = rehearse(inventory, world(inventory, SeenHa(), alba_1="alba1"), "alba1")
    assert none_managed.vms["alba-1"][1] < by_ha[1], "no HA is waited for"


def test_on_libvirt_metal_itself_restarts_and_asks_no_real_ceph() -> None:
    """Its blocklist is told over SSH: a rehearsal must not reach for that."""
    inventory = fleet()
    access = LibvirtAccess(ceph=True)
    brio = inventory.clusters["brio"].model_copy(update={"libvirt": access})
    inventory = inventory.model_copy(update={"clusters": inventory.clusters | {"brio": brio}})
    found = rehearse(inventory, world(inventory, brio_1="brio1", brio_2="brio1"), "brio1")
    assert set(found.vms) == {"brio-1", "brio-2"} and not found.down
    assert {at for at, _ in found.vms.values()} <= {"brio2", "brio3"}
