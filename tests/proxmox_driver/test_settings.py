"""What a forming sets for the whole cluster: scheduling, firewall, a token, who only root is."""

import json
from typing import Any

import pytest

from metal.drivers.proxmox import settings, tokens
from metal.drivers.proxmox.node import ApiError, asks_root
from metal.lab.proxmox.carry import API
from metal.model.errors import Refused

from .test_guests import make

SCHEMA = json.loads(API.read_text())["paths"]
LOOPBACK = ("127.0.0.0/8", "fd00:77::/64")


def test_only_root_is_asked_for_what_the_schema_gives_nobody() -> None:
    """A call without permissions is root@pam's, with a ticket; all others take our token."""
    for path, methods in SCHEMA.items():
        real = path.replace("{node}", "n1").replace("{osdid}", "3")
        for method, call in methods.items():
            nobody = call.get("permissions") is None
            if asks_root(method, real):
                assert nobody, f"{method} {path} takes a token"
    needed = {
        ("POST", "cluster/config"),
        ("POST", "cluster/config/join"),
        ("DELETE", "cluster/config/nodes/n1"),
        ("POST", "nodes/n1/ceph/osd"),
        ("DELETE", "nodes/n1/ceph/osd/3"),
        ("PUT", "nodes/n1/disks/wipedisk"),
    }
    assert all(asks_root(method, path) for method, path in needed)
    assert not asks_root("GET", "cluster/config")
    assert not asks_root("POST", "nodes/n1/ceph/osd/3/out")


@pytest.mark.parametrize(("major", "has", "lacks"), [(8, "VM.Monitor", "VM.GuestAgent.Audit")])
def test_a_role_names_privileges_that_its_version_knows(major: int, has: str, lacks: str) -> None:
    assert has in tokens.privileges(major) and lacks not in tokens.privileges(major)
    assert lacks in tokens.privileges(9) and has not in tokens.privileges(9)


def test_ha_weighs_memory_and_what_else_was_set_stays(lab: Any) -> None:
    driver = lab.form()
    driver._api.put("cluster/options", {"crs": "ha-rebalance-on-start=1", "keyboard": "de"})
    for _ in range(2):
        driver.ensure_scheduling()
    options = driver._api.get("cluster/options")
    assert set(options["crs"].split(",")) == {"ha=static", "ha-rebalance-on-start=1"}
    assert options["keyboard"] == "de"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, {"migration=51200"}),
        ("migration=10000", {"migration=10000"}),
        ("migration=99999,restore=7", {"migration=51200", "restore=7"}),
        ("default=4000", {"default=4000"}),
    ],
)
def test_migrations_are_made_slower_and_never_faster(
    lab: Any, before: str | None, after: set[str]
) -> None:
    driver = lab.form()
    if before:
        driver._api.put("cluster/options", {"bwlimit": before})
    for _ in range(2):
        settings.ensure_slower(driver._api, 50)
    assert set(driver._api.get("cluster/options")["bwlimit"].split(",")) == after


def test_with_a_token_everything_but_roots_own_is_done(lab: Any) -> None:
    lab.form()
    token = lab.driver().make_token("attic", "a test")
    asked: list[str] = []

    def password(node: str) -> str:
        asked.append(node)
        return f"root-{node}"

    driver = lab.driver(token=lambda: token, password=password)
    assert driver.lacking() == frozenset()
    driver.ensure_scheduling()
    driver.ensure_pool("vms")
    driver.ensure_ceph("alba1", first=True, network=lab.network)
    driver.look()
    assert asked == []
    driver.ensure_osd("alba1", "sdc")
    assert asked == ["alba1"]


@pytest.mark.parametrize(
    "less",
    [
        *("VM.Allocate", "Datastore.AllocateSpace", "SDN.Use", "VM.Config.Disk", "VM.Config.CPU"),
        *("VM.Config.Memory", "VM.Config.Network", "VM.Config.HWType", "VM.Config.Options"),
        "",
    ],
)
def test_a_vm_is_made_with_the_role_and_with_nothing_less(lab: Any, less: str) -> None:
    """Who may make one the schema leaves to the call: it asks for each option, storage, bridge."""
    driver = lab.driver("alba1", solo=True)
    token = driver.make_token("attic", "a test")
    kept = ",".join(sorted(tokens.privileges(9) - {less}))
    driver._api.put("access/roles/Metal", {"privs": kept})
    bound = lab.driver("alba1", solo=True, token=lambda: token)
    if not less:
        make(bound, 101, "git", storage="local", ha=False)
        return
    with pytest.raises(Refused, match=f"Permission check failed .*{less}"):
        make(bound, 101, "git", storage="local", ha=False)


