"""What Proxmox really does, fact by fact: forming, quorum, Ceph, high availability."""

from __future__ import annotations

import re

import pytest

UPID = re.compile(r"UPID:n1:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:[a-z]+:[^:]*:root@pam:")


def test_there_is_no_join_information_before_a_cluster(site) -> None:
    assert site.client().call("GET", "/cluster/config/join").status_code == 424


def test_a_long_call_answers_a_upid(site) -> None:
    client = site.client()
    upid = client.data("POST", "/cluster/config", clustername="test")
    assert UPID.fullmatch(upid)
    assert site.task(client, upid) == "OK"


def test_a_cluster_name_has_fifteen_characters(site) -> None:
    answer = site.client().call("POST", "/cluster/config", clustername="x" * 16)
    assert "clustername" in answer.json()["errors"]


def test_a_hasty_join_fails_in_its_task_alone(site) -> None:
    client = site.client()
    site.task(client, client.data("POST", "/cluster/config", clustername="test"))
    joining = site.client("n2")
    upid = joining.data("POST", "/cluster/config/join", **site.into())
    assert "not ready - no quorum?" in site.task(joining, upid)


def test_two_joins_at_once_break(site) -> None:
    client = site.client()
    site.task(client, client.data("POST", "/cluster/config", clustername="test"))
    site.clock.move(30)
    upids = {}
    for node in ("n2", "n3"):
        joining = site.client(node)
        upids[node] = (joining, joining.data("POST", "/cluster/config/join", **site.into()))
    site.clock.move(60)
    rows = site.client("n1").data("GET", "/cluster/status")
    online = [row["name"] for row in rows if row["type"] == "node" and row["online"]]
    assert sorted(online) != ["n1", "n2", "n3"]


def test_a_node_with_guests_does_not_join(site) -> None:
    client = site.client()
    site.task(client, client.data("POST", "/cluster/config", clustername="test"))
    site.clock.move(30)
    joining = site.client("n2")
    site.vm(joining, 100, "n2", ha=False)
    upid = joining.data("POST", "/cluster/config/join", **site.into())
    assert site.task(joining, upid) != "OK"


def test_without_quorum_one_may_read_only(cluster) -> None:
    site, client = cluster
    site.dc.power_off("n2")
    site.dc.power_off("n3")
    site.clock.move(5)
    client = site.client("n1")
    assert client.call("GET", "/cluster/resources").ok
    answer = client.call("POST", "/nodes/n1/qemu", vmid=100)
    assert answer.status_code == 500 and "no quorum" in answer.reason


def test_a_dead_node_through_another(cluster) -> None:
    site, client = cluster
    site.dc.power_off("n3")
    assert client.call("GET", "/nodes/n3/qemu").status_code == 595


def test_ceph_in_its_order(cluster) -> None:
    site, client = cluster
    assert not client.call("POST", "/nodes/n1/ceph/mon/n1").ok
    assert client.data("POST", "/nodes/n1/ceph/init", network="10.0.0.0/24") is None
    upid = client.data("POST", "/nodes/n1/ceph/mon/n1")
    assert site.task(client, upid) == "OK"
    site.task(client, client.data("POST", "/nodes/n1/ceph/mgr/n1"))
    upid = client.data("POST", "/nodes/n1/ceph/osd", dev="/dev/sdb", encrypted=1)
    assert site.task(client, upid) == "OK"
    used = client.call("POST", "/nodes/n1/ceph/osd", dev="/dev/sdb")
    assert not used.ok or site.task(client, used.json()["data"]) != "OK"
    found = site.dc.truth()["clusters"]["test"]["ceph"]["osds"]
    assert [(o["node"], o["device"], bool(o["encrypted"])) for o in found] == [
        ("n1", "/dev/sdb", True)
    ]


# ── high availability ────────────────────────────────────────────────────────────────────────


def settled(site, *vmids: int) -> None:
    site.after(lambda: all(site.truth(v)["copies"] for v in vmids))
    site.clock.move(30)
    site.dc.truth()


def master(site) -> str:
    return str(site.dc.truth()["clusters"]["test"]["ha"]["master"])


def test_a_lost_nodes_vms_run_elsewhere_after_two_minutes(cluster) -> None:
    site, client = cluster
    lost = next(n for n in ("n2", "n3"))
    site.vm(client, 100, lost)
    settled(site, 100)
    assert master(site) != lost
    site.dc.power_off(lost)
    took = site.after(lambda: site.truth(100)["copies"] not in ([], [lost]))
    assert 110 <= took <= 150
    assert site.truth(100)["max_copies"] == 1


