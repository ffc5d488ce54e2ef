"""What of Ceph's health makes a server's disks slow ones, on the double and in Ceph's own words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metal.drivers.proxmox.slowness import slow_osds
from metal.lab.proxmox.ceph import slow_ops


class Told:
    """An Api that has a tree of six OSDs on three servers, two on each."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def node(self) -> Any:
        return type("Node", (), {"name": "alba1"})

    def get(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        hosts = [
            {
                "type": "host",
                "name": f"alba{host + 1}",
                "children": [{"type": "osd", "id": str(2 * host + n)} for n in (0, 1)],
            }
            for host in range(3)
        ]
        return {"root": {"children": [{"type": "root", "name": "default", "children": hosts}]}}


def status(message: str, *more: str, up: int = 6) -> dict[str, Any]:
    checks = {name: {"summary": {"message": "…"}} for name in more}
    checks["SLOW_OPS"] = {"summary": {"message": message}}
    counts = {"num_osds": 6, "num_up_osds": up, "num_in_osds": 6}
    return {"health": {"checks": checks}, "osdmap": counts}


def found(told: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return slow_osds(Told(), told)  # type: ignore[arg-type]


ONE = "3 slow ops, oldest one blocked for 1 sec, osd.3 has slow ops"


@pytest.mark.parametrize(
    ("told", "slow"),
    [
        (status(ONE), {"alba2": ("osd.3",)}),
        (status(ONE, "BLUESTORE_SLOW_OP_ALERT"), {"alba2": ("osd.3",)}),
        (status(slow_ops([4, 5])), {"alba3": ("osd.4", "osd.5")}),
        (status("9 slow ops, oldest one blocked for 74 sec, osd,3 has slow ops"),
         {"alba2": ("osd.3",)}),
        (status("9 slow ops, oldest one blocked for 74 sec, daemons [osd,2,osd,3] have slow ops."),
         {"alba2": ("osd.2", "osd.3")}),
    ],
)  # fmt: skip
def test_slow_disks_of_one_server(told: dict[str, Any], slow: dict[str, tuple[str, ...]]) -> None:
    assert found(told) == slow


@pytest.mark.parametrize(
    "told",
    [
        status(ONE, "OSD_DOWN"),
        status(ONE, "PG_DEGRADED"),
        status(ONE, up=5),
        status(slow_ops([1, 2])),
        status("9 slow ops, oldest one blocked for 74 sec, daemons [osd.3,mon.a] have slow ops."),
        status("9 slow ops, oldest one blocked for 7 sec, daemons [osd.2,osd.3]... have slow ops."),
        status("3 slow ops, oldest one blocked for 32 sec"),
        status("9 slow ops, oldest one blocked for 1 sec, osd.9 has slow ops"),
    ],
    ids=["an OSD lost", "data moved", "not all up", "two servers", "a monitor", "not all named",
         "nobody named", "a stranger"],
)  # fmt: skip
def test_what_says_nothing_of_one_server(told: dict[str, Any]) -> None:
    assert found(told) == {}


@given(st.text(max_size=80), st.lists(st.sampled_from(["SLOW_OPS", "X"])))
def test_any_text_is_taken(message: str, checks: list[str]) -> None:
    assert found(status(message, *checks)) == {}


def test_nothing_more_is_asked_while_nothing_is_slow() -> None:
    told = Told()
    well: Any = {"health": {"checks": {}}, "osdmap": {"num_osds": 6}}
    assert slow_osds(told, well) == {}  # type: ignore[arg-type]
    assert told.asked == []


def test_a_look_tells_it_until_it_is_over(lab: Any) -> None:
    driver = lab.form()
    with lab.datacenter.present() as nodes:
        ceph = nodes["alba1"].cluster.ceph
    assert driver.look()[0].ceph_slow == {}
    server = ceph.osds[1].node
    ceph.slow = {1}
    assert driver.look()[0].ceph_slow == {server: ("osd.1",)}
    ceph.osds[2].stopped = True
    assert driver.look()[0].ceph_slow == {}
    ceph.osds[2].stopped = False
    ceph.slow = set()
    assert driver.look()[0].ceph_slow == {}
