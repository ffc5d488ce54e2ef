"""Clusters that grow old: upgraded server by server, left, a dead server replaced."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from metal.controller import ageing
from metal.controller.applying import apply
from metal.controller.forming import form_plan
from metal.controller.look import look
from metal.controller.planning import make_plan
from metal.controller.progress import silent
from metal.drivers.proxmox.nodeshell import NodeShell
from metal.lab.proxmox.shell import NEWEST, Shell
from metal.model.errors import Failed, Refused, Unreachable
from metal.model.ha import home_rule
from metal.model.hypervisor import Checked
from metal.model.life import Life
from metal.operations.switching import Switching
from metal.schedule.wishes import ha_wishes

from .conftest import INSTALLED as NODES
from .conftest import NET, PORT, SERVER


class Off:
    """A switch that pulls the power of a node of the double."""

    by = "its plug"

    def __init__(self, datacenter: Any, name: str) -> None:
        self._dc, self._name = datacenter, name

    def ensure_power(self, wanted: str) -> None:
        assert wanted == "off"
        self._dc.power_off(self._name)

    def power(self) -> str:
        return str(self._dc.truth()["nodes"][self._name]["power"])

    def close(self) -> None:
        pass


class Grown:
    """A formed cluster of three with Ceph and four VMs, and root's shells on its servers."""

    def __init__(self, nodes: Any, workspace: Any) -> None:
        self.datacenter, self.workspace, self.nodes = nodes.datacenter, workspace, nodes
        self.shells = {name: Shell(nodes.datacenter, name) for name in (*NODES, "alba4")}

    def shell(self, name: str) -> NodeShell:
        return NodeShell(self.shells[name])

    def upgrade(self) -> dict[str, Any]:
        return ageing.upgrade_cluster(self.workspace, "alba", silent, self.shell)

    def truth(self, vmid: int) -> dict[str, Any]:
        return next(vm for vm in self.datacenter.truth()["vms"] if vm["vmid"] == vmid)

    def driver_of(self, name: str) -> Any:
        return self.nodes.driver._api.nodes[name]

    def until_ha_has_them_on(self, node: str, *vmids: int) -> None:
        """What HA is about to move makes every plan stale."""
        deadline = time.monotonic() + 20
        while any(self.nodes.driver.where(vmid) != (node, "running") for vmid in vmids):
            assert time.monotonic() < deadline

    def nothing_is_open(self) -> bool:
        return self.workspace.store.journal.list(open_only=True) == []

    def let_in(self) -> set[str]:
        """Who may speak to everything on the hosts."""
        rows = self.driver_of("alba2").get("cluster/firewall/ipset/metal-peers")
        return {row["cidr"] for row in rows}

    def ran(self, word: str) -> list[str]:
        return [f"{n}: {c}" for n, shell in self.shells.items() for c in shell.ran if word in c]


@pytest.fixture
def grown(installed: Any, workspace: Any, monkeypatch: pytest.MonkeyPatch) -> Grown:
    file = workspace.folder / "inventory.toml"
    text = file.read_text()
    for n in range(4):
        text += f'\n[vms.vm{n}]\nsize = "small"\nwhy = "a test"\ncluster = "alba"\n'
    file.write_text(text)
    workspace.reload()
    disks = ", ".join(f'{{ name = "sd{d}", size_gib = 894 }}' for d in "abc")
    text = file.read_text()
    for name in NODES:
        learned = f"{{ memory_gib = 64, threads = 16, disks = [{disks}] }}"
        head = f"[servers.{name}]\n"
        text = text.replace(head, f"{head}learned = {learned}\n")
    file.write_text(text)
    workspace.reload()
    outcome = apply(workspace, make_plan(workspace, look(workspace)), progress=silent)
    assert outcome.failed == {}
    # One VM is not HA's: metal moves it itself.
    api = installed.driver._api
    api.delete("cluster/ha/resources/vm:103")

    def switches(_workspace: Any, server: str) -> Switching:
        return Switching(open=lambda _key, _why: Off(installed.datacenter, server))

    monkeypatch.setattr(ageing, "switching", switches)
    return Grown(installed, workspace)


# ── upgrades ─────────────────────────────────────────────────────────────────────────────────