def test_losing_the_master_costs_a_minute_more(cluster) -> None:
    site, client = cluster
    site.vm(client, 100, "n1")
    settled(site, 100)
    assert master(site) == "n1"
    site.dc.power_off("n1")
    took = site.after(lambda: site.truth(100)["copies"] not in ([], ["n1"]))
    assert 170 <= took <= 215
    assert site.truth(100)["max_copies"] == 1


def test_a_node_that_is_cut_off_resets_itself_before_anyone_takes_over(cluster) -> None:
    site, client = cluster
    site.vm(client, 100, "n2")
    settled(site, 100)
    site.dc.cable("n2", plugged=False)
    site.after(lambda: site.truth(100)["copies"] not in ([], ["n2"]))
    assert site.truth(100)["max_copies"] == 1
    what = [e["what"] for e in site.dc.truth()["events"] if e["where"] == "n2"]
    assert "reset by watchdog" in what


def test_a_node_whose_power_is_cut_while_it_resets_itself_stays_off(cluster) -> None:
    site, client = cluster
    site.vm(client, 100, "n2")
    settled(site, 100)
    site.dc.cable("n2", plugged=False)
    site.after(lambda: site.dc.truth()["nodes"]["n2"]["power"] == "off")
    site.dc.power_off("n2")
    site.after(lambda: site.truth(100)["copies"] not in ([], ["n2"]))
    assert site.dc.truth()["nodes"]["n2"]["power"] == "off"
    assert "up again" not in [e["what"] for e in site.dc.truth()["events"] if e["where"] == "n2"]


def test_replicas_are_not_restarted_side_by_side(cluster) -> None:
    site, client = cluster
    site.vm(client, 100, "n2")
    site.vm(client, 101, "n3")
    given = {"type": "resource-affinity", "affinity": "negative", "resources": "vm:100,vm:101"}
    client.data("POST", "/cluster/ha/rules", rule="apart", **given)
    settled(site, 100, 101)
    site.dc.power_off("n2")
    site.after(lambda: site.truth(100)["copies"] not in ([], ["n2"]))
    assert site.truth(100)["copies"] == ["n1"]


def test_rules_forget_what_ha_no_longer_manages(cluster) -> None:
    site, client = cluster
    site.vm(client, 100, "n2")
    site.vm(client, 101, "n3")
    home = {"type": "node-affinity", "nodes": "n2", "resources": "vm:100"}
    client.data("POST", "/cluster/ha/rules", rule="home", **home)
    apart = {"type": "resource-affinity", "affinity": "negative", "resources": "vm:100,vm:101"}
    client.data("POST", "/cluster/ha/rules", rule="apart", **apart)
    client.data("DELETE", "/cluster/ha/resources/vm:101", purge=0)
    assert len(client.data("GET", "/cluster/ha/rules")) == 2
    client.data("DELETE", "/cluster/ha/resources/vm:100")
    (left,) = client.data("GET", "/cluster/ha/rules")
    assert (left["rule"], left["resources"]) == ("apart", "vm:101")


def test_with_no_node_allowed_recovery_waits(cluster) -> None:
    site, client = cluster
    site.vm(client, 100, "n2")
    given = {"type": "node-affinity", "nodes": "n2", "resources": "vm:100", "strict": 1}
    client.data("POST", "/cluster/ha/rules", rule="home", **given)
    settled(site, 100)
    site.dc.power_off("n2")
    site.clock.move(400)
    ha = site.dc.truth()["clusters"]["test"]["ha"]
    assert ha["services"]["vm:100"][0] == "recovery"
    assert site.truth(100)["copies"] == []


def test_what_fits_nowhere_ends_in_error(cluster) -> None:
    site, client = cluster
    site.vm(client, 100, "n2", memory="40960")
    site.clock.move(200)
    ha = site.dc.truth()["clusters"]["test"]["ha"]
    assert ha["services"]["vm:100"][0] == "error"


def test_a_migration_that_ha_was_asked_for_is_live(cluster) -> None:
    site, client = cluster
    site.vm(client, 100, "n2")
    settled(site, 100)
    upid = client.data("POST", "/nodes/n2/qemu/100/migrate", target="n3", online=1)
    assert site.task(client, upid) == "OK"
    site.after(lambda: site.truth(100)["copies"] == ["n3"])
    assert (site.truth(100)["starts"], site.truth(100)["max_copies"]) == (1, 1)


@pytest.mark.parametrize("state", ["stopped", "disabled"])
def test_what_ha_is_told_to_stop_stops(cluster, state: str) -> None:
    site, client = cluster
    site.vm(client, 100, "n2")
    settled(site, 100)
    client.data("PUT", "/cluster/ha/resources/vm:100", state=state)
    site.after(lambda: site.truth(100)["copies"] == [])
    client.data("PUT", "/cluster/ha/resources/vm:100", state="started")
    site.after(lambda: site.truth(100)["copies"] == ["n2"])
