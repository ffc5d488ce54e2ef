"""A cluster that ran before metal: adopted, its first plan is empty, and it is ours from then."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from metal.cli.render.plan import plan_lines
from metal.controller.adopting import Adopting, Credential
from metal.controller.applying import apply
from metal.controller.look import look
from metal.controller.planning import drain_plan, make_plan
from metal.controller.progress import silent
from metal.drivers.proxmox import tokens
from metal.inventory import load
from metal.model.errors import BadInput, Refused
from metal.model.life import Life

from .conftest import BARE, NET, PORT

NODES = ("pve1", "pve2", "pve3")
AGENT = [
    {
        "name": "lo",
        "hardware-address": "00:00:00:00:00:00",
        "ip-addresses": [{"ip-address": "127.0.0.1", "prefix": 8, "ip-address-type": "ipv4"}],
    },
    {
        "name": "eth0",
        "hardware-address": "bc:24:11:00:00:01",
        "ip-addresses": [
            {"ip-address": "192.168.7.5", "prefix": 24, "ip-address-type": "ipv4"},
            {"ip-address": "fe80::1%eth0", "prefix": 64, "ip-address-type": "ipv6"},
            {"ip-address": "2001:db8:7::5", "prefix": 64, "ip-address-type": "ipv6"},
        ],
    },
    {
        "name": "docker0",
        "hardware-address": "02:42:00:00:00:01",
        "ip-addresses": [{"ip-address": "172.17.0.1", "prefix": 16, "ip-address-type": "ipv4"}],
    },
]


def odd(cluster: Any) -> None:
    """All that people have on clusters that grew."""
    cluster.vm(
        100,
        "pve1",
        name="Web01.example.org",
        agent_config=None,
        net0="virtio=BC:24:11:00:00:01,bridge=vmbr0",
        scsi0="rbd:vm-100-disk-0,size=32G",
        ide2="local:iso/debian-13.iso,media=cdrom,size=700M",
        ostype="l26",
        agent="enabled=1,fstrim_cloned_disks=1",
        told=AGENT,
    )
    cluster.vm(101, "pve1", name="Web01.example.com", sockets=2, memory="1536")
    cluster.vm(102, "pve2", name="db", ipconfig0="ip=192.168.7.9/24,gw=192.168.7.1")
    cluster.vm(103, "pve3", name="db-replica", ipconfig0="ip=192.168.7.10/24")
    cluster.vm(104, "pve2", running=False, name="old-windows", ostype="win7")
    cluster.vm(105, "pve2", name="unknown-os", ostype="other")
    cluster.vm(106, "pve3")  # nobody named it
    cluster.vm(9000, "pve1", running=False, name="debian-13", template=1)
    cluster.datacenter.put_guest(
        "pve3",
        200,
        {
            "hostname": "proxy",
            "memory": 1024,
            "cores": 1,
            "net0": "name=eth0,bridge=vmbr0,ip=192.168.7.20/24",
        },
        kind="lxc",
    )


@pytest.fixture
def grown(foreign: Any) -> Any:
    """Three nodes with Ceph, an upper-case name, and odd guests."""
    cluster = foreign(*NODES)
    cluster.form("Prod", ceph=True)
    odd(cluster)
    for vmid in (102, 103):
        cluster.post("cluster/ha/resources", sid=f"vm:{vmid}", state="started")
    cluster.post(
        "cluster/ha/rules",
        rule="db-apart",
        type="resource-affinity",
        affinity="negative",
        resources="vm:102,vm:103",
    )
    return cluster


def test_the_first_plan_is_empty(grown: Any, workspace: Any, adopt: Any) -> None:
    adopt(grown)
    plan = make_plan(workspace, look(workspace))
    assert plan.actions == ()
    assert plan.warnings == (
        "container proxy (vmid 200) on pve3 is not in the inventory: it is left alone",
    )


def test_what_nobody_saw_is_unknown_and_not_well(grown: Any, workspace: Any, adopt: Any) -> None:
    adopt(grown)
    for name in NODES:
        grown.datacenter.power_off(name)
    plan = make_plan(workspace, look(workspace))
    assert plan.actions == ()
    (warning,) = plan.warnings
    assert "prod could not be seen (" in warning
    assert "its 7 VMs (web01, " in warning and "is unknown" in warning
    assert "as the inventory wants it" not in plan_lines(plan)[0]


def test_what_else_the_inventory_wants_does_not_go_there_unasked(
    grown: Any, workspace: Any, adopt: Any
) -> None:
    file = workspace.folder / "inventory.toml"
    wish = '[vms.wiki]\nsize = "small"\nwhy = "ours"\n'
    file.write_text(BARE.replace("[vms]\n", wish))
    workspace.reload()
    adopt(grown)
    plan = make_plan(workspace, look(workspace))
    assert plan.actions == ()
    assert any("wiki (inventory.toml:" in text for text in plan.warnings)
    pinned = file.read_text().replace(wish, wish + 'cluster = "prod"\n')
    file.write_text(pinned)
    workspace.reload()
    (action,) = make_plan(workspace, look(workspace)).actions
    assert (action.id, action.vmid) == ("place:wiki", 107)


def test_a_bare_workspace_is_enough(grown: Any, tmp_path: Any) -> None:
    from metal.controller.workspace import Workspace
    from metal.inventory.init import init

    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    key = "AAAAC3NzaC1lZDI1NTE5AAAAILt2WMnXgyFwhclChnkksBg5ZVt14WF088GBK5fjRAkH"
    (home / ".ssh" / "id_ed25519.pub").write_text(f"ssh-ed25519 {key} me@here\n")
    init(tmp_path / "new", home=home, bare=True)
    new = Workspace(tmp_path / "new")
    adopting = Adopting(new, grown.url)
    adopting.shown(None)
    login = Credential(password="secret-root")
    found = adopting.read(login)
    adopting.write(found, adopting.proposed(found)[0], login)
    assert make_plan(new, look(new)).actions == ()
    new.store.close()


def test_what_is_written(grown: Any, workspace: Any, adopt: Any) -> None:
    done = adopt(grown)
    assert (done.cluster, done.called, done.site) == ("prod", "Prod", "prod")
    inventory = workspace.inventory
    cluster = inventory.clusters["prod"]
    assert (cluster.servers, cluster.ceph, cluster.storage) == (NODES, True, "rbd")
    server = inventory.servers["pve2"]
    assert (str(server.address), server.api_port) == (f"{NET}.2", PORT)
    assert server.power.driver == "manual"
    assert server.learned and server.learned.memory_gib == 64
    assert [d.name for d in server.learned.disks] == ["sda", "sdb", "sdc"]
    vms = {name: vm.adopted.vmid for name, vm in inventory.vms.items() if vm.adopted}
    assert vms == {
        "web01": 100,
        "web01-101": 101,
        "db": 102,
        "db-replica": 103,
        "old-windows": 104,
        "unknown-os": 105,
        "vm-106": 106,
    }
    web = inventory.vms["web01"]
    assert web.adopted
    assert [str(a) for a in web.adopted.addresses] == ["192.168.7.5/24", "2001:db8:7::5/64"]
    assert (web.adopted.os, inventory.needs("web01").disk_gib) == ("l26", 32)
    needs = inventory.needs("web01-101")
    assert (needs.vcpus, needs.memory_mib) == (4, 1536)
    assert inventory.vms["db"].apart == inventory.vms["db-replica"].apart == "db-apart"
    assert [name for name, vm in inventory.vms.items() if not vm.running] == ["old-windows"]
    assert inventory.vms["unknown-os"].adopted.os is None
    assert any("proxy" in text for text in done.told)
    assert any("debian-13" in text for text in done.told)


def test_comments_and_the_rest_stay_byte_for_byte(grown: Any, workspace: Any, adopt: Any) -> None:
    adopt(grown)
    new = (workspace.folder / "inventory.toml").read_text()
    kept = iter(new.splitlines())
    assert all(line in kept for line in BARE.splitlines() if line)
    assert load(workspace.folder, new)


def test_the_world_knows_them_by_our_names(grown: Any, workspace: Any, adopt: Any) -> None:
    adopt(grown)
    world = look(workspace)
    assert set(workspace.inventory.vms) <= set(world.vms)
    assert world.vms["web01-101"].vmid == 101
    assert world.vms["proxy"].kind == "container"
    assert world.vms["debian-13"].kind == "template"
    assert world.vms["old-windows"].state == "stopped"
    assert {s.life for s in world.servers.values()} == {Life.MEMBER}
    assert {s.node for s in world.servers.values()} == {"online"}
    assert world.silent == {}


def test_again_it_changes_nothing_and_then_what_changed(
    grown: Any, workspace: Any, adopt: Any
) -> None:
    adopt(grown)
    before = (workspace.folder / "inventory.toml").read_bytes()
    assert adopt(grown).differences == ()
    assert (workspace.folder / "inventory.toml").read_bytes() == before

    grown.driver._api.put("nodes/pve2/qemu/102/config", {"memory": "4096", "cores": 4})
    grown.vm(107, "pve3", name="new")
    done = adopt(grown)
    assert [(d.table, d.new) for d in done.differences] == [("vms.db", False), ("vms.new", True)]
    assert workspace.inventory.needs("db").memory_mib == 4096
    assert make_plan(workspace, look(workspace)).actions == ()


def test_a_vm_that_is_gone_is_told_and_never_made_anew(
    grown: Any, workspace: Any, adopt: Any
) -> None:
    adopt(grown)
    grown.driver._api.run("nodes/pve3/qemu/106/status/stop")
    upid = grown.driver._api.delete("nodes/pve3/qemu/106")
    grown.driver._api.follow(upid)
    plan = make_plan(workspace, look(workspace))
    assert plan.actions == ()
    assert any("vm-106 is not in prod any more" in text for text in plan.warnings)
    assert any("vm-106" in text for text in adopt(grown).told)


def test_a_drain_is_planned_for_what_was_adopted(grown: Any, workspace: Any, adopt: Any) -> None:
    adopt(grown)
    (action,) = drain_plan(workspace, look(workspace), "pve1").actions
    assert {m.vm for m in action.moves} == {"web01", "web01-101"}


def test_its_addresses_are_never_given_away(grown: Any, workspace: Any, adopt: Any) -> None:
    from metal.network.budget import infrastructure

    adopt(grown)
    taken = {str(a) for a in infrastructure(workspace.inventory)}
    assert {"192.168.7.5", "2001:db8:7::5", "192.168.7.9"} <= taken


# ── how metal logs in afterwards ─────────────────────────────────────────────────────────────


def test_root_makes_a_token_with_few_rights_and_is_forgotten(
    grown: Any, workspace: Any, adopt: Any
) -> None:
    done = adopt(grown)
    assert done.token == "metal@pve!attic"
    kept = workspace.secrets.reveal("proxmox/prod")
    assert kept and kept.startswith("metal@pve!attic=")
    assert workspace.secrets.reveal("root/pve1") is None
    role = next(r for r in grown.driver._api.get("access/roles") if r["roleid"] == "Metal")
    assert set(role["privs"].split(",")) == tokens.privileges(9)
    with pytest.raises(Refused, match="only root may do this"):
        workspace.hypervisor("prod").ensure_osd("pve1", "sdc")
    # Again without a password: the token that is kept is kept on.
    assert adopt(grown).token == done.token
    assert workspace.secrets.reveal("proxmox/prod") == kept


def test_the_secret_is_in_no_text(grown: Any, workspace: Any, adopt: Any) -> None:
    done = adopt(grown)
    secret = (workspace.secrets.reveal("proxmox/prod") or "").partition("=")[2]
    assert secret and secret not in repr(done) + done.model_dump_json()
    assert "secret-root" not in repr(Credential(password="secret-root"))
    for file in workspace.folder.rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes()
            assert b"secret-root" not in file.read_bytes()


def test_a_token_that_is_given_is_kept_and_what_it_lacks_is_told(
    grown: Any, workspace: Any, adopt: Any
) -> None:
    api = grown.driver._api
    api.post("access/users", {"userid": "ops@pve"})
    api.put("access/acl", {"path": "/", "roles": "PVEAuditor", "users": "ops@pve"})
    made = api.post("access/users/ops@pve/token/look", {"privsep": 0})
    token = f"{made['full-tokenid']}={made['value']}"
    done = adopt(grown, Credential(token=token))
    assert done.token == "ops@pve!look"
    assert any("lacks" in text and "VM.Migrate" in text for text in done.told)
    assert make_plan(workspace, look(workspace)).actions == ()


def test_a_bad_token_or_password_is_refused(grown: Any, workspace: Any, adopt: Any) -> None:
    with pytest.raises(Refused, match="the token is not accepted"):
        adopt(grown, Credential(token="ops@pve!x=00000000-0000-0000-0000-000000000000"))
    with pytest.raises(Refused, match="does not let root@pam in"):
        adopt(grown, Credential(password="wrong"))
    assert tomllib.loads((workspace.folder / "inventory.toml").read_text())["servers"] == {}


def test_another_certificate_than_expected_gets_no_password(grown: Any, workspace: Any) -> None:
    with pytest.raises(Refused, match="AA is not the certificate it shows"):
        Adopting(workspace, grown.url).shown(":".join(["AA"] * 32))


@pytest.mark.parametrize("url", ["http://pve:8006", "https://pve:8006/api2", "https://pve:x", ""])
def test_what_is_no_address(workspace: Any, url: str) -> None:
    with pytest.raises(BadInput, match="no address of a Proxmox node"):
        Adopting(workspace, url)


# ── other shapes ─────────────────────────────────────────────────────────────────────────────


def test_a_node_on_its_own_with_local_storage(foreign: Any, workspace: Any, adopt: Any) -> None:
    alone = foreign("pve")
    alone.vm(100, "pve", name="all-in-one", scsi0="local-lvm:vm-100-disk-0,size=100G")
    done = adopt(alone)
    assert (done.cluster, done.called) == ("pve", None)
    cluster = workspace.inventory.clusters["pve"]
    assert (cluster.ceph, cluster.storage, cluster.restarts) == (False, None, False)
    assert make_plan(workspace, look(workspace)).actions == ()


@pytest.mark.parametrize("up", [True, False])
def test_what_a_shared_storage_holds_is_written(
    foreign: Any, workspace: Any, adopt: Any, up: bool
) -> None:
    """Placing counts by it as `metal capacity` does; not there, it is unknown and not zero."""
    pair = foreign("a1", "a2")
    pair.form("pair")
    pair.post(
        "storage", storage="nas", type="nfs", server="10.1.1.9", export="/v", content="images"
    )
    if not up:
        pair.datacenter.inactive.add("nas")
    adopt(pair)
    cluster = workspace.inventory.clusters["pair"]
    assert (cluster.storage, cluster.storage_gib) == ("nas", 800 if up else None)
    assert make_plan(workspace, look(workspace)).actions == ()


def test_a_cluster_without_ceph_and_without_guests(
    foreign: Any, workspace: Any, adopt: Any
) -> None:
    pair = foreign("a1", "a2")
    pair.form("pair")
    adopt(pair, site="attic")
    assert workspace.inventory.servers["a1"].profile == "adopted"
    assert workspace.inventory.site_of("pair") == "attic"
    assert make_plan(workspace, look(workspace)).actions == ()


def test_a_node_that_is_down_is_taken_in_too(grown: Any, workspace: Any, adopt: Any) -> None:
    grown.datacenter.power_off("pve3")
    done = adopt(grown)
    assert workspace.inventory.clusters["prod"].servers == NODES
    assert any("its node pve3 is down" in text for text in done.told)
    world = look(workspace)
    assert world.servers["pve3"].node == "offline"
    assert make_plan(workspace, world).actions == ()


def test_a_server_that_is_known_by_another_name_is_refused(
    grown: Any, workspace: Any, adopt: Any
) -> None:
    text = BARE.replace("10.1.1.0/24", f"{NET}.0/24").replace("10.1.1.1", f"{NET}.254")
    server = f"""
