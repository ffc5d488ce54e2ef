"""What BMCs can do is tried out on doubles that speak the protocol, and all is set back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from metal.controller.examining import kept_passport
from metal.controller.progress import silent
from metal.controller.targets import targets_of
from metal.drivers.redfish import Redfish
from metal.enroll.door import Credential
from metal.enroll.examine import Opened
from metal.enroll.proving import LEAST, MOST, poll_seconds, prove
from metal.lab.redfish_bmc import RedfishBmc
from metal.model.errors import Unreachable
from metal.model.fleet import BmcAccess
from metal.model.life import Life
from metal.model.passport import Passport

At = Callable[[Any], str]
Prove = Callable[..., Passport]


@pytest.fixture
def proving(fleet: Any) -> Iterator[tuple[RedfishBmc, Prove]]:
    """A BMC, and what proves it."""
    double = fleet.redfish(11)
    bmc = Redfish(double.host, "ADMIN", "factory-Pa55word", port=double.port, settle=0.2)
    access = BmcAccess(address=double.host, port=double.port)

    def passport(careful: str = "") -> Passport:
        opened = Opened(bmc, access, Credential("ADMIN", ""), None, bmc.facts())
        was = bmc.boot_once()
        return prove(opened, was, other=None, careful=careful, now="2026-11-25T12:00:00+00:00")

    yield double, passport
    bmc.close()


def works(passport: Passport) -> dict[str, bool]:
    return {f"{b.device}/{b.mode}": b.works for b in passport.boots}


def test_a_good_bmc_does_it_all(proving: tuple[RedfishBmc, Prove]) -> None:
    double, passport = proving
    proven = passport()
    assert works(proven) == dict.fromkeys(
        ("network/uefi", "network/bios", "http/uefi", "media/None", "disk/None"), True
    )
    assert proven.protocols == ("redfish",) and proven.redfish_version == "1.6.0"
    assert (proven.tls, proven.tls_version) == ("modern", "TLSv1.3")
    assert proven.virtual_media and proven.console == "none"
    assert proven.seconds_a_call and 0 < proven.seconds_a_call < 1
    assert LEAST <= proven.poll_seconds < MOST
    assert (double.machine.boot_once, double.machine.power) == (None, "off")


@pytest.mark.parametrize(
    ("faults", "fails"),
    [
        ("http-uri-refused", {"http/uefi"}),
        ("legacy-only mode-refused", {"network/uefi"}),
        (
            "boot-override-ignored",
            {"network/uefi", "network/bios", "http/uefi", "media/None", "disk/None"},
        ),
    ],
)
def test_what_does_not_stick_is_told_with_the_reason(
    proving: tuple[RedfishBmc, Prove], faults: str, fails: set[str]
) -> None:
    double, passport = proving
    double.faults |= set(faults.split())
    proven = passport()
    assert {name for name, good in works(proven).items() if not good} == fails
    assert all(b.why for b in proven.boots if not b.works)
    assert double.machine.boot_once is None


def test_what_the_next_boot_was_set_to_it_is_set_to_again(
    proving: tuple[RedfishBmc, Prove],
) -> None:
    double, passport = proving
    double.machine.boot_once, double.machine.boot_mode = "media", "uefi"
    passport()
    assert (double.machine.boot_once, double.machine.boot_mode) == ("media", "uefi")


def test_with_care_nothing_is_set_and_that_is_said(proving: tuple[RedfishBmc, Prove]) -> None:
    double, passport = proving
    proven = passport("it is member and on")
    assert proven.boots == () and proven.console is None
    assert "boot methods not tried: it is member and on" in proven.notes
    assert not [said for said in double.asked if said.startswith("PATCH")]


def test_quirks_that_were_met_are_noted(proving: tuple[RedfishBmc, Prove]) -> None:
    double, passport = proving
    double.faults.add("settings-object")
    assert any("R04" in note for note in passport().notes)


def test_a_bmc_that_falls_silent_has_no_passport(proving: tuple[RedfishBmc, Prove]) -> None:
    double, passport = proving
    original = double._handle

    async def dying(request: Any) -> Any:
        if request.method == "PATCH":
            double.stop()
        return await original(request)

    double.stop()
    double._handle = dying
    double.start()
    with pytest.raises(Unreachable):
        passport()


@pytest.mark.parametrize(
    ("call", "poll"), [(0.001, LEAST), (0.2, 4.0), (2.0, 40.0), (0.333, 6.7), (30.0, MOST)]
)
def test_how_often_it_may_be_asked(call: float, poll: float) -> None:
    """One that needs 2 s a call is never asked each 2 s."""
    assert poll_seconds(call) == poll


def enrol(fleet: Any, at: str) -> Any:
    from metal.controller.enrolling import enroll

    workspace = fleet.workspace
    factory = Credential("ADMIN", "factory-Pa55word")
    [result] = enroll(workspace, targets_of(workspace, [at]), (factory,), progress=silent)
    return workspace, result


def test_enrolment_proves_once_and_keeps_it(fleet: Any, at: At) -> None:
    double = fleet.redfish(11)
    workspace, result = enrol(fleet, at(double))
    assert result.ok and result.passport and result.route.method == "redfish-iso"
    first = kept_passport(workspace.store, result.server)
    assert first == result.passport and double.machine.boot_once is None
    workspace.store.close()
    patched = [said for said in double.asked if said.startswith("PATCH")]
    workspace, again = enrol(fleet, at(double))
    assert again.passport == first and again.route == result.route
    assert [said for said in double.asked if said.startswith("PATCH")] == patched
    workspace.store.close()


def test_a_member_that_is_on_is_only_asked(fleet: Any, at: At) -> None:
    from metal.controller.examining import Examiner

    double = fleet.redfish(11)
    workspace, result = enrol(fleet, at(double))
    double.machine.power_on()
    for life in (Life.INSTALLED, Life.MEMBER):
        workspace.store.servers.move(result.server, life)
    patches = len([said for said in double.asked if said.startswith("PATCH")])
    bmc = workspace.bmc(result.server)
    opened = Opened(bmc, BmcAccess(address=double.host), Credential("metal", ""), None)
    proven = Examiner(workspace, result.server, None).prove(opened, None)
    assert proven.boots == () and "it is member and on" in proven.notes[0]
    assert len([said for said in double.asked if said.startswith("PATCH")]) == patches
    double.machine.power_off()
    assert Examiner(workspace, result.server, None).prove(opened, None).boots
    bmc.close()
    workspace.store.close()


def test_enrolment_tells_what_is_open(fleet: Any, at: At) -> None:
    double = fleet.redfish(11)
    double.faults |= {"snmp-public", "telnet", "clock-1970"}
    workspace, result = enrol(fleet, at(double))
    found = {f.id: f.severity for f in result.findings}
    assert found == {
        "snmp-default": "medium",
        "telnet-open": "high",
        "http-open": "low",
        "ipmi-needless": "low",
        "clock-off": "low",
        "certificate-self-signed": "info",
    }
    assert "cipher-0" in result.unexamined and "ipmi-reachable" not in found
    kept = workspace.store.records.get(result.server, "findings").body
    assert [f["id"] for f in kept] == [f.id for f in result.findings]
    assert workspace.store.records.get(result.server, "unexamined").body == result.unexamined
    workspace.store.close()


def test_a_dry_run_sets_nothing(fleet: Any, at: At) -> None:
    double = fleet.redfish(11)
    said = fleet.metal("enroll", "--dry-run", "-o", "json", at(double))
    assert said.returncode == 0, said.stderr
    changed = [a for a in double.asked if not a.startswith("GET") and "/Sessions" not in a]
    assert changed == []


def test_a_bmc_that_refuses_to_be_examined_is_enrolled_all_the_same(fleet: Any, at: At) -> None:
    double = fleet.redfish(11)
    original = double._resource

    def resource(path: str, *more: Any) -> Any:
        return None if path.endswith("/NetworkProtocol") else original(path, *more)

    double._resource = resource
    workspace, result = enrol(fleet, at(double))
    assert result.ok and result.passport is not None
    assert "telnet-open" in result.unexamined or result.notes
    workspace.store.close()


# ── Both protocols at one address ────────────────────────────────────────────────────────────

RMCP = 623


@pytest.fixture
def both(fleet: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A Redfish BMC at whose address IPMI answers too, on its usual port, with one set of users.

    The driver begins a handshake anew when an answer is late, as on a busy machine it may be:
    it has time here, so that what is counted are the log-ins it was told to try.
    """
    monkeypatch.setattr("metal.drivers.ipmi_session.RESEND", 5.0)
    from metal.lab.ipmi_bmc import IpmiBmc

    redfish = fleet.redfish(11)
    accounts = {"ADMIN": "factory-Pa55word"}
    ipmi = IpmiBmc(redfish.machine, redfish.host, RMCP, accounts, cipher_suite=3)
    original = redfish.logins.create

    def create(body: Any) -> Any:
        user = ipmi._users[3]
        user.name, user.password = str(body["UserName"]), str(body["Password"])
        user.enabled, user.privilege = True, 4
        return original(body)

    redfish.logins.create = create
    try:
        fleet.bmcs.append(ipmi.start())
    except PermissionError:
        pytest.skip("port 623 is root's")
    return redfish, ipmi


