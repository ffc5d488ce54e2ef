"""Every request is judged by the real schema, with the real answers."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from metal.lab.proxmox import access
from metal.lab.proxmox.carry import API, API_8, main

SHARED = Path(__file__).resolve().parents[3] / "shared" / "pve" / "api-9.2.json"
OLD = SHARED.with_name("api-8.4.json")
whole = pytest.mark.skipif(not SHARED.exists(), reason=f"no {SHARED.name} beside the repository")


@whole
def test_what_is_carried_is_the_real_schema(tmp_path: Path) -> None:
    main(str(SHARED), str(tmp_path / "api.json"))
    assert (tmp_path / "api.json").read_text() == API.read_text()


@pytest.mark.skipif(not OLD.exists(), reason=f"no {OLD.name} beside the repository")
def test_what_is_carried_of_8_is_the_real_schema_too(tmp_path: Path) -> None:
    main(str(OLD), str(tmp_path / "api.json"))
    assert (tmp_path / "api.json").read_text() == API_8.read_text()


@whole
def test_every_real_call_is_known() -> None:
    real, carried = json.loads(SHARED.read_text()), json.loads(API.read_text())
    known = {(p, m) for p, calls in carried["paths"].items() for m in calls}
    known |= {(p, m) for p, methods in carried["others"].items() for m in methods.split()}
    assert known == {(path, method) for path, methods in real.items() for method in methods}


def test_an_unknown_path(site) -> None:
    answer = site.client().call("GET", "/nodes/n1/nonsense")
    assert answer.status_code == 501 and "not implemented" in answer.reason


def test_a_real_call_that_is_not_simulated_says_so(site) -> None:
    answer = site.client().call("GET", "/cluster/backup")
    assert answer.status_code == 501 and "does not simulate" in answer.reason


@pytest.mark.parametrize(
    ("params", "wrong"),
    [
        ({}, "vmid"),
        ({"vmid": "x"}, "vmid"),
        ({"vmid": 50}, "vmid"),
        ({"vmid": 100, "cores": "many"}, "cores"),
        ({"vmid": 100, "onboot": "maybe"}, "onboot"),
        ({"vmid": 100, "nonsense": 1}, "nonsense"),
        ({"vmid": 100, "netx": "virtio"}, "netx"),
        ({"vmid": 100, "net99x": "virtio"}, "net99x"),
    ],
)
def test_bad_parameters_are_named(site, params, wrong: str) -> None:
    answer = site.client().call("POST", "/nodes/n1/qemu", **params)
    assert answer.status_code == 400
    assert wrong in answer.json()["errors"]


def test_indexed_parameters(site) -> None:
    cards = {
        "net0": "virtio,bridge=vmbr0",
        "scsi0": "local-lvm:8",
        "ipconfig0": "ip=10.0.0.2/24,gw=10.0.0.1",
    }
    site.vm(site.client(), 100, "n1", ha=False, **cards)
    assert site.client().data("GET", "/nodes/n1/qemu/100/config")["ipconfig0"] == cards["ipconfig0"]


def test_section_configs_are_judged_by_their_branch(cluster) -> None:
    site, client = cluster
    rule = {"rule": "apart", "type": "resource-affinity", "resources": "vm:100,vm:101"}
    assert "affinity" in client.call("POST", "/cluster/ha/rules", **rule).json()["errors"]
    answer = client.call("POST", "/cluster/ha/rules", **rule, affinity="negative", nodes="n1")
    assert "nodes" in answer.json()["errors"]
    answer = client.call("POST", "/cluster/ha/rules", **rule, affinity="negative")
    assert "cannot use unmanaged resource(s) vm:100, vm:101" in answer.json()["message"]
    for vmid in (100, 101):
        site.vm(client, vmid, "n1")
    home = {"rule": "home", "type": "node-affinity", "resources": "vm:100"}
    answer = client.call("POST", "/cluster/ha/rules", **home, nodes="n1:2,n9:1")
    assert "cannot use non-existant node(s) n9" in answer.json()["message"]
    client.data("POST", "/cluster/ha/rules", **rule, affinity="negative")
    assert client.data("GET", "/cluster/ha/rules/apart")["affinity"] == "negative"


def test_a_wrong_password(site) -> None:
    client = site.client()
    answer = client.call("POST", "/access/ticket", username="root@pam", password="no")
    assert answer.status_code == 401


def test_no_ticket_and_a_foreign_one(site) -> None:
    client = site.client()
    client.headers = {}
    assert client.call("GET", "/nodes").status_code == 401
    client.headers = dict(site.client("n2").headers)
    assert client.call("GET", "/nodes").status_code == 401


def test_a_write_without_the_csrf_token(site) -> None:
    client = site.client()
    del client.headers["CSRFPreventionToken"]
    assert client.call("GET", "/nodes").ok
    answer = client.call("POST", "/nodes/n1/qemu", vmid=100)
    assert answer.status_code == 401 and "csrf token" in answer.reason


def test_a_ticket_lives_two_hours(site) -> None:
    """Of real time: a lab whose clock runs fast must not log people out."""
    client, cluster = site.client(), site.dc.node_at("n1").cluster
    for age, code in ((7190, 200), (7210, 401)):
        old = access.ticket(cluster, "root@pam", time.time() - age)
        client.headers["Cookie"] = f"PVEAuthCookie={old}"
        assert client.call("GET", "/nodes").status_code == code


def token(client, *, privsep: int) -> dict[str, str]:
    made = client.data("POST", "/access/users/root@pam/token/lab", privsep=privsep)
    return {"Authorization": f"PVEAPIToken={made['full-tokenid']}={made['value']}"}


def test_a_token_writes_without_csrf_but_not_what_root_must_sign(site) -> None:
    client = site.client()
    client.headers = token(client, privsep=0)
    assert client.call("GET", "/nodes").ok
    answer = client.call("POST", "/cluster/config", clustername="test")
    assert answer.status_code == 403
    answer = client.call("POST", "/nodes/n1/ceph/osd", dev="/dev/sdb")
    assert answer.status_code == 403


def test_a_token_apart_from_its_user_may_nothing_by_itself(site) -> None:
    client = site.client()
    client.headers = token(client, privsep=1)
    assert client.call("POST", "/cluster/ha/resources", sid="vm:100").status_code == 403


def test_what_is_missing_or_taken(site) -> None:
    client = site.client()
    assert client.call("GET", "/nodes/n1/qemu/999/config").status_code == 500
    assert client.call("GET", "/nodes/n9/qemu").status_code == 500
    assert client.data("GET", "/cluster/nextid") == "100"
    site.vm(client, 100, "n1", ha=False)
    assert client.call("POST", "/nodes/n1/qemu", vmid=100).status_code == 500
    assert client.call("GET", "/cluster/nextid", vmid=100).status_code == 400