[servers.other]
site = "home"
rack = "A"
profile = "solo"
address = "{NET}.2"
power = {{ driver = "manual" }}

[clusters.other]
servers = ["other"]
ceph = false
"""
    text = text.replace("[servers]\n[clusters]\n[vms]\n", server)
    (workspace.folder / "inventory.toml").write_text(text)
    workspace.reload()
    with pytest.raises(Refused, match=r"calls the server at .* other") as error:
        adopt(grown)
    assert "[servers.pve2]" in error.value.mend


def test_a_cluster_that_metal_formed_is_adopted_by_a_workspace_that_lost_it(
    foreign: Any, workspace: Any, adopt: Any
) -> None:
    from metal.model.addresses import Addressing

    ours = foreign(*NODES)
    ours.form("alba", ceph=True)
    ours.driver.ensure_vm(
        vmid=100,
        name="git",
        node="pve1",
        vcpus=2,
        memory_mib=2048,
        disk_gib=20,
        storage="rbd",
        addressing=Addressing(treatment="ipv6", private_ipv4="10.9.0.5/24"),
        ha=True,
    )
    ours.driver.ensure_started(100)
    adopt(ours)
    assert [str(a) for a in workspace.inventory.vms["git"].adopted.addresses] == ["10.9.0.5/24"]
    assert make_plan(workspace, look(workspace)).actions == ()


def test_a_node_behind_a_forwarded_port(grown: Any, workspace: Any) -> None:
    """Its cluster knows it at an address that we do not reach; we came by another."""
    adopting = Adopting(workspace, grown.url)
    adopting.shown(None)
    login = Credential(password="secret-root")
    found = adopting.read(login)
    away = {"address": "192.0.2.1", "host": None, "answers": False}
    nodes = tuple(n.model_copy(update=away) if n.name == "pve1" else n for n in found.nodes)
    (itself, *_) = [adopting._at_its_door(n) for n in nodes]
    assert (itself.address, itself.host, itself.port) == ("192.0.2.1", f"{NET}.1", PORT)
    told = found.model_copy(update={"nodes": (itself,), "rules": (), "guests": ()})
    adoption, _ = adopting.proposed(told)
    server = next(keys for path, keys in adoption.tables if path == ("servers", "pve1"))
    assert (server["address"], server["api_host"]) == ("192.0.2.1", f"{NET}.1")


class Killed(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("where", ["edit", "pin", "make_token", "escrow"])
def test_killed_anywhere_the_same_command_does_the_rest(
    grown: Any, workspace: Any, adopt: Any, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Right after the inventory was written, a pin, the token's making and its escrow."""
    from metal.controller import adopting
    from metal.drivers.proxmox import Proxmox
    from metal.drivers.secrets import AgeSecrets
    from metal.operations.servers import Servers

    owner = {"edit": adopting, "pin": Servers, "make_token": Proxmox, "escrow": AgeSecrets}[where]
    real = getattr(owner, where)

    def dying(*args: Any, **more: Any) -> Any:
        real(*args, **more)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(owner, where, dying)
        with pytest.raises(Killed):
            adopt(grown)
    workspace.reload()
    assert adopt(grown).token == "metal@pve!attic"
    assert workspace.hypervisor("prod").lacking() == frozenset()
    assert make_plan(workspace, look(workspace)).actions == ()


