"""VMs through the driver: made once, started, moved, found again after their node died."""

from typing import Any

import pytest

from metal.drivers.proxmox.guests import addresses, cards, describe, label, shared
from metal.model.addresses import Addressing, Forward, ProxyRoute
from metal.model.errors import Failed, Refused

NAT = Addressing(
    treatment="nat",
    private_ipv4="10.11.128.5/20",
    ipv6="2001:db8:11::5/64",
    gateway4="10.11.128.1",
    gateway6="2001:db8:11::1",
    forwards=(Forward(public="198.51.100.2", protocol="tcp", port=22),),
)
DEDICATED = Addressing(
    treatment="dedicated",
    private_ipv4="10.11.128.6/20",
    public_ipv4="198.51.100.3/28",
    gateway4="198.51.100.1",
)


def make(driver: Any, vmid: int, name: str, node: str = "alba1", **other: Any) -> None:
    wanted = {
        "vcpus": 2,
        "memory_mib": 2048,
        "disk_gib": 20,
        "storage": "vms",
        "addressing": NAT,
        "ha": True,
    }
    driver.ensure_vm(vmid=vmid, name=name, node=node, **(wanted | other))


def vm(lab: Any, vmid: int) -> dict[str, Any]:
    return next(v for v in lab.datacenter.truth()["vms"] if v["vmid"] == vmid)


def test_one_card_for_the_private_network_and_ipv6() -> None:
    assert cards(NAT) == {
        "net0": "virtio,bridge=vmbr0",
        "ipconfig0": "ip=10.11.128.5/20,gw=10.11.128.1,ip6=2001:db8:11::5/64,gw6=2001:db8:11::1",
    }


def test_a_dedicated_address_has_a_card_of_its_own_with_the_gateway() -> None:
    assert cards(DEDICATED) == {
        "net0": "virtio,bridge=vmbr0",
        "ipconfig0": "ip=10.11.128.6/20",
        "net1": "virtio,bridge=vmbr0,firewall=1",
        "ipconfig1": "ip=198.51.100.3/28,gw=198.51.100.1",
    }


def test_addresses_are_read_back_from_what_was_written() -> None:
    assert addresses(dict(cards(NAT))) == ("10.11.128.5/20", "2001:db8:11::5/64")
    assert addresses(dict(cards(DEDICATED))) == ("10.11.128.6/20", "198.51.100.3/28")
    assert addresses({"ipconfig0": "ip=dhcp,ip6=auto", "net0": "virtio"}) == ()
    assert label("git", NAT) == "metal: git 10.11.128.5/20 2001:db8:11::5/64 via=198.51.100.2"


def test_the_description_says_how_it_is_reached() -> None:
    proxy = ProxyRoute(public="198.51.100.2", name="git.example.org", port=443)
    told = describe("git", NAT.model_copy(update={"routes": (proxy,)}))
    assert "IPv4: nat" in told
    assert "198.51.100.2 tcp/22 is forwarded here" in told
    assert "git.example.org:443 comes through the proxy 198.51.100.2" in told


def test_the_shared_address_is_read_back_from_the_description() -> None:
    proxy = ProxyRoute(public="198.51.100.2", name="git.example.org", port=443)
    only = NAT.model_copy(update={"forwards": (), "routes": (proxy,)})
    for has, wanted in ((NAT, "198.51.100.2"), (only, "198.51.100.2"), (DEDICATED, None)):
        assert shared({"description": describe("git", has)}) == wanted
    ranged = Forward(public="198.51.100.4", protocol="udp", port=10_000, last=20_000)
    wide = NAT.model_copy(update={"forwards": (ranged,)})
    assert "udp/10000-20000 is forwarded here" in describe("meet", wide)
    assert shared({"description": describe("meet", wide)}) == "198.51.100.4"
    assert shared({}) is None


def test_a_vm_is_made_started_and_seen(lab: Any) -> None:
    driver = lab.form()
    for _ in range(2):
        make(driver, 101, "git")
        driver.ensure_started(101)
    assert driver.where(101) == ("alba1", "running")
    seen = driver.look()[2]["git"]
    assert (seen.vmid, seen.cluster, seen.server, seen.state) == (101, "alba", "alba1", "running")
    assert seen.addresses == ("10.11.128.5/20", "2001:db8:11::5/64")
    assert seen.shared == "198.51.100.2"
    assert (seen.memory_mib, seen.vcpus) == (2048, 2)
    real = vm(lab, 101)
    assert (real["starts"], real["max_copies"]) == (1, 1)
    assert real["config"]["tags"] == "metal"
    assert real["config"]["scsi0"].startswith("vms:")
    assert driver.ha_managed() == frozenset({101})


