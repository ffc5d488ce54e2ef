"""Sessions and accounts: too many, vanished, locked, with a password to change first."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from metal.drivers.bmc import connect
from metal.drivers.redfish import Redfish
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.redfish_faults import error
from metal.model.errors import Failed, NoSession, WrongPassword
from metal.model.fleet import BmcAccess

Open = Callable[..., Redfish]
NEW = "N3w-password-16b"


def test_r14_without_a_session_basic_auth_is_used(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    redfish_bmc.faults.add("session-limit")
    bmc = open_redfish()
    assert bmc.power() == "off" and redfish_bmc.sessions == {}
    assert "R14" in bmc.quirks


def test_r14_basic_auth_with_a_wrong_password_is_one_try(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    redfish_bmc.faults.add("session-limit")
    with pytest.raises(WrongPassword):
        open_redfish("root", "wrong")
    assert redfish_bmc.failed_logins == 1


def test_r14_a_full_bmc_that_takes_no_basic_auth_is_called_full(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    """Its password may be right."""
    redfish_bmc.faults |= {"session-limit", "no-basic"}
    with pytest.raises(NoSession, match="no session is free"):
        open_redfish()


def test_r15_a_session_that_vanishes_is_opened_anew(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    redfish_bmc.faults.add("session-vanishes")
    bmc = open_redfish()
    assert bmc.facts().model == "PowerEdge R630"
    assert "R15" in bmc.quirks and redfish_bmc.failed_logins == 0


def test_r16_a_log_out_that_is_refused_is_passed_over(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    redfish_bmc.faults.add("logout-405")
    bmc = open_redfish()
    bmc.close()
    assert "R16" in bmc.quirks


def test_r53_one_try_a_credential(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    redfish_bmc.faults.add("lockout")
    for guess in ("one", "two"):
        with pytest.raises(WrongPassword):
            open_redfish("root", guess)
    assert redfish_bmc.failed_logins == 2, "one each: the third would lock the account"
    assert open_redfish().power() == "off"


def test_r54_a_root_without_systems_is_read_again_with_a_new_session(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    redfish_bmc.faults.add("rootless")
    bmc = open_redfish()
    assert bmc.facts().serial == "8XKQ2L2"
    assert "R54" in bmc.quirks and len(redfish_bmc.sessions) == 1


@pytest.mark.parametrize("more", [(), ("session-limit",)])
def test_r49_the_delivered_password_is_changed_before_anything_else(
    open_redfish: Open, redfish_bmc: RedfishBmc, more: tuple[str, ...]
) -> None:
    redfish_bmc.faults.update({"password-change-required", *more})
    bmc = open_redfish()
    with pytest.raises(Exception, match="before the password it was delivered with is changed"):
        bmc.power()
    bmc.ensure_account("metal", NEW)
    assert bmc.power() == "off" and "R49" in bmc.quirks
    assert redfish_bmc.works("metal", NEW) and not redfish_bmc.works("root", "calvin-0")


@pytest.mark.parametrize("fault", ["self-change-401", "password-late"])
def test_r50_the_session_goes_on_with_the_new_password(
    open_redfish: Open, redfish_bmc: RedfishBmc, fault: str
) -> None:
    redfish_bmc.faults.add(fault)
    bmc = open_redfish()
    bmc.ensure_account("root", NEW)
    assert bmc.power() == "off" and redfish_bmc.works("root", NEW)


def test_r51_a_free_slot_is_filled_where_none_is_created(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    redfish_bmc.faults.add("fixed-slots")
    bmc = open_redfish()
    assert [a.name for a in bmc.accounts()] == ["root"], "empty slots are no accounts"
    bmc.ensure_account("metal", NEW)
    assert redfish_bmc.works("metal", NEW) and "R51" in bmc.quirks


def test_r52_accounts_are_known_by_name_and_passwords_fit_strict_rules(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    from metal.enroll.flow import random_password

    redfish_bmc.faults.add("stricter-policy")
    bmc = open_redfish()
    password = random_password()
    bmc.ensure_account("metal", password)
    bmc.ensure_locked_out("root")
    assert redfish_bmc.works("metal", password) and len(password.encode()) <= 16


def test_a_role_that_cannot_be_written_stands_in_no_passwords_way(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    bmc = open_redfish()
    bmc.ensure_account("metal", NEW)
    redfish_bmc.logins.account("metal").role = "Operator"  # type: ignore[union-attr]
    redfish_bmc.faults.add("role-read-only")
    with pytest.raises(Failed, match="is no administrator"):
        bmc.ensure_account("metal", "An0ther-password")
    assert redfish_bmc.works("metal", "An0ther-password")


def test_short_passwords_are_all_that_is_taken(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    """The account that nobody is to use gets a password that fits, too."""
    redfish_bmc.faults.update({"short-passwords", "no-disable"})
    bmc = open_redfish()
    bmc.ensure_account("metal", "Sh0rt-enough")
    bmc.ensure_locked_out("root")
    assert not redfish_bmc.works("root", "calvin-0")


@pytest.mark.parametrize("fault", ["root-needs-login", "no-token"])
def test_it_is_redfish_however_it_lets_users_in(redfish_bmc: RedfishBmc, fault: str) -> None:
    """Never IPMI for want of a root or a token; and no second password is tried."""
    redfish_bmc.faults.add(fault)
    access = BmcAccess(address="127.0.0.1", port=redfish_bmc.port, timeout=2)
    bmc = connect(access, "root", "calvin-0")
    assert bmc.protocol == "redfish" and bmc.facts().serial == "8XKQ2L2"
    bmc.close()
    with pytest.raises(WrongPassword):
        connect(access, "root", "another")
    assert redfish_bmc.failed_logins == 1


def test_what_has_no_log_in_may_be_no_bmc(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    """A printer, a switch's web page: 404 for everything."""
    redfish_bmc._answer = lambda request, body: error(404, "not found")  # type: ignore[method-assign]
    with pytest.raises(Failed, match="HTTP 404") as told:
        open_redfish()
    assert "may be no BMC" in (told.value.mend or "")