@pytest.fixture
def eight(foreign: Any) -> Any:
    """Three nodes of Proxmox VE 8.4, with a group."""
    cluster = foreign(*NODES, version="8.4.1")
    cluster.form("old")
    for vmid in (100, 101):
        cluster.vm(vmid, "pve1", name=f"app{vmid}")
    cluster.post("cluster/ha/groups", group="prefer1", nodes="pve1:2,pve2:1")
    for vmid in (100, 101):
        cluster.post("cluster/ha/resources", sid=f"vm:{vmid}", state="started", group="prefer1")
    return cluster


def test_proxmox_8_has_groups_and_another_role(eight: Any, workspace: Any, adopt: Any) -> None:
    done = adopt(eight)
    assert (done.version, done.token) == ("8.4.1", "metal@pve!attic")
    role = next(r for r in eight.driver._api.get("access/roles") if r["roleid"] == "Metal")
    assert set(role["privs"].split(",")) == tokens.privileges(8)
    assert workspace.inventory.vms["app100"].home == ("pve1", "pve2")
    assert make_plan(workspace, look(workspace)).actions == ()
    driver = workspace.hypervisor("old")
    for _ in range(2):
        driver.ensure_home(100, ("pve3", "pve1"))
    groups = {g["group"]: g["nodes"] for g in driver._api.get("cluster/ha/groups")}
    assert groups == {"prefer1": "pve1:2,pve2:1", "metal-home-100": "pve3:2,pve1:1"}
    assert driver._api.get("cluster/ha/resources/vm:100")["group"] == "metal-home-100"
    driver.ensure_apart("app", (100, 101))  # there is nothing like it in 8


