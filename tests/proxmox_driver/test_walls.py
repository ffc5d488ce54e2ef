"""A VM's firewall through the driver: opened before it is closed, whoever is killed or meddles."""

from collections.abc import Callable
from typing import Any

import pytest

from metal.drivers.proxmox import tokens
from metal.model.errors import Failed, Refused
from metal.model.walls import CLOSED, WallOptions, WallRule

from .test_guests import DEDICATED, make

WEB, MAIL = (WallRule(card="net1", protocol="tcp", ports=port) for port in ("80", "25"))
INSIDE = WallRule(card="net0")
OLD, NEW = (INSIDE, MAIL), (INSIDE, WEB)
PATH = "nodes/alba1/qemu/101/firewall"
THEIRS = {"type": "in", "action": "DROP", "source": "192.0.2.9", "enable": 1}


class Killed(BaseException):
    """As SIGKILL: nothing is tidied up."""


@pytest.fixture
def driver(lab: Any) -> Any:
    found = lab.driver("alba1", solo=True)
    make(found, 101, "web", storage="local", ha=False, addressing=DEDICATED)
    return found


def give(driver: Any, rules: tuple[WallRule, ...]) -> None:
    driver.ensure_datacenter(on=True)
    driver.ensure_opened(101, rules)
    driver.ensure_wall_options(101, CLOSED)
    driver.ensure_only(101, [rule.comment for rule in rules])


def rows(driver: Any) -> list[dict[str, Any]]:
    return list(driver._api.get(f"{PATH}/rules"))


def lets_in(driver: Any, port: str) -> bool:
    """Whether a caller from anywhere reaches the port, if Proxmox acts on what stands there now."""
    options = driver._api.get(f"{PATH}/options")
    if not (options.get("enable") and options.get("policy_in") == "DROP"):
        return True
    return any(
        row["enable"] and row["action"] == "ACCEPT" and row.get("dport") == port
        for row in rows(driver)
    )


def writes(driver: Any, monkeypatch: Any, act: Callable[[int], None]) -> list[str]:
    """Each write, `act` being told which one it is before it goes out."""
    seen: list[str] = []
    for method in ("post", "put", "delete"):
        real = getattr(driver._api, method)

        def call(path: str, params: Any = None, *, real: Any = real, method: str = method) -> Any:
            seen.append(f"{method} {path}")
            act(len(seen))
            return real(path, params)

        monkeypatch.setattr(driver._api, method, call)
    return seen


def test_ours_come_after_a_persons_and_a_second_time_changes_nothing(
    driver: Any, monkeypatch: Any
) -> None:
    for comment in ("mine", ""):
        driver._api.post(f"{PATH}/rules", THEIRS | ({"comment": comment} if comment else {}))
    before = [{**row, "digest": "", "pos": 0} for row in rows(driver)]
    give(driver, NEW)
    found = [{**row, "digest": "", "pos": 0} for row in rows(driver)]
    assert found[:2] == before
    assert {row["comment"] for row in found[2:]} == {rule.comment for rule in NEW}
    assert all(row["enable"] for row in found)
    seen = driver.wall(101)
    assert seen.options == CLOSED and seen.watched and all(r.right for r in seen.rules)
    assert not writes(driver, monkeypatch, lambda _n: None)
    give(driver, NEW)


def test_what_is_no_longer_wanted_goes_and_a_persons_stays(driver: Any) -> None:
    give(driver, OLD)
    driver._api.post(f"{PATH}/rules", THEIRS)
    give(driver, NEW)
    assert rows(driver)[0].get("comment") is None
    assert {row.get("dport") for row in rows(driver)} == {None, "80"}


def test_a_rule_of_ours_that_somebody_changed_is_made_anew(driver: Any) -> None:
    give(driver, NEW)
    at = next(row["pos"] for row in rows(driver) if row.get("dport") == "80")
    driver._api.put(f"{PATH}/rules/{at}", {"source": "192.0.2.1"})
    assert [rule.right for rule in driver.wall(101).rules].count(False) == 1
    give(driver, NEW)
    assert all(rule.right for rule in driver.wall(101).rules) and len(rows(driver)) == 2


def test_killed_at_any_call_it_is_never_shut_off_and_goes_on(driver: Any, monkeypatch: Any) -> None:
    """Before each write: what was served before is let in, and so is what is served afterwards
    once the VM is closed by the new rules."""
    give(driver, OLD)
    driver._api.post(f"{PATH}/rules", THEIRS)
    before = rows(driver)
    number, done = 0, False
    while not done:
        number += 1
        give(driver, OLD)
        with monkeypatch.context() as patch:

            def act(this: int, last: int = number) -> None:
                assert lets_in(driver, "25") or lets_in(driver, "80")
                if this == last:
                    raise Killed

            writes(driver, patch, act)
            try:
                give(driver, NEW)
                done = True
            except Killed:
                pass
        assert lets_in(driver, "25") or lets_in(driver, "80")
    assert number == 4 + 1, "one rule made, moved and enabled, another removed"
    assert lets_in(driver, "80") and rows(driver)[0]["source"] == before[0]["source"]
    assert len(rows(driver)) == 3


def test_a_new_wall_that_is_killed_anywhere_lets_its_service_in(
    driver: Any, monkeypatch: Any
) -> None:
    done, number = False, 0
    while not done:
        number += 1
        # From the beginning each time: killed once at each call, not ever further.
        driver.ensure_datacenter(on=False)
        driver.ensure_wall_options(101, WallOptions())
        driver.ensure_only(101, [])
        with monkeypatch.context() as patch:

            def act(this: int, last: int = number) -> None:
                if this == last:
                    raise Killed

            seen = writes(driver, patch, act)
            try:
                give(driver, NEW)
                done = True
            except Killed:
                pass
        assert lets_in(driver, "80"), seen[-1]
        give(driver, NEW)
        assert len(rows(driver)) == 2 and lets_in(driver, "80")
    assert number == 6 + 1, "two rules made and enabled, the options, the cluster's"


def test_who_meddles_is_noticed_and_it_goes_on(driver: Any, monkeypatch: Any) -> None:
    real, times = driver._api.put, [3]

    def put(path: str, params: Any = None) -> Any:
        if "/rules/" in path and times[0]:
            times[0] -= 1
            driver._api.post(f"{PATH}/rules", THEIRS)
        return real(path, params)

    monkeypatch.setattr(driver._api, "put", put)
    give(driver, NEW)
    assert [row["action"] for row in rows(driver)].count("DROP") == 3
    assert lets_in(driver, "80")
    times[0] = 1000
    with pytest.raises(Failed, match="somebody else changes the firewall of VM 101"):
        give(driver, OLD)


@pytest.mark.parametrize("less", ["VM.Config.Network", "VM.Audit", "Sys.Modify", ""])
def test_the_role_suffices_and_nothing_less(lab: Any, driver: Any, less: str) -> None:
    token = driver.make_token("attic", "a test")
    kept = ",".join(sorted(tokens.privileges(9) - {less}))
    driver._api.put("access/roles/Metal", {"privs": kept})
    bound = lab.driver("alba1", solo=True, token=lambda: token)
    if not less:
        give(bound, NEW)
        return
    with pytest.raises((Refused, Failed)):
        give(bound, NEW)


def test_the_clusters_own_policy_stays_where_it_acts_already(driver: Any) -> None:
    path = "cluster/firewall/options"
    driver._api.put(path, {"enable": 1, "policy_in": "DROP"})
    driver.ensure_datacenter(on=True)
    assert driver._api.get(path)["policy_in"] == "DROP"
    driver.ensure_datacenter(on=False)
    assert not driver.datacenter_on()
