"""A site's VMs are closed by the firewall of a Proxmox double: proven, or undone."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from metal.cli.render.walls import walls_lines, walls_recipe
from metal.drivers.proxmox import Proxmox
from metal.model.addresses import Addressing
from metal.model.errors import Unreachable
from metal.model.life import Status
from metal.model.walls import CLOSED, SeenRule, SeenWall, WallOptions, WallRule
from metal.operations.run import Outcome, perform
from metal.operations.store import Store, open_store
from metal.routing.order import Call
from metal.routing.wall_order import WallOrder, WallsOrder
from metal.routing.walls import VERSION, WallPorts, apply_walls

INSIDE = WallRule(card="net0")
WEB, MAIL, PING = (
    WallRule(card="net1", protocol="tcp", ports="80"),
    WallRule(card="net1", protocol="tcp", ports="25"),
    WallRule(card="net1", protocol="icmp"),
)
CALLS = (Call(address="198.51.100.3", port=80), Call(address="198.51.100.3", port=25))
PATH = "nodes/alba1/qemu/101/firewall"


class Killed(BaseException):
    """As SIGKILL."""


class Clock:
    """Each look at it is ten seconds later."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 10
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store("sqlite", tmp_path / "state") as opened:
        yield opened


@pytest.fixture
def driver(lab: Any) -> Any:
    found = lab.driver("alba1", solo=True)
    found.ensure_vm(
        vmid=101,
        name="web",
        node="alba1",
        vcpus=1,
        memory_mib=1024,
        disk_gib=5,
        storage="local",
        addressing=Addressing(
            treatment="dedicated",
            private_ipv4="10.11.128.6/20",
            public_ipv4="198.51.100.3/28",
            gateway4="198.51.100.1",
        ),
        ha=False,
    )
    return found


def order_for(driver: Proxmox, rules: tuple[WallRule, ...], calls: Any = CALLS) -> WallsOrder:
    wall = WallOrder(
        vm="web", cluster="alba", vmid=101, rules=rules, before=driver.wall(101), calls=calls
    )
    return WallsOrder(
        site="lisbon",
        walls=(wall,) if wall.pending else (),
        clusters=() if driver.datacenter_on() else ("alba",),
        calls=calls,
    )


def silent_by(driver: Any) -> Any:
    """Those that the firewall as it stands keeps out, of a VM that answers at every port."""

    def silent(calls: Sequence[Call]) -> tuple[Call, ...]:
        options, rows = driver._api.get(f"{PATH}/options"), driver._api.get(f"{PATH}/rules")
        closed = driver.datacenter_on() and options.get("enable") and options["policy_in"] == "DROP"
        let_in = {row.get("dport") for row in rows if row["enable"]}
        return tuple(call for call in calls if closed and str(call.port) not in let_in)

    return silent


def give(store: Store, driver: Any, order: WallsOrder, **ports: Any) -> Outcome:
    given = WallPorts(
        **{
            "walls": lambda _cluster: driver,
            "silent": silent_by(driver),
            "every": 0.001,
            "clock": Clock(),
            **ports,
        }
    )
    operation = store.journal.open(
        "network apply", order.subject, (), {"order": order.model_dump(mode="json")}, VERSION
    )
    return perform(store, operation, lambda run: apply_walls(run, order, given))


def test_what_is_served_is_let_in_and_a_second_time_there_is_nothing_to_do(
    store: Store, driver: Any
) -> None:
    order = order_for(driver, (INSIDE, MAIL, WEB))
    assert give(store, driver, order).status is Status.DONE
    assert driver.datacenter_on() and driver.wall(101).options == CLOSED
    assert not order_for(driver, (INSIDE, MAIL, WEB)).pending
    order = order_for(driver, (INSIDE, WEB), CALLS[:1])
    assert list(order.walls[0].changes()) == [f"- {MAIL.comment}"]
    assert give(store, driver, order).status is Status.DONE
    assert [rule.comment for rule in driver.wall(101).rules] == [WEB.comment, INSIDE.comment]


def test_a_port_that_nobody_declared_undoes_it(store: Store, driver: Any) -> None:
    """25 is answered, and no rule lets it in."""
    theirs = {"type": "in", "action": "ACCEPT", "comment": "mine", "enable": 1, "proto": "icmp"}
    driver._api.post(f"{PATH}/rules", theirs)
    before = driver._api.get(f"{PATH}/rules")
    outcome = give(store, driver, order_for(driver, (INSIDE, WEB)))
    assert outcome.status is Status.FAILED
    assert "198.51.100.3:25: its firewall is as it was" in outcome.error
    assert driver._api.get(f"{PATH}/rules") == before
    assert driver.wall(101).options == WallOptions() and not silent_by(driver)(CALLS)