def test_wishes_of_rules(grown: Any, workspace: Any, adopt: Any) -> None:
    for vmid in (100, 101, 105):
        grown.post("cluster/ha/resources", sid=f"vm:{vmid}", state="started")
    both = {"type": "resource-affinity", "affinity": "positive", "resources": "vm:100,vm:105"}
    grown.post("cluster/ha/rules", rule="pair", **both)
    home = {"type": "node-affinity", "nodes": "pve2:5,pve1", "resources": "vm:101"}
    grown.post("cluster/ha/rules", rule="at-home", **home)
    bound = {"type": "node-affinity", "nodes": "pve2", "strict": 1, "resources": "vm:102"}
    grown.post("cluster/ha/rules", rule="bound", **bound)
    done = adopt(grown)
    vms = workspace.inventory.vms
    assert vms["web01"].together == ("unknown-os",)
    assert vms["web01-101"].home == ("pve2", "pve1")
    assert vms["db"].home == ()
    assert any("HA rule bound (102 on pve2) stays Proxmox's own" in text for text in done.told)
    assert make_plan(workspace, look(workspace)).actions == ()


def test_a_changed_home_takes_the_vm_out_of_the_rule_that_was_there(
    grown: Any, workspace: Any, adopt: Any
) -> None:
    """And the other VMs of that rule stay in it, and a strict one stays as it is."""
    for vmid in (100, 101):
        grown.post("cluster/ha/resources", sid=f"vm:{vmid}", state="started")
    home = {"type": "node-affinity", "nodes": "pve2:5,pve1", "resources": "vm:100,vm:101"}
    grown.post("cluster/ha/rules", rule="at-home", **home)
    bound = {"type": "node-affinity", "nodes": "pve2", "strict": 1, "resources": "vm:102"}
    grown.post("cluster/ha/rules", rule="bound", **bound)
    adopt(grown)
    file = workspace.folder / "inventory.toml"
    text = file.read_text()
    file.write_text(
        text.replace('home = ["pve2", "pve1"]', 'home = ["pve3", "pve1"]', 1).replace(
            "[vms.db]\n", '[vms.db]\nhome = ["pve1"]\n'
        )
    )
    workspace.reload()
    plan = make_plan(workspace, look(workspace))
    assert [action.what for action in plan.actions] == [
        "tell HA of prod what its VMs wish for: rule at-home for web01-101 only; "
        "web01 at home on pve3, then pve1"
    ]
    assert apply(workspace, plan, progress=silent).failed == {}
    driver = workspace.hypervisor("prod")
    rules = {r["rule"]: r for r in driver._api.get("cluster/ha/rules")}
    assert rules["metal-home-100"]["nodes"] == "pve3:2,pve1:1"
    assert rules["at-home"]["resources"] == "vm:101"
    assert rules["at-home"]["nodes"] == "pve2:5,pve1"
    assert rules["bound"]["resources"] == "vm:102"
    assert make_plan(workspace, look(workspace)).actions == ()


