"""What the other files leave open: proxmoxer's way in, paging, and HA's bounds."""

from __future__ import annotations

import pytest
import urllib3
from proxmoxer import ProxmoxAPI
from proxmoxer.core import ResourceException


def test_proxmoxer_talks_to_it(site) -> None:
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    base = site.client().base.removeprefix("https://")
    host, port = base.partition("/")[0].split(":")
    api = ProxmoxAPI(
        host, port=int(port), user="root@pam", password="root-n1", verify_ssl=False, timeout=10
    )
    assert [node["node"] for node in api.nodes.get()] == ["n1"]
    with pytest.raises(ResourceException) as missing:
        api.nodes("n1").qemu.post(name="x")
    assert missing.value.status_code == 400 and "vmid" in str(missing.value.errors)


def test_a_tasks_log_comes_in_pages_of_fifty(site) -> None:
    client = site.client()
    upid = client.data("POST", "/cluster/config", clustername="test")
    assert site.task(client, upid) == "OK"
    site.clock.move(20)
    client = site.client()
    site.dc.node_at("n1").tasks[upid].log[:] = [f"line {n}" for n in range(1, 71)]

    def lines(**page: int) -> list[int]:
        found = client.data("GET", f"/nodes/n1/tasks/{upid}/log", **page)
        assert all(line["t"] == f"line {line['n']}" for line in found[:-1])
        return [line["n"] for line in found]

    assert lines() == list(range(1, 51))
    assert lines(start=50, limit=10) == list(range(51, 61))
    assert lines(start=69, limit=1) == [70]


def test_a_member_joins_no_second_time(cluster) -> None:
    site, _ = cluster
    joining = site.client("n2")
    upid = joining.data("POST", "/cluster/config/join", **site.into())
    assert site.task(joining, upid) != "OK"
    assert sorted(site.dc.truth()["clusters"]["test"]["members"]) == ["n1", "n2", "n3"]


def test_ha_idles_until_its_first_resource(cluster) -> None:
    site, _ = cluster
    site.clock.move(300)
    assert site.dc.truth()["clusters"]["test"]["ha"]["master"] == ""


@pytest.mark.parametrize(("restarts", "relocations"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_start_that_fails_is_tried_as_often_as_told(cluster, restarts, relocations) -> None:
    """On its node, then on others; and then no more."""
    site, client = cluster
    site.vm(client, 100, "n2", ha=False)
    upid = client.data("POST", "/nodes/n2/qemu/100/status/stop")
    assert site.task(client, upid) == "OK"
    vm = site.dc.node_at("n2").cluster.vms[100]
    vm.config["memory"] = 1 << 30  # it starts nowhere
    given = {"state": "started", "max_restart": restarts, "max_relocate": relocations}
    client.data("POST", "/cluster/ha/resources", sid="vm:100", **given)
    ha = site.dc.node_at("n2").cluster.ha
    site.after(lambda: site.dc.truth() and ha.services and ha.services["vm:100"].state == "error")
    events = site.dc.truth()["events"]
    tried = [e["where"] for e in events if e["what"].startswith("qmstart 100: ")]
    assert len(set(tried)) == 1 + relocations
    assert len(tried) == (1 + restarts) * (1 + relocations)
    assert site.truth(100)["copies"] == []


def test_recovery_takes_away_a_stale_lock(cluster) -> None:
    site, client = cluster
    site.vm(client, 100, "n2")
    site.after(lambda: site.truth(100)["copies"] == ["n2"])
    site.clock.move(30)
    site.dc.node_at("n1").cluster.vms[100].lock = "backup"
    site.dc.power_off("n2")
    site.after(lambda: site.truth(100)["copies"] not in ([], ["n2"]))
    assert site.dc.node_at("n1").cluster.vms[100].lock == ""


def test_recovery_that_waited_goes_on_when_a_node_is_allowed_again(cluster) -> None:
    site, client = cluster
    site.vm(client, 100, "n2")
    rule = {"type": "node-affinity", "nodes": "n2", "resources": "vm:100", "strict": 1}
    client.data("POST", "/cluster/ha/rules", rule="home", **rule)
    site.after(lambda: site.truth(100)["copies"] == ["n2"])
    site.clock.move(30)
    site.dc.power_off("n2")
    site.clock.move(400)
    site.dc.power_on("n2")
    site.after(lambda: site.truth(100)["copies"] == ["n2"], at_most=120)
    assert site.truth(100)["max_copies"] == 1


def test_resources_in_recovery_can_be_disabled(cluster) -> None:
    site, client = cluster
    site.vm(client, 100, "n2")
    rule = {"type": "node-affinity", "nodes": "n2", "resources": "vm:100", "strict": 1}
    client.data("POST", "/cluster/ha/rules", rule="home", **rule)
    site.after(lambda: site.truth(100)["copies"] == ["n2"])
    site.clock.move(30)
    site.dc.power_off("n2")
    site.clock.move(400)
    client.data("PUT", "/cluster/ha/resources/vm:100", state="disabled")
    ha = site.dc.node_at("n1").cluster.ha
    site.after(lambda: site.dc.truth() and ha.services["vm:100"].state == "stopped", at_most=60)