def test_an_id_that_another_vm_has_is_refused(lab: Any) -> None:
    driver = lab.form()
    make(driver, 101, "git", ha=False)
    with pytest.raises(Refused, match="VM 101 is 'git', not 'mail'"):
        make(driver, 101, "mail", node="alba2")


def test_a_creation_begun_before_a_crash_is_waited_for(lab: Any) -> None:
    driver = lab.form()
    driver._api.post("nodes/alba1/qemu", {"vmid": 101, "name": "git"})
    make(lab.driver(), 101, "git", ha=False)
    assert vm(lab, 101)["name"] == "git"


def test_a_vm_without_ceph_goes_on_the_nodes_own_storage(lab: Any) -> None:
    solo = lab.driver("alba1", solo=True, cluster="duna")
    make(solo, 101, "dns", storage="local", ha=False)
    solo.ensure_started(101)
    assert vm(lab, 101)["config"]["scsi0"].startswith("local-lvm:")
    assert solo.look()[2]["dns"].cluster == "duna"
    with pytest.raises(Failed, match="no storage 'vms'"):
        make(solo, 102, "web", storage="vms", ha=False)


def test_a_running_vm_moves_live(lab: Any) -> None:
    driver = lab.form()
    make(driver, 101, "git", ha=False)
    driver.ensure_started(101)
    for _ in range(2):
        driver.ensure_migrated(101, "alba3")
    assert driver.where(101) == ("alba3", "running")
    assert (vm(lab, 101)["starts"], vm(lab, 101)["max_copies"]) == (1, 1)


def test_a_stopped_vm_moves_as_it_is(lab: Any) -> None:
    driver = lab.form()
    make(driver, 101, "git", ha=False)
    driver.ensure_migrated(101, "alba2")
    assert driver.where(101) == ("alba2", "stopped")


def test_an_ha_vm_is_followed_until_it_has_moved(lab: Any) -> None:
    driver = lab.form()
    make(driver, 101, "git")
    driver.ensure_started(101)
    driver.ensure_migrated(101, "alba2")
    assert driver.where(101) == ("alba2", "running")
    assert vm(lab, 101)["max_copies"] == 1


def test_nothing_moves_to_a_node_that_is_offline(lab: Any) -> None:
    driver = lab.form()
    make(driver, 101, "git")
    driver.ensure_started(101)
    lab.datacenter.power_off("alba3")
    with pytest.raises(Refused, match="alba3: that node is not online"):
        driver.ensure_migrated(101, "alba3")


def test_the_vms_of_a_dead_node_keep_their_names(lab: Any) -> None:
    driver = lab.form()
    make(driver, 101, "git")
    driver.ensure_started(101)
    lab.datacenter.power_off("alba1")
    seen = lab.driver().look()[2]["git"]
    assert (seen.server, seen.state) == ("alba1", "unknown")
    assert seen.addresses == ("10.11.128.5/20", "2001:db8:11::5/64")
    assert driver.where(101) == ("alba1", "unknown")
    make(driver, 101, "git")


def test_replicas_are_kept_apart_by_ha(lab: Any) -> None:
    driver = lab.form()
    for vmid, node in ((101, "alba1"), (102, "alba2"), (103, "alba3")):
        make(driver, vmid, f"db{vmid}", node=node)
    for vmids in ((101,), (101, 102), (101, 102), (101, 102, 103, 999)):
        driver.ensure_apart("db", vmids)
    (rule,) = driver._api.get("cluster/ha/rules")
    assert (rule["rule"], rule["affinity"]) == ("metal-apart-db", "negative")
    assert sorted(rule["resources"].split(",")) == ["vm:101", "vm:102", "vm:103"]