def test_a_token_that_died_is_noticed(lab: Any) -> None:
    lab.form()
    dead = lab.driver().make_token("attic", "a test")
    lab.driver().make_token("attic", "again: the first one's secret is lost")
    with pytest.raises(Refused):
        lab.driver(token=lambda: dead).lacking()
    # Where root's password is at hand the work goes on with it.
    assert lab.driver(token=lambda: dead).look()[0].quorate is True


def test_management_answers_to_the_mesh_only(lab: Any) -> None:
    driver = lab.form()
    own = {name: f"10.9.9.{number}" for number, name in enumerate(lab.access, 1)}
    for name, at in own.items():
        text = f"auto ens1\niface ens1 inet static\n\taddress {at}/24\n"
        lab.datacenter.node_at(name).trials.files["/etc/network/interfaces"] = text
    driver._api.post(
        "cluster/firewall/rules", {"type": "in", "action": "ACCEPT", "macro": "Ping", "enable": 1}
    )
    for _ in range(2):
        driver.ensure_firewall(LOOPBACK)
    found = driver._api.get("cluster/firewall/rules")
    assert [(r["action"], r.get("source")) for r in found] == [
        ("ACCEPT", "+metal-peers"),
        ("ACCEPT", "+metal-mesh"),
        ("DROP", None),
        ("ACCEPT", None),
    ]
    peers = driver._api.get("cluster/firewall/ipset/metal-peers")
    # What is not let in is dropped from now on: Ceph on its own network, too.
    assert {row["cidr"] for row in peers} == {
        *own.values(),
        *(a.address for a in lab.access.values()),
    }
    assert driver._api.get("cluster/firewall/options")["enable"] == 1


def test_who_left_is_let_in_no_more_and_what_others_wrote_stays(lab: Any) -> None:
    driver = lab.form()
    driver.ensure_no_peer("alba2")  # before there is a firewall
    driver.ensure_firewall(LOOPBACK)
    path = "cluster/firewall/ipset/metal-peers"
    by_hand = {"10.8.0.7": "the backup server", "10.8.0.8": "metal: alba22", "fd00:8::9": ""}
    for cidr, comment in by_hand.items():
        driver._api.post(path, {"cidr": cidr, "comment": comment})
    # An address that metal found there already is not metal's.
    second = lab.access["alba1"].address
    driver._api.delete(f"{path}/{second}")
    driver._api.post(path, {"cidr": second})
    driver.ensure_firewall(LOOPBACK)

    for _ in range(2):
        for gone in ("alba1", "alba2"):
            driver.ensure_no_peer(gone)
        left = {row["cidr"]: row.get("comment", "") for row in driver._api.get(path)}
        assert left == {**by_hand, second: "", lab.access["alba3"].address: "metal: alba3"}


def test_nobody_locks_himself_out(lab: Any) -> None:
    driver = lab.form()
    with pytest.raises(Refused, match="a firewall would lock us out"):
        driver.ensure_firewall(("10.99.0.0/24",))
    assert driver._api.get("cluster/firewall/options") == {}


def test_who_chose_to_weigh_what_is_used_keeps_that(lab: Any) -> None:
    driver = lab.form()
    driver._api.put("cluster/options", {"crs": "ha=dynamic"})
    driver.ensure_scheduling()
    assert driver._api.get("cluster/options")["crs"] == "ha=dynamic"


@pytest.mark.parametrize(
    "told",
    [
        "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout",
        "error during cfs-locked 'domain-ha' operation: got lock request timeout",
        "trying to acquire cfs lock 'storage-vms' ... got lock request timeout",
        "VM is locked (backup)",
    ],
)
def test_a_lock_that_somebody_holds_is_busy(told: str) -> None:
    assert ApiError(500, told, where="n1").busy