def test_what_only_ipmi_tells_is_asked_over_ipmi(fleet: Any, at: At, both: Any) -> None:
    redfish, ipmi = both
    workspace, result = enrol(fleet, at(redfish))
    assert result.error is None
    assert "cipher-3-only" in {f.id for f in result.findings}
    assert not {"cipher-0", "auth-none"} & set(result.unexamined)
    assert result.passport.protocols == ("redfish", "ipmi")
    assert result.passport.cipher_suite == 3
    assert redfish.sessions == {} and redfish.failed_logins == ipmi.failed_logins == 0
    workspace.store.close()


def test_ipmi_that_does_not_know_the_account_is_asked_once(fleet: Any, at: At, both: Any) -> None:
    """Users of IPMI and Redfish may be two lists: one try, and what it would tell is unknown.

    What it tells to anybody who asks is found all the same.
    """
    redfish, ipmi = both
    ipmi.faults |= {"auth-none", "null-user"}
    del redfish.logins.create
    user = ipmi._users[3]
    user.name, user.password, user.enabled, user.privilege = "metal", "another-Pa55", True, 4
    workspace, result = enrol(fleet, at(redfish))
    assert result.error is None and ipmi.failed_logins == 1
    assert result.unexamined["cipher-0"].startswith("over IPMI: ")
    assert {"auth-none", "anonymous"} <= {f.id for f in result.findings}
    assert result.passport.protocols == ("redfish",)
    assert any(note.startswith("over IPMI: ") for note in result.passport.notes)
    workspace.store.close()
