"""`metal cluster form`: from nothing, from half-way, again; and of a cluster that was adopted."""

from __future__ import annotations

import time
from typing import Any

import pytest

from metal.controller.applying import apply
from metal.controller.forming import form_plan
from metal.controller.look import look
from metal.controller.planning import make_plan
from metal.controller.progress import silent
from metal.drivers.proxmox.forming import wait_quorate
from metal.model.errors import Refused
from metal.model.life import Life
from metal.model.plan import TellHa

from .conftest import INSTALLED as NODES
from .conftest import NET, PORT, SERVER


def form(workspace: Any) -> dict[str, str]:
    plan = form_plan(workspace, look(workspace), "alba")
    return apply(workspace, plan, progress=silent).failed


def moved(workspace: Any, **wanted: str) -> None:
    """HA has brought them there; whoever plans meanwhile has a plan that is stale at once."""
    deadline = time.monotonic() + 60
    while True:
        seen = look(workspace).vms
        if all((seen[vm].server, seen[vm].state) == (at, "running") for vm, at in wanted.items()):
            return
        assert time.monotonic() < deadline, {vm: str(seen[vm]) for vm in wanted}


def whole(nodes: Any, workspace: Any) -> None:
    truth = nodes.datacenter.truth()["clusters"]["alba"]
    assert truth["members"] == list(NODES)
    assert truth["quorate"]
    assert sorted(o["node"] for o in truth["ceph"]["osds"]) == sorted([*NODES, *NODES])
    assert all(o["encrypted"] for o in truth["ceph"]["osds"])
    assert truth["ceph"]["pools"] == ["vms"]
    cluster = nodes.datacenter.node_at("alba1").cluster
    assert cluster.options["crs"] == "ha=static"
    assert list(cluster.tokens) == ["metal@pve!attic"]
    assert cluster.firewall.options == {"enable": 1}
    assert len(cluster.firewall.rules) == 3
    lives = {name: workspace.life(name) for name in NODES}
    assert lives == dict.fromkeys(NODES, Life.MEMBER)


def test_from_nothing_and_again(installed: Any, workspace: Any) -> None:
    assert form(workspace) == {}
    whole(installed, workspace)
    assert make_plan(workspace, look(workspace)).actions == ()
    version = installed.datacenter.truth()["clusters"]["alba"]["version"]
    token = workspace.secrets.reveal("proxmox/alba")
    assert form(workspace) == {}
    whole(installed, workspace)
    assert installed.datacenter.truth()["clusters"]["alba"]["version"] == version
    assert workspace.secrets.reveal("proxmox/alba") == token


def test_from_half_way(installed: Any, workspace: Any) -> None:
    """Somebody, or a metal that was lost, had joined two and begun with Ceph."""
    driver = installed.driver
    driver.ensure_created("alba", "alba1")
    driver.ensure_joined("alba2", "alba1")
    driver.ensure_ceph("alba1", first=True, network=f"{NET}.0/24")
    assert form(workspace) == {}
    whole(installed, workspace)


def test_from_a_node_that_the_inventory_does_not_name_first(installed: Any, workspace: Any) -> None:
    installed.driver.ensure_created("alba", "alba3")
    assert form(workspace) == {}
    whole(installed, workspace)


def test_a_server_that_is_in_another_cluster_stops_it(installed: Any, workspace: Any) -> None:
    installed.driver.ensure_created("alba", "alba1")
    # ensure_created looks at every node: this one is made by other hands.
    api = installed.driver._api
    alone = api.nodes["alba3"]
    alone.post("cluster/config", {"clustername": "bora"})
    wait_quorate(api, alone, "alba3")
    while look(workspace) != look(workspace):
        pass  # alba3 still restarts its API
    (why,) = form(workspace).values()
    assert "in the cluster 'bora' already" in why and "pvecm delnode alba3" in why


def test_a_server_that_is_not_installed_stops_it(installed: Any, workspace: Any) -> None:
    text = (workspace.folder / "inventory.toml").read_text()
    text += SERVER.format(name="alba4", address=f"{NET}.4", port=PORT)
    text = text.replace('"alba3"]', '"alba3", "alba4"]')
    (workspace.folder / "inventory.toml").write_text(text)
    workspace.reload()
    with pytest.raises(Refused, match="not all installed: alba4 is found"):
        form_plan(workspace, look(workspace), "alba")


def test_no_secret_in_the_journal(installed: Any, workspace: Any) -> None:
    assert form(workspace) == {}
    token = workspace.secrets.reveal("proxmox/alba") or ""
    secret = token.partition("=")[2]
    assert secret
    for file in workspace.folder.rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes()
            assert b"secret-root" not in file.read_bytes()


WISHES = """
[vms.db1]
size = "small"
cluster = "alba"
apart = "db"
home = ["alba2"]
why = "a replica"

[vms.db2]
size = "small"
cluster = "alba"
apart = "db"
why = "the other"

[vms.web]
size = "small"
cluster = "alba"
home = ["alba1", "alba3"]
why = "somebody has a rule for it"
"""


def test_wishes_that_changed_are_told_to_ha(installed: Any, workspace: Any) -> None:
    file = workspace.folder / "inventory.toml"
    bare = file.read_text()
    disks = ", ".join(f'{{ name = "sd{d}", size_gib = 894 }}' for d in "abc")
    for name in NODES:
        head = f"[servers.{name}]\n"
        learned = f"learned = {{ memory_gib = 64, threads = 16, disks = [{disks}] }}\n"
        bare = bare.replace(head, head + learned)
    file.write_text(bare)
    workspace.reload()
    assert form(workspace) == {}
    file.write_text(bare + WISHES)
    workspace.reload()
    made = apply(workspace, make_plan(workspace, look(workspace)), progress=silent)
    assert made.failed == {}
    ids = {vm: seen.vmid for vm, seen in look(workspace).vms.items()}
    api = workspace.hypervisor("alba")._api
    api.delete(f"cluster/ha/rules/metal-home-{ids['web']}")
    theirs = {"type": "node-affinity", "nodes": "alba2", "resources": f"vm:{ids['web']}"}
    api.post("cluster/ha/rules", {"rule": "theirs", **theirs})
    moved(workspace, web="alba2", db1="alba2")

    changed = WISHES.replace('home = ["alba2"]', 'home = ["alba3", "alba1"]')
    file.write_text(bare + changed)
    workspace.reload()
    (told,) = make_plan(workspace, look(workspace)).actions
    assert isinstance(told, TellHa)
    assert told.what.endswith(": db1 at home on alba3"), "HA has an equal rule for web: theirs"
    made = apply(workspace, make_plan(workspace, look(workspace)), progress=silent)
    assert made.failed == {}
    for _ in range(2):
        assert make_plan(workspace, look(workspace)).actions == ()
        moved(workspace, web="alba2", db1="alba3")
        assert form(workspace) == {}
        rules = {r["rule"]: r for r in api.get("cluster/ha/rules")}
        assert set(rules) == {"metal-apart-db", f"metal-home-{ids['db1']}", "theirs"}
        assert rules[f"metal-home-{ids['db1']}"]["nodes"] == "alba3:1", (
            "of several Proxmox takes one"
        )

    file.write_text(
        bare + changed.replace('home = ["alba3", "alba1"]\n', "").replace('apart = "db"\n', "")
    )
    workspace.reload()
    made = apply(workspace, make_plan(workspace, look(workspace)), progress=silent)
    assert made.failed == {}
    assert [r["rule"] for r in api.get("cluster/ha/rules")] == ["theirs"]
    assert make_plan(workspace, look(workspace)).actions == ()
