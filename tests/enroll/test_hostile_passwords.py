"""BMCs that lie about passwords: whatever they do, somebody of ours can log in afterwards.

Each at take-over and at a rotation, and killed in the middle of it, then run again.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from metal.controller.auditing import audit_all
from metal.controller.enrolling import enroll
from metal.controller.examining import kept_findings
from metal.controller.progress import silent
from metal.controller.targets import targets_of
from metal.drivers.bmc import PATIENCE
from metal.enroll.door import Credential
from metal.enroll.rotate import PASSWORD_KEPT
from metal.inventory import load
from metal.lab.redfish_bmc import RedfishBmc

from .conftest import PASSWORD, USER, Moment
from .test_rotate import enrolled, nothing_pending, opens, rotated

At = Callable[[Any], str]
LIES = (
    "password-500", "password-ignored", "password-both", "password-cut",
    "full-after-password", "accounts-read-only", "etag-required", "stale-etag",
    "self-change-401", "fixed-slots",
)  # fmt: skip


def lets_in(bmc: RedfishBmc, user: str, password: str) -> bool:
    account = bmc.logins.account(user)
    known = (account.password, account.former) if account and account.enabled else ()
    return password in known


def reachable(fleet: Any, bmc: RedfishBmc) -> bool:
    """With what an administrator can read, or was told by the donor."""
    ours = any(lets_in(bmc, "metal", secret) for secret in fleet.told())
    return ours or lets_in(bmc, USER, PASSWORD)


def taken_over(fleet: Any, where: str) -> Any:
    workspace = fleet.workspace
    factory = Credential(USER, PASSWORD)
    [result] = enroll(workspace, targets_of(workspace, [where]), (factory,), progress=silent)
    workspace.store.close()
    return result


@pytest.mark.parametrize("lie", LIES)
def test_at_a_take_over(fleet: Any, at: At, lie: str) -> None:
    bmc = fleet.redfish(11)
    bmc.faults.add(lie)
    result = taken_over(fleet, at(bmc))
    assert reachable(fleet, bmc), "nobody gets in any more"
    assert "defect" not in (result.error or "")
    if result.error is None:
        assert opens(fleet, result.server), "it says that it is ours, and it is not"
    bmc.faults.clear()
    again = taken_over(fleet, at(bmc))
    assert again.error is None and opens(fleet, again.server)


@pytest.mark.parametrize("lie", LIES)
def test_at_a_rotation(fleet: Any, at: At, lie: str) -> None:
    bmc = fleet.redfish(11)
    [name] = enrolled(fleet, at(bmc))
    old = fleet.password(name)
    bmc.faults.add(lie)
    [result] = rotated(fleet, name)
    assert reachable(fleet, bmc) and "defect" not in (result.error or "")
    if result.error is None:
        assert opens(fleet, name) and fleet.password(name) != old
    bmc.faults.clear()
    [again] = rotated(fleet, name)
    assert again.error is None and opens(fleet, name) and nothing_pending(fleet)


@pytest.mark.parametrize("lie", ["password-ignored", "accounts-read-only", "password-policy"])
def test_a_rotation_without_effect_is_found(fleet: Any, at: At, lie: str) -> None:
    """The old password stays, and everybody is told: by the error, the exit code, a finding."""
    bmc = fleet.redfish(11)
    [name] = enrolled(fleet, at(bmc))
    old, before = fleet.password(name), found(fleet, name)
    bmc.faults.add(lie)
    [result] = rotated(fleet, name)
    assert result.exit_code == 1 and "stays in use" in result.error
    assert bmc.works("metal", old) and fleet.password(name) == old and opens(fleet, name)
    assert found(fleet, name) == {**before, PASSWORD_KEPT: "high"}
    assert len(fleet.workspace.secrets.reveal(f"bmc-next/{name}")) == 16, "the strongest is next"
    audit_all(fleet.workspace, [[name]], silent)
    assert found(fleet, name) == {**before, PASSWORD_KEPT: "high"}, "no audit looks for that"
    bmc.faults.clear()
    [again] = rotated(fleet, name)
    assert again.error is None and found(fleet, name) == before
    assert len(fleet.password(name)) == 16


def found(fleet: Any, name: str) -> dict[str, str]:
    with fleet.workspace.store as store:
        return {f.id: f.severity for f in kept_findings(store, name)}


def test_a_cut_password_is_found_and_kept(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    [name] = enrolled(fleet, at(bmc))
    bmc.faults.add("password-cut")
    [result] = rotated(fleet, name)
    assert result.error is None and len(fleet.password(name)) == 12
    assert bmc.works("metal", fleet.password(name)) and nothing_pending(fleet)


def test_beginnings_are_tried_only_as_far_as_the_bmc_bears(fleet: Any, at: At) -> None:
    """It says that the third wrong log-in locks the account: then the next run goes on."""
    bmc = fleet.redfish(11)
    [name] = enrolled(fleet, at(bmc))
    bmc.faults |= {"password-cut", "lockout"}
    failed = bmc.failed_logins
    [result] = rotated(fleet, name)
    assert result.exit_code == 1 and bmc.failed_logins == failed + 3
    bmc.logins.account("metal").failures = 0  # time goes by
    [again] = rotated(fleet, name)
    assert again.error is None and bmc.failed_logins == failed + 3 + 2
    assert len(fleet.password(name)) == 12 and opens(fleet, name)


def test_a_first_password_that_is_cut(fleet: Any, at: At) -> None:
    """R49 and I05: the account that was delivered is the only one there is."""
    bmc = fleet.redfish(11)
    bmc.faults |= {"password-change-required", "password-cut"}
    [name] = enrolled(fleet, at(bmc))
    assert opens(fleet, name) and not bmc.works(USER, PASSWORD)


@pytest.mark.kill
def test_killed_right_after_the_first_password_was_cut(fleet: Any, at: At) -> None:
    bmc = fleet.redfish(11)
    bmc.faults |= {"password-change-required", "password-cut"}
    moment = Moment("PATCH", "/Accounts", 1, after=True)
    assert fleet.ended_at(bmc, moment, signal.SIGKILL, "enroll", at(bmc)).returncode < 0
    again = fleet.metal("enroll", at(bmc))
    assert again.returncode == 0, again.stderr
    [name] = load(fleet.folder).servers
    assert opens(fleet, name)


def test_a_bmc_that_falls_silent_once_it_has_it(
    fleet: Any, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are kept until it speaks again."""
    bmc = fleet.redfish(11)
    [name] = enrolled(fleet, at(bmc))
    old = fleet.password(name)
    monkeypatch.setitem(PATIENCE, "redfish", 1.0)
    bmc.logins.changed = False
    bmc.faults.add("silent-after-password")
    [result] = rotated(fleet, name)
    assert result.exit_code == 4 and fleet.password(name) == old and reachable(fleet, bmc)
    bmc.faults.clear()
    assert opens(fleet, name)
    [again] = rotated(fleet, name)
    assert again.error is None and fleet.password(name) != old and nothing_pending(fleet)


@pytest.mark.kill
@pytest.mark.parametrize(
    "lie", ["password-500", "password-ignored", "password-both", "password-cut"]
)
@pytest.mark.parametrize("verb", ["enroll", "rotate"])
def test_killed_right_after_it_was_set(fleet: Any, at: At, lie: str, verb: str) -> None:
    bmc = fleet.redfish(11)
    where = at(bmc)
    words = ("enroll", where) if verb == "enroll" else ("bmc", "rotate", *enrolled(fleet, where))
    bmc.faults.add(lie)
    method = "POST" if verb == "enroll" else "PATCH"
    moment = Moment(method, "/Accounts", 1, after=True)
    said = fleet.ended_at(bmc, moment, signal.SIGKILL, *words)
    assert said.returncode == -signal.SIGKILL
    assert lie == "password-cut" or reachable(fleet, bmc)
    if verb == "rotate":
        assert opens(fleet, words[-1]), "the controller is locked out"
    fleet.metal(*words)
    assert reachable(fleet, bmc), "nobody gets in any more"
    bmc.faults.clear()
    again = fleet.metal(*words)
    assert again.returncode == 0, again.stderr