def test_one_server_after_the_other(grown: Grown) -> None:
    before = {vmid: grown.truth(vmid)["starts"] for vmid in range(100, 104)}
    home = grown.truth(103)["node"]
    assert grown.upgrade()["versions"] == dict.fromkeys(NODES, NEWEST)
    reboots = [e["where"] for e in grown.datacenter.truth()["events"] if e["what"] == "reboot"]
    assert reboots == list(NODES)
    for vmid in range(100, 104):
        now = grown.truth(vmid)
        assert len(now["copies"]) == 1 and now["max_copies"] == 1
        assert now["starts"] == before[vmid], "it was moved live, never started anew"
    assert grown.truth(103)["node"] == home
    assert grown.datacenter.node_at("alba1").cluster.ceph.flags == set()
    assert grown.ran("node-maintenance disable") != []
    assert {grown.workspace.life(n) for n in NODES} == {Life.MEMBER}
    assert make_plan(grown.workspace, look(grown.workspace)).actions == ()


def test_it_stops_when_the_second_does_not_come_back(
    grown: Grown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Says so; the third is not touched; and once it is back the same command goes on."""
    monkeypatch.setattr(
        ageing.upgrade.UpgradePorts, "__init__", _impatient(ageing.upgrade.UpgradePorts.__init__)
    )
    grown.datacenter.stays_down.add("alba2")
    with pytest.raises(Failed) as stopped:
        grown.upgrade()
    assert "alba2: it did not come back" in stopped.value.what
    assert "No other server was touched" in stopped.value.what
    assert "metal cluster upgrade alba" in stopped.value.mend
    nodes = {name: grown.datacenter.node_at(name) for name in ("alba1", "alba3")}
    assert (nodes["alba1"].runs, nodes["alba3"].runs) == (NEWEST, "9.2.1")
    assert set(grown.shells["alba3"].ran) == {"true"}
    assert grown.workspace.life("alba2") is Life.DRAINING
    grown.datacenter.stays_down.clear()
    grown.datacenter.power_on("alba2")
    assert grown.upgrade()["versions"] == dict.fromkeys(NODES, NEWEST)


def _impatient(real: Callable[..., None]) -> Callable[..., None]:
    def init(self: Any, **more: Any) -> None:
        real(self, **{**more, "boot": 3.0})

    return init


def test_one_that_would_not_come_back_is_not_restarted(
    grown: Grown, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_workspace: Any, server: str) -> None:
        raise Refused("it would not come back from a reboot: no dropbear is in it", where=server)

    with monkeypatch.context() as patch:
        patch.setattr(ageing, "refuse_if_pinned", refuse)
        with pytest.raises(Failed, match="alba1: it would not come back"):
            grown.upgrade()
    assert [e for e in grown.datacenter.truth()["events"] if e["what"] == "reboot"] == []
    assert grown.upgrade()["versions"] == dict.fromkeys(NODES, NEWEST)


def test_a_server_that_waits_for_its_key_is_given_what_the_controller_holds(
    grown: Grown, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown.datacenter.stays_down.add("alba2")
    unlocked: list[str] = []

    def unlock(_workspace: Any, server: str) -> bool:
        if server == "alba2" and not unlocked:
            unlocked.append(server)
            grown.datacenter.stays_down.clear()
            grown.datacenter.power_on("alba2")
        return True

    monkeypatch.setattr(ageing, "unlock_held", unlock)
    assert grown.upgrade()["versions"] == dict.fromkeys(NODES, NEWEST)
    assert unlocked == ["alba2"]


def test_it_does_not_begin_while_something_is_wrong(grown: Grown) -> None:
    grown.nodes.driver._api.put("cluster/ceph/flags/norebalance", {"value": 1})
    with pytest.raises(Refused, match=r"not begun: Ceph is HEALTH_WARN \(OSDMAP_FLAGS"):
        grown.upgrade()
    grown.datacenter.power_off("alba2")
    with pytest.raises(Refused, match="not begun: alba2 is offline"):
        grown.upgrade()
    assert all(shell.ran == [] for shell in grown.shells.values()) and grown.nothing_is_open()


def test_packages_that_fail_stop_it(grown: Grown) -> None:
    grown.datacenter.broken_packages = "Unmet dependencies. Try 'apt --fix-broken install'"
    with pytest.raises(Failed, match="Unmet dependencies"):
        grown.upgrade()
    assert [e for e in grown.datacenter.truth()["events"] if e["what"] == "reboot"] == []
    assert set(grown.shells["alba2"].ran) == {"true"}


def test_without_ssh_nothing_is_set_aside(grown: Grown) -> None:
    with pytest.raises(Refused, match="its host key is not known") as told:
        ageing.upgrade_cluster(grown.workspace, "alba", silent)
    assert "metal keys pin alba1" in str(told.value) and grown.nothing_is_open()
    assert {grown.workspace.life(n) for n in NODES} == {Life.MEMBER}


def test_what_the_next_release_minds(grown: Grown) -> None:
    grown.datacenter.checklist = (
        "= CHECKING VERSION INFORMATION FOR PVE PACKAGES =\n\n"
        # In colours, as Proxmox's own script prints it to whoever reads.
        "\x1b[1;31mFAIL: proxmox-ve package is too old, please upgrade to >= 8.4.1!\n\x1b[0m"
        "\x1b[33mWARN: 2 running guest(s) detected - consider migrating or stopping them.\n\x1b[0m"
        "\x1b[32mPASS: no problems found.\n\x1b[0m\n= SUMMARY =\n\n"
    )
    for name in NODES[:2]:
        grown.datacenter.node_at(name).runs = "8.3.0"
    told = ageing.checklist(grown.workspace, "alba", grown.shell)
    assert set(told) == set(NODES)
    assert told["alba1"].fail == ("proxmox-ve package is too old, please upgrade to >= 8.4.1!",)
    assert (len(told["alba1"].warn), told["alba1"].runs) == (1, "8.3.0")
    assert told["alba3"] == Checked(runs="9.2.1") and grown.shells["alba3"].ran == []
    grown.datacenter.checklist = "PASS: no problems found.\n"
    with pytest.raises(Failed, match="did not come to its end"):
        ageing.checklist(grown.workspace, "alba", grown.shell)


# ── leaving and replacing ────────────────────────────────────────────────────────────────────


def test_three_servers_with_ceph_are_not_left_by_one(grown: Grown) -> None:
    # Said before its guests are: to move them would help nothing.
    with pytest.raises(Refused, match="Ceph keeps 3 copies") as told:
        ageing.leave_cluster(grown.workspace, "alba3", silent, grown.shell)
    assert "let another join first" in told.value.mend
    assert grown.nothing_is_open()


def newcomer(grown: Grown, name: str, address: str) -> None:
    """Another installed server, standing alone."""
    handle = grown.datacenter.add_node(
        name,
        address,
        memory_gib=64,
        threads=16,
        disks=["sda", "sdb", "sdc"],
        root_password_check=lambda given: given == "secret-root",
        port=PORT,
    )
    grown.datacenter.power_on(name)
    store = grown.workspace.store.servers
    if name not in grown.workspace.inventory.servers:
        file = grown.workspace.folder / "inventory.toml"
        text = file.read_text() + SERVER.format(name=name, address=address, port=PORT)
        file.write_text(f'{text}\n[clusters.{name}]\nservers = ["{name}"]\nceph = false\n')
        grown.workspace.reload()
    store.move(name, Life.ENROLLED)
    store.move(name, Life.INSTALLED)
    store.unpin(name)
    store.pin(name, handle.fingerprint)
    grown.workspace.secrets.escrow(f"root/{name}", "secret-root", controller=True)


@pytest.mark.parametrize("dead", ["alba1", "alba3"])
def test_a_dead_server_is_replaced_the_first_one_included(grown: Grown, dead: str) -> None:
    api = grown.nodes.driver._api
    file = grown.workspace.folder / "inventory.toml"
    head = "[vms.vm1]\n"
    file.write_text(file.read_text().replace(head, f'{head}home = ["{dead}", "alba2"]\n'))
    grown.workspace.reload()
    plan = make_plan(grown.workspace, look(grown.workspace))
    assert apply(grown.workspace, plan, progress=silent).failed == {}
    wish = {"type": "node-affinity", "nodes": f"{dead}:2,alba2:1", "resources": "vm:100"}
    api.post("cluster/ha/rules", {"rule": "home", **wish})
    if grown.truth(103)["node"] == dead:
        grown.nodes.driver.ensure_migrated(103, "alba2")
    grown.until_ha_has_them_on(dead, 100, 101)
    grown.nodes.driver.ensure_firewall((f"{NET}.0/24", "127.0.0.0/24"))
    addresses = {name: f"{NET}.{n}" for n, name in enumerate((*NODES, "alba4"), 1)}
    grown.datacenter.power_off(dead)
    newcomer(grown, "alba4", f"{NET}.4")
    ageing.replace_server(grown.workspace, dead, "alba4", silent, grown.shell)
    # Proxmox takes no wish for a server that it does not have yet.
    assert grown.workspace.inventory.vms["vm1"].home == ("alba4", "alba2")
    wishes = ha_wishes(grown.workspace.inventory, look(grown.workspace), "alba")
    assert wishes.home == {101: ("alba2",)}
    assert grown.let_in() == {addresses[name] for name in NODES if name != dead}
    grown.until_ha_has_them_on("alba2", 100, 101)
    outcome = apply(
        grown.workspace, form_plan(grown.workspace, look(grown.workspace), "alba"), progress=silent
    )
    assert outcome.failed == {}
    whole = sorted({*NODES, "alba4"} - {dead})
    truth = grown.datacenter.truth()["clusters"]["alba"]
    assert truth["members"] == whole
    assert truth["ceph"]["monitors"] == truth["ceph"]["managers"] == whole
    assert sorted({o["node"] for o in truth["ceph"]["osds"]}) == whole
    told = grown.driver_of("alba2").get("cluster/ha/rules")
    rules = {r["rule"]: r["nodes"] for r in told}
    assert rules == dict.fromkeys(("home", home_rule(101)), "alba4:2,alba2:1")
    inventory = grown.workspace.inventory
    assert sorted(inventory.clusters["alba"].servers) == whole
    assert inventory.clusters[dead].servers == (dead,)
    assert grown.workspace.life(dead) is Life.RETIRED
    assert {grown.workspace.life(n) for n in whole} == {Life.MEMBER}
    assert make_plan(grown.workspace, look(grown.workspace)).actions == ()
    forgotten = grown.datacenter.node_at("alba2").cluster.ceph.forgotten
    assert forgotten == [dead]


def test_a_new_machine_under_the_same_name(grown: Grown) -> None:
    if grown.truth(103)["node"] == "alba1":
        grown.nodes.driver.ensure_migrated(103, "alba2")
    grown.datacenter.power_off("alba1")
    ageing.replace_server(grown.workspace, "alba1", "alba1", silent, grown.shell)
    assert grown.workspace.life("alba1") is Life.FOUND
    newcomer(grown, "alba1", f"{NET}.1")
    plan = form_plan(grown.workspace, look(grown.workspace), "alba")
    assert apply(grown.workspace, plan, progress=silent).failed == {}
    truth = grown.datacenter.truth()["clusters"]["alba"]
    assert truth["members"] == list(NODES)
    assert truth["ceph"]["monitors"] == list(NODES)


def test_what_nobody_restarts_is_not_forgotten(grown: Grown) -> None:
    """Told before anything is touched, and not of what HA is about to restart."""
    stuck = grown.truth(103)["node"]
    managed = 100
    grown.nodes.driver.ensure_migrated(managed, stuck)
    look(grown.workspace)
    grown.datacenter.power_off(stuck)
    newcomer(grown, "alba4", f"{NET}.4")
    with pytest.raises(Refused, match=r"103 vm[0-3] is still there") as told:
        ageing.replace_server(grown.workspace, stuck, "alba4", silent, grown.shell)
    assert f"mv /etc/pve/nodes/{stuck}/qemu-server/103.conf" in told.value.mend
    assert "metal watch --act" in told.value.mend
    assert str(managed) not in str(told.value)
    assert all(shell.ran == [] for shell in grown.shells.values()) and grown.nothing_is_open()


def test_a_dead_servers_guests_are_told_by_name_whoever_made_them(grown: Grown) -> None:
    """HA's comment names what metal made; of the rest it is what the last looks have told."""
    api = grown.nodes.driver._api
    api.run("nodes/alba1/qemu", {"vmid": 9001, "name": "legacy", "memory": "512"})
    if grown.truth(103)["node"] != "alba1":
        grown.nodes.driver.ensure_migrated(103, "alba1")
    look(grown.workspace)
    grown.datacenter.power_off("alba1")
    while grown.nodes.driver.condition().nodes["alba1"]:
        look(grown.workspace)
    for _ in range(2):
        look(grown.workspace)  # the silence after its death wipes out nothing
    seen = {vm.vmid: name for name, vm in look(grown.workspace).vms.items()}
    assert seen[9001] == "legacy"
    with pytest.raises(Refused, match=r"103 vm[0-3], 9001 legacy are still there"):
        ageing.may_replace(grown.workspace, "alba1", "alba1")


def test_who_holds_the_cluster_is_told_before_anybody_is_asked(grown: Grown) -> None:
    journal = grown.workspace.store.journal
    held = journal.open("form", "alba", ("cluster alba",), {})
    asks: list[Callable[[], object]] = [
        lambda: ageing.may_leave(grown.workspace, "alba3"),
        lambda: ageing.may_replace(grown.workspace, "alba3", "alba3"),
        lambda: ageing.may_upgrade(grown.workspace, "alba", grown.shell),
    ]
    for ask in asks:
        with pytest.raises(Refused, match=rf"operation {held.id} \(form alba\) is open"):
            ask()
    assert [o.id for o in journal.list(open_only=True)] == [held.id]
    journal.cancel(held.id)
    # The same replacement by another server is another operation.
    begun = journal.open("cluster replace", "alba3", ("cluster alba",), {"heir": "alba3"})
    assert ageing.may_replace(grown.workspace, "alba3", "alba3") == "alba"
    newcomer(grown, "alba4", f"{NET}.4")
    with pytest.raises(Refused, match=f"metal run cancel {begun.id}"):
        ageing.may_replace(grown.workspace, "alba3", "alba4")


def test_what_ha_cannot_restart_is_not_forgotten(
    grown: Grown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is begun: what mends it needs the cluster."""
    grown.nodes.driver.ensure_migrated(103, "alba2")
    grown.nodes.driver.ensure_migrated(100, "alba1")
    for name in ("alba2", "alba3"):
        grown.shell(name).ensure_maintenance(name, on=True)
    grown.datacenter.power_off("alba1")
    monkeypatch.setattr(ageing.parting, "HA_TAKES", 0.1)
    with pytest.raises(Refused, match=r"HA has not restarted .*100 vm[0-3]") as told:
        ageing.replace_server(grown.workspace, "alba1", "alba1", silent, grown.shell)
    assert "ha-manager status" in told.value.mend and grown.nothing_is_open()


def test_one_that_is_well_is_not_replaced(grown: Grown) -> None:
    with pytest.raises(Refused, match=r"alba sees it online, with .*103") as told:
        server = grown.truth(103)["node"]
        ageing.replace_server(grown.workspace, server, server, silent, grown.shell)
    assert f"metal drain {server}" in told.value.mend
    assert f"metal fence {server}" in told.value.mend
    nodes = grown.datacenter.truth()["nodes"]
    assert {nodes[n]["power"] for n in NODES} == {"on"} and grown.nothing_is_open()


def test_one_that_came_back_meanwhile_is_not_switched_off(
    grown: Grown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replacement that stopped at a silent switch goes on days later: it looks again first."""
    grown.nodes.driver.ensure_migrated(103, "alba2")
    grown.datacenter.power_off("alba1")

    def silence(_switch: Off, _wanted: str = "") -> str:
        raise Unreachable("its plug does not answer", where="alba1")

    with monkeypatch.context() as silent_plug:
        silent_plug.setattr(Off, "power", silence)
        silent_plug.setattr(Off, "ensure_power", silence)
        silent_plug.setattr(ageing.parting, "TRIES", 1)
        with pytest.raises(Failed, match="its plug does not answer") as told:
            ageing.replace_server(grown.workspace, "alba1", "alba1", silent, grown.shell)
        assert "`metal fence alba1 --i-have-pulled-the-plug`" in str(told.value)
    grown.datacenter.power_on("alba1")
    deadline = time.monotonic() + 20
    while not grown.nodes.driver.condition().nodes["alba1"]:
        assert time.monotonic() < deadline
    with pytest.raises(Failed, match="alba1: its cluster sees it online again"):
        ageing.replace_server(grown.workspace, "alba1", "alba1", silent, grown.shell)
    assert grown.datacenter.truth()["nodes"]["alba1"]["power"] == "on"


def test_a_server_that_is_somewhere_else_cannot_take_its_place(grown: Grown) -> None:
    with pytest.raises(Refused, match="it is member"):
        ageing.may_replace(grown.workspace, "alba1", _another_site(grown))


def _another_site(grown: Grown) -> str:
    newcomer(grown, "alba4", f"{NET}.4")
    grown.workspace.store.servers.move("alba4", Life.MEMBER)
    return "alba4"


def test_a_fourth_server_leaves_again(grown: Grown, monkeypatch: pytest.MonkeyPatch) -> None:
    newcomer(grown, "alba4", f"{NET}.4")
    file = grown.workspace.folder / "inventory.toml"
    text = file.read_text().replace('"alba3"]', '"alba3", "alba4"]')
    file.write_text(text.replace('\n[clusters.alba4]\nservers = ["alba4"]\nceph = false\n', ""))
    grown.workspace.reload()
    plan = form_plan(grown.workspace, look(grown.workspace), "alba")
    assert apply(grown.workspace, plan, progress=silent).failed == {}
    grown.nodes.driver.ensure_firewall((f"{NET}.0/24", "127.0.0.0/24"))
    assert f"{NET}.4" in grown.let_in()
    grown.nodes.driver.ensure_migrated(103, "alba4")
    with pytest.raises(Refused, match="it still has 103") as told:
        ageing.leave_cluster(grown.workspace, "alba4", silent, grown.shell)
    assert "metal drain alba4" in str(told.value) and grown.nothing_is_open()
    grown.nodes.driver.ensure_migrated(103, "alba1")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as before_it_is_written, pytest.raises(KeyboardInterrupt):
        before_it_is_written.setattr(ageing, "edit", killed)
        ageing.leave_cluster(grown.workspace, "alba4", silent, grown.shell)
    ageing.leave_cluster(grown.workspace, "alba4", silent, grown.shell)
    truth = grown.datacenter.truth()
    assert not [e for e in truth["events"] if e["what"].startswith("osd destroyed before")]
    assert truth["clusters"]["alba"]["members"] == list(NODES)
    assert truth["clusters"]["alba"]["ceph"]["monitors"] == list(NODES)
    assert {o["node"] for o in truth["clusters"]["alba"]["ceph"]["osds"]} == set(NODES)
    assert truth["nodes"]["alba4"]["power"] == "off"
    assert grown.let_in() == {f"{NET}.{n}" for n in (1, 2, 3)}
    assert grown.workspace.inventory.clusters["alba4"].servers == ("alba4",)
    assert grown.workspace.life("alba4") is Life.RETIRED
    assert make_plan(grown.workspace, look(grown.workspace)).actions == ()


def test_a_renewed_certificate_is_vouched_for_by_the_others(grown: Grown) -> None:
    from metal.controller.node_pins import repin

    servers = grown.workspace.store.servers
    real = servers.get("alba2").node_fingerprint
    servers.unpin("alba2")
    servers.pin("alba2", ":".join(["AA"] * 32))

    def nobody(_old: str | None, _new: str) -> bool:
        raise AssertionError("nobody is asked")

    done = repin(grown.workspace, "alba2", nobody)
    assert (done.new, done.by != "", done.changed) == (real, True, True)
    assert servers.get("alba2").node_fingerprint == real
    assert not repin(grown.workspace, "alba2", nobody).changed


def test_the_recipe_is_of_this_cluster(grown: Grown) -> None:
    from metal.controller.recipe import recipe

    newcomer(grown, "alba4", f"{NET}.4")
    text = "\n".join(recipe(grown.workspace, "alba", "alba1", "alba4"))
    assert "ceph mon remove alba1" in text and "out of ceph.conf" in text
    assert "pvecm delnode alba1" in text and "alba2, alba3" in text
    assert "alba4 in the place of alba1 in alba" in text
    assert "now alba sees alba1 online" in text
