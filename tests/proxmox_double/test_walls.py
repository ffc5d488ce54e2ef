"""A VM's firewall, as PVE::API2::Firewall::Rules answers."""

from typing import Any

import pytest

RULES = "/nodes/n1/qemu/101/firewall/rules"
ACCEPT = {"type": "in", "action": "ACCEPT"}


@pytest.fixture
def client(site) -> Any:
    found = site.client()
    site.vm(found, 101, "n1", ha=False)
    return found


def comments(client: Any) -> list[str]:
    return [row["comment"] for row in client.data("GET", RULES)]


def test_a_new_rule_is_the_first_and_does_nothing(client: Any) -> None:
    for name in ("a", "b", "c"):
        client.data("POST", RULES, **ACCEPT, comment=name, pos=5)
    assert comments(client) == ["c", "b", "a"]
    assert [row["enable"] for row in client.data("GET", RULES)] == [0, 0, 0]


@pytest.mark.parametrize(("pos", "to", "after"), [(0, 3, "bac"), (0, 2, "bca"), (2, 0, "acb")])
def test_a_rule_that_is_moved_is_not_changed(client: Any, pos: int, to: int, after: str) -> None:
    """It comes before the one that is at `moveto`."""
    for name in ("a", "b", "c"):
        client.data("POST", RULES, **ACCEPT, comment=name)
    client.data("PUT", f"{RULES}/{pos}", moveto=to, comment="changed", enable=1)
    expected = {"bac": ["b", "a", "c"], "bca": ["b", "c", "a"], "acb": ["a", "c", "b"]}
    assert comments(client) == expected[after]


def test_who_saw_other_rules_is_told(client: Any) -> None:
    client.data("POST", RULES, **ACCEPT, comment="a")
    old = client.data("GET", RULES)[0]["digest"]
    client.data("PUT", f"{RULES}/0", enable=1, digest=old)
    for method, more in (("PUT", {"enable": 0}), ("DELETE", {})):
        answer = client.call(method, f"{RULES}/0", digest=old, **more)
        assert answer.status_code == 500 and "detected modified configuration" in answer.reason
    assert client.call("DELETE", f"{RULES}/7").status_code == 500
    client.data("DELETE", f"{RULES}/0", digest=client.data("GET", RULES)[0]["digest"])
    assert client.data("GET", RULES) == []


@pytest.mark.parametrize(
    "wrong", [{"dport": "80", "proto": "icmp"}, {"iface": "vmbr0"}, {"source": "+nobody"}]
)
def test_a_rule_is_judged(client: Any, wrong: dict[str, str]) -> None:
    assert not client.call("POST", RULES, **ACCEPT, **wrong).ok
    client.data("POST", RULES, **ACCEPT, comment="a")
    assert not client.call("PUT", f"{RULES}/0", **wrong).ok


def test_options_are_those_that_were_set(client: Any) -> None:
    path = RULES.replace("rules", "options")
    client.data("PUT", path, enable=1, policy_in="DROP")
    found = client.data("GET", path)
    assert (found["enable"], found["policy_in"]) == (1, "DROP") and "policy_out" not in found
    client.data("PUT", path, delete="policy_in", digest=found["digest"])
    assert "policy_in" not in client.data("GET", path)
    assert client.call("PUT", path, enable=0, digest=found["digest"]).status_code == 500