def test_a_changed_home_on_proxmox_8_is_another_group(
    eight: Any, workspace: Any, adopt: Any
) -> None:
    adopt(eight)
    file = workspace.folder / "inventory.toml"
    text = file.read_text()
    file.write_text(text.replace('home = ["pve1", "pve2"]', 'home = ["pve3"]', 1))
    workspace.reload()
    plan = make_plan(workspace, look(workspace))
    assert apply(workspace, plan, progress=silent).failed == {}
    driver = workspace.hypervisor("old")
    assert driver._api.get("cluster/ha/resources/vm:100")["group"] == "metal-home-100"
    assert driver._api.get("cluster/ha/resources/vm:101")["group"] == "prefer1"
    assert make_plan(workspace, look(workspace)).actions == ()


def test_a_world_that_was_looked_at_is_planned_for_when_it_is_gone(
    grown: Any, workspace: Any, adopt: Any, tmp_path: Path
) -> None:
    """`metal look -o json` of clusters that answer, then `--world` with all of them off."""
    adopt(grown)
    command = [sys.executable, "-m", "metal", "-C", str(workspace.folder)]
    looked = subprocess.run([*command, "look", "-o", "json"], capture_output=True, text=True)
    assert looked.returncode == 0, looked.stderr
    live = make_plan(workspace, look(workspace))
    for name in NODES:
        grown.datacenter.power_off(name)
    file = tmp_path / "world.json"
    file.write_text(looked.stdout)
    world = ["--world", str(file)]
    planned = subprocess.run(
        [*command, "plan", "-o", "json", *world], capture_output=True, text=True
    )
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)["warnings"] == list(live.warnings)
    assert json.loads(planned.stdout)["actions"] == [] == list(live.actions)
    proven = subprocess.run(
        [*command, "plan", "--prove", "-o", "json", *world], capture_output=True, text=True
    )
    assert "prod" in proven.stdout, proven.stderr
