"""What a BMC offers → findings: each with its severity, and what nobody knows said so."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import pytest

from metal.enroll.audit import CHECKS, Surroundings, audit, completed
from metal.model.facts import Account
from metal.model.findings import Audit, Exposure, at_least

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
CLOSED: dict[str, Any] = {
    "ipmi_lan": False,
    "cipher_suites": (17,),
    "auth_types": ("md5",),
    "anonymous": False,
    "snmp": False,
    "snmp_communities": (),
    "services": ("https", "ssh"),
    "certificate_expires": "2030-01-01",
    "certificate_self_signed": False,
    "password_change_required": False,
    "clock": "2026-11-25T12:00:07+00:00",
    "log_full": False,
}
AROUND: dict[str, Any] = {
    "accounts": (Account(name="metal", enabled=True, role="Administrator"),),
    "pinned": True,
    "ipmi_answers": False,
    "now": NOW,
}
ROOT = Account(name="root", enabled=True, role="Administrator")
OUTSIDE = {
    "protocol": "ipmi",
    "ipmi_answers": True,
    "address": "10.11.0.11",
    "ours": "10.99.0.5",
    "bmc_subnet": ip_network("10.11.0.0/24"),
}


def of(exposure: dict[str, Any] | None = None, around: dict[str, Any] | None = None) -> Audit:
    return audit(Exposure(**CLOSED | (exposure or {})), Surroundings(**AROUND | (around or {})))


def test_a_closed_bmc_has_no_findings() -> None:
    assert of() == Audit()


CASES: list[tuple[str, str, dict[str, Any], dict[str, Any], str]] = [
    ("cipher-0", "critical", {"cipher_suites": (0, 3, 17)}, {}, "cipher suites 0, 3, 17"),
    ("auth-none", "critical", {"auth_types": ("none", "md5")}, {}, "none, md5"),
    ("anonymous", "critical", {"anonymous": True}, {}, "anonymous"),
    ("default-accounts", "high", {}, {"accounts": (ROOT,)}, "root (Administrator)"),
    (
        "default-accounts",
        "high",
        {},
        {"accounts": (Account(name="USERID"),)},
        "USERID (role not told)",
    ),
    (
        "default-accounts",
        "medium",
        {},
        {"accounts": (Account(name="Operator", enabled=True, role="ReadOnly"),)},
        "Operator (ReadOnly)",
    ),
    (
        "other-administrators",
        "high",
        {},
        {"accounts": (Account(name="jose", role="Administrator"), Account(name="eve"))},
        "jose (Administrator), eve (role not told)",
    ),
    ("password-change-required", "high", {"password_change_required": True}, {}, "Change"),
    (
        "snmp-default",
        "medium",
        {"snmp": True, "snmp_communities": ("public",)},
        {},
        "communities public",
    ),
    (
        "snmp-default",
        "high",
        {"snmp": True, "snmp_communities": ("public", "private")},
        {},
        "public, private",
    ),
    (
        "snmp-default",
        "medium",
        {"snmp": None, "snmp_communities": ("public",)},
        {},
        "SNMP may be off",
    ),
    ("telnet-open", "high", {"services": ("telnet", "https")}, {}, "telnet, https"),
    ("http-open", "low", {"services": ("http",)}, {}, "http"),
    ("log-full", "medium", {"log_full": True}, {}, "no entry fits"),
    ("legacy-tls", "medium", {}, {"legacy_tls": True}, "legacy"),
    ("certificate-expired", "info", {"certificate_expires": "2019-05-01"}, {}, "2019-05-01"),
    ("certificate-expired", "info", {"certificate_expires": "2026-12-01"}, {}, "2026-12-01"),
    (
        "certificate-expired",
        "medium",
        {"certificate_expires": "2019-05-01"},
        {"pinned": False},
        "2019-05-01",
    ),
    ("certificate-self-signed", "info", {"certificate_self_signed": True}, {}, "same"),
    (
        "certificate-self-signed",
        "medium",
        {"certificate_self_signed": True},
        {"pinned": False},
        "same",
    ),
    ("clock-off", "low", {"clock": "1970-01-01T00:05:00+00:00"}, {}, "1970"),
    ("clock-off", "low", {"clock": "2026-11-25T15:00:00+00:00"}, {}, "15:00"),
    ("ipmi-needless", "low", {"ipmi_lan": True}, {}, "ProtocolEnabled"),
    ("cipher-3-only", "low", {"cipher_suites": (1, 2, 3)}, {}, "1, 2, 3"),
    ("ipmi-reachable", "medium", {}, OUTSIDE, "10.99.0.5, which is not in 10.11.0.0/24"),
    ("ipmi-reachable", "high", {}, OUTSIDE | {"address": "8.8.4.4"}, "got an answer"),
]


@pytest.mark.parametrize(("id", "severity", "exposure", "around", "evidence"), CASES)
def test_each_finding(
    id: str, severity: str, exposure: dict[str, Any], around: dict[str, Any], evidence: str
) -> None:
    [found] = of(exposure, around).findings
    assert (found.id, found.severity) == (id, severity)
    assert evidence in found.evidence and found.what and found.remedy


def test_every_check_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(CHECKS)


def test_what_is_not_told_is_unknown_and_not_fine() -> None:
    said = audit(Exposure(unknown={"cipher_suites": "only IPMI tells it"}), Surroundings(now=NOW))
    assert said.findings == ()
    assert set(said.unknown) == set(CHECKS) - {"legacy-tls"}
    assert said.unknown["cipher-0"] == "only IPMI tells it"
    assert all(said.unknown.values())


FINE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"accounts": (ROOT.model_copy(update={"enabled": False}),)}),  # disabled
    ({}, {"accounts": (ROOT,), "user": "root"}),  # it is metal's own
    ({"snmp": False, "snmp_communities": ("public",)}, {}),  # SNMP is off
    ({"cipher_suites": None, "auth_types": None}, {}),  # as IPMI is off
    ({"cipher_suites": (3, 17)}, {}),
    ({"ipmi_lan": True}, {"protocol": "ipmi"}),  # there is nothing else
    ({}, OUTSIDE | {"ipmi_answers": False}),
]


@pytest.mark.parametrize(("exposure", "around"), FINE)
def test_what_is_fine(exposure: dict[str, Any], around: dict[str, Any]) -> None:
    assert of(exposure, around) == Audit()


INSIDE: list[tuple[dict[str, Any], str]] = [
    ({"ours": "10.11.0.5"}, "nobody looked from outside"),
    ({"ours": "127.0.0.1"}, "nothing is outside"),
    ({"ours": None}, "not known from where"),
    ({"bmc_subnet": None}, "not known from where"),
    ({"ipmi_answers": None}, "not asked"),
]


@pytest.mark.parametrize(("around", "why"), INSIDE)
def test_reachability_that_nobody_saw_is_unknown(around: dict[str, Any], why: str) -> None:
    said = of({}, OUTSIDE | around)
    assert said.findings == () and why in said.unknown["ipmi-reachable"]


def test_the_worst_comes_first() -> None:
    said = of({"anonymous": True, "services": ("http", "telnet"), "ipmi_lan": True})
    assert [f.severity for f in said.findings] == ["critical", "high", "low", "low"]


def test_what_one_protocol_does_not_tell_the_other_completes() -> None:
    redfish = Exposure(
        anonymous=False,
        ipmi_lan=True,
        unknown={"cipher_suites": "only IPMI tells it", "log_full": "not told"},
    )
    both = completed(redfish, Exposure(cipher_suites=(0,), anonymous=True))
    assert (both.cipher_suites, both.ipmi_lan) == ((0,), True)
    assert both.anonymous, "IPMI has users of its own, and one of them may have no name"
    assert both.unknown == {"log_full": "not told"}


def test_severities_are_ordered() -> None:
    assert at_least("critical", "high") and at_least("high", "high")
    assert not at_least("medium", "high") and not at_least("info", "low")


def test_the_port_that_is_named_is_the_bmcs_own() -> None:
    (found,) = of({"ipmi_lan": True}, {"ipmi_port": 6623, "ipmi_answers": None}).findings
    assert "reach UDP port 6623;" in found.remedy and "UDP" not in found.what
    silent = of({"ipmi_lan": True}).findings[0]
    assert silent.what.endswith("does not answer on UDP port 623 from here")