def test_two_vms_of_one_rule_may_be_made_at_once(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one makes the rule between the look and the write of this one."""
    driver, other = lab.form(), lab.driver()
    for vmid, node in ((101, "alba1"), (102, "alba2"), (103, "alba3")):
        make(driver, vmid, f"db{vmid}", node=node)
    post, left = driver._api.post, [(101, 102)]

    def late(path: str, data: Any) -> Any:
        if left:
            other.ensure_apart("db", left.pop())
        return post(path, data)

    monkeypatch.setattr(driver._api, "post", late)
    driver.ensure_apart("db", (101, 102, 103))
    (rule,) = driver._api.get("cluster/ha/rules")
    assert sorted(rule["resources"].split(",")) == ["vm:101", "vm:102", "vm:103"]


def test_what_belongs_together_is_kept_together_by_ha(lab: Any) -> None:
    driver = lab.form()
    for vmid, name in ((101, "app"), (102, "cache")):
        make(driver, vmid, name, cpu="x86-64-v3")
    for _ in range(2):
        driver.ensure_together("app", (101, 102))
    (rule,) = driver._api.get("cluster/ha/rules")
    assert (rule["rule"], rule["affinity"]) == ("metal-together-app", "positive")
    assert vm(lab, 101)["config"]["cpu"] == "x86-64-v3"


def test_a_vm_that_is_not_there_is_told(lab: Any) -> None:
    with pytest.raises(Failed, match="there is no VM 999"):
        lab.driver("alba1", solo=True).where(999)


def test_a_vm_that_leaves_between_two_questions_is_found_where_it_went(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HA moves it home just after the cluster's list was read: its node knows no such VM."""
    driver = lab.form()
    make(driver, 101, "git")
    driver.ensure_started(101)
    api, rows = driver._api, []
    get = api.get

    def late(path: str, **params: Any) -> Any:
        rows.append(path)
        if rows.count(path) == 1 and path.endswith("/alba1/qemu/101/status/current"):
            lab.driver().ensure_migrated(101, "alba2")
        return get(path, **params)

    monkeypatch.setattr(api, "get", late)
    assert driver.where(101) == ("alba2", "running")
    assert "nodes/alba1/qemu/101/status/current" in rows


def test_a_vm_with_several_homes_can_be_in_another_rule(lab: Any) -> None:
    """Proxmox takes an order of nodes only of VMs that no other rule is about, whoever is first."""
    driver = lab.form()
    for vmid, node in ((101, "alba1"), (102, "alba2"), (103, "alba3")):
        make(driver, vmid, f"db{vmid}", node=node)
    driver.ensure_home(101, ("alba1", "alba3"))
    driver.ensure_apart("db", (101, 102))
    driver.ensure_home(102, ("alba2", "alba3"))
    driver.ensure_home(103, ("alba3", "alba1"))
    rules = {row["rule"]: row for row in driver._api.get("cluster/ha/rules")}
    homes = {name: row["nodes"] for name, row in rules.items() if "home" in name}
    assert homes == {
        "metal-home-101": "alba1:1",
        "metal-home-102": "alba2:1",
        "metal-home-103": "alba3:2,alba1:1",
    }
    ranks = {"type": "node-affinity", "nodes": "alba1:2,alba3:1"}
    with pytest.raises(Failed, match="multiple priorities"):
        driver._api.put("cluster/ha/rules/metal-home-101", ranks)


@pytest.mark.parametrize("first", ["home", "apart"])
def test_of_vms_that_are_apart_one_is_at_home_on_a_server(lab: Any, first: str) -> None:
    """Proxmox refuses homes of fewer nodes than VMs, whoever is first; the second goes without."""
    driver = lab.form()
    for vmid, node in ((101, "alba1"), (102, "alba2")):
        make(driver, vmid, f"db{vmid}", node=node)
    if first == "apart":
        driver.ensure_apart("db", (101, 102))
    driver.ensure_home(101, ("alba1",))
    driver.ensure_home(102, ("alba1",))
    driver.ensure_apart("db", (101, 102))
    rules = {row["rule"]: row for row in driver._api.get("cluster/ha/rules")}
    assert set(rules) == {"metal-home-101", "metal-apart-db"}
    second = {"rule": "theirs", "type": "node-affinity", "resources": "vm:102", "nodes": "alba1"}
    with pytest.raises(Failed, match="negative resource affinity"):
        driver._api.post("cluster/ha/rules", second)
    second["nodes"] = "alba2"
    driver._api.post("cluster/ha/rules", second)
    with pytest.raises(Failed, match="less nodes"):
        driver._api.put("cluster/ha/rules/theirs", {"type": "node-affinity", "nodes": "alba1"})


@pytest.mark.parametrize("first", ["home", "together"])
def test_of_vms_that_stay_together_one_has_a_home(lab: Any, first: str) -> None:
    """Proxmox takes one rule of nodes for all of them, whoever is first; the others follow."""
    driver = lab.form()
    for vmid in (101, 102):
        make(driver, vmid, f"db{vmid}", node="alba1")
    if first == "together":
        driver.ensure_together("db", (101, 102))
    driver.ensure_home(101, ("alba1",))
    driver.ensure_home(102, ("alba2",))
    driver.ensure_together("db", (101, 102))
    rules = {row["rule"]: row for row in driver._api.get("cluster/ha/rules")}
    assert set(rules) == {"metal-home-101", "metal-together-db"}
    second = {"rule": "theirs", "type": "node-affinity", "resources": "vm:102", "nodes": "alba2"}
    with pytest.raises(Failed, match="positive resource affinity"):
        driver._api.post("cluster/ha/rules", second)