def test_the_former_rules_of_ours_stay_until_the_new_ones_are_proven(
    store: Store, driver: Any
) -> None:
    assert give(store, driver, order_for(driver, (INSIDE, MAIL, WEB))).status is Status.DONE
    before = driver.wall(101)
    calls = (*CALLS, Call(address="198.51.100.3", port=443))
    outcome = give(store, driver, order_for(driver, (INSIDE, WEB, PING), calls))
    assert outcome.status is Status.FAILED
    assert driver.wall(101) == before


def test_a_clusters_firewall_that_shuts_somebody_off_is_turned_off_again(
    store: Store, driver: Any
) -> None:
    driver.ensure_wall_options(101, CLOSED)
    outcome = give(store, driver, order_for(driver, (INSIDE, WEB)))
    assert outcome.status is Status.FAILED and "alba" in outcome.error
    assert not driver.datacenter_on()


def test_killed_at_any_write_the_same_order_goes_on(
    store: Store, driver: Any, monkeypatch: Any
) -> None:
    """And before and after each of them, both ports are answered."""
    done, number = False, 0
    while not done:
        number += 1
        driver.ensure_datacenter(on=False)
        driver.ensure_wall_options(101, WallOptions())
        driver.ensure_only(101, [])
        order = order_for(driver, (INSIDE, MAIL, WEB))
        left = [number]
        with monkeypatch.context() as patch:
            for method in ("post", "put", "delete"):
                real = getattr(driver._api, method)

                def call(
                    path: str, params: Any = None, *, real: Any = real, left: list[int] = left
                ) -> Any:
                    assert not silent_by(driver)(CALLS)
                    left[0] -= 1
                    if left[0] == 0:
                        raise Killed
                    return real(path, params)

                patch.setattr(driver._api, method, call)
            try:
                done = give(store, driver, order).status is Status.DONE
            except Killed:
                assert not silent_by(driver)(CALLS)
        if not done:
            assert give(store, driver, order).status is Status.DONE
        assert not silent_by(driver)(CALLS)
        assert not order_for(driver, (INSIDE, MAIL, WEB)).pending
    assert number == 8 + 1, "three rules made and enabled, the cluster's firewall, the options"


def test_a_cluster_that_does_not_answer_leaves_nothing_half_done(
    store: Store, driver: Any, monkeypatch: Any
) -> None:
    real, silence = driver.ensure_wall_options, [2]

    def ensure(vmid: int, options: WallOptions) -> None:
        if silence[0]:
            silence[0] -= 1
            raise Unreachable("no answer in time")
        real(vmid, options)

    monkeypatch.setattr(driver, "ensure_wall_options", ensure)
    assert give(store, driver, order_for(driver, (INSIDE, MAIL, WEB))).status is Status.DONE
    assert silence == [0] and driver.wall(101).options == CLOSED


def test_it_is_shown_rule_by_rule() -> None:
    before = SeenWall(
        rules=(
            SeenRule(comment=INSIDE.comment, enabled=True),
            SeenRule(comment=MAIL.comment, enabled=True),
            SeenRule(comment=PING.comment, enabled=True, right=False),
            SeenRule(comment=WEB.comment, enabled=False),
        ),
        options=WallOptions(enable=True, policy_in="REJECT"),
    )
    rules = (INSIDE, PING, WEB)
    wall = WallOrder(vm="web", cluster="alba", vmid=101, rules=rules, before=before)
    order = WallsOrder(site="lisbon", walls=(wall,), clusters=("alba",))
    assert walls_lines(order, 80) == [
        "lisbon/firewall: the firewall of alba is turned on, its hosts as open as before",
        "lisbon/firewall: 1. web (VM 101 in alba)",
        "  + IN ACCEPT -i net1 -p icmp",
        "  + IN ACCEPT -i net1 -p tcp -dport 80  (it is there and off)",
        "  - metal: net1 tcp 25",
        "  - metal: net1 icmp  (somebody changed it)",
        "  policy_in: REJECT → DROP",
        "  policy_out: not set → ACCEPT",
        "  no TCP port of it answers here now, so none proves afterwards that it is right",
        "by hand: web: policy_in REJECT: a person set this otherwise: --overwrite",
        "         replaces it",
    ]
    assert "In alba the firewall of every VM acts from now on" in walls_recipe(order)
