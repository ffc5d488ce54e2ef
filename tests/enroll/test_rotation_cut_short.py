"""A rotation that set the new password and did not end: whatever is done next still gets in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from metal.controller.auditing import audit_all
from metal.controller.consoles import open_console
from metal.controller.progress import silent
from metal.controller.repinning import repin
from metal.lab.web import self_signed

from .test_rotate import enrolled, nothing_pending, opens, rotated

At = Callable[[Any], str]
NEW = "Rotated-and-lost"
SET = {"whole": NEW, "cut": NEW[:12]}


@pytest.fixture(params=sorted(SET))
def left(fleet: Any, at: At, request: pytest.FixtureRequest) -> tuple[Any, str]:
    """A Redfish BMC as such a run leaves it, and the server's name."""
    bmc = fleet.redfish(11)
    [name] = enrolled(fleet, at(bmc))
    fleet.workspace.secrets.escrow(f"bmc-next/{name}", NEW, controller=True)
    bmc.logins.account("metal").password = SET[request.param]
    return bmc, name


def test_another_certificate_is_pinned(fleet: Any, left: tuple[Any, str], tmp_path: Any) -> None:
    bmc, name = left
    bmc.stop()
    (tmp_path / "other").mkdir()
    bmc.certificate = self_signed(tmp_path / "other", "bmc", bmc.host)
    bmc.start()
    assert repin(fleet.workspace, name, lambda _old, _new: True).changed
    assert opens(fleet, name)


def test_it_is_captured(fleet: Any, left: tuple[Any, str]) -> None:
    said = fleet.metal("bmc", "capture", left[1], "--out", str(fleet.folder / "tree.json"))
    assert said.returncode == 0, said.stderr
    assert NEW[:12] not in (fleet.folder / "tree.json").read_text()


def test_it_is_audited_with_what_opened_it(
    fleet: Any, left: tuple[Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bmc, name = left
    tried: list[str] = []

    def over_ipmi(_self: Any, _access: Any, _user: str, password: str) -> None:
        tried.append(password)

    monkeypatch.setattr("metal.controller.finding.Pings.over_ipmi", over_ipmi)
    [result] = audit_all(fleet.workspace, [[name]], silent)
    assert result.error is None and set(tried) == {bmc.logins.account("metal").password}


def test_it_is_enrolled_again(fleet: Any, left: tuple[Any, str], at: At) -> None:
    """By name and by address; the password that is kept for it is the one it has then."""
    bmc, name = left
    with fleet.workspace.store as store:
        assert store.journal.list(open_only=True) == []
    for target in (name, at(bmc)):
        said = fleet.metal("enroll", target, "-o", "json")
        assert said.returncode == 0, said.stderr
        assert bmc.works("metal", fleet.password(name)) and opens(fleet, name)
        assert [one["server"] for one in json.loads(said.stdout)] == [name]
    assert rotated(fleet, name)[0].error is None and nothing_pending(fleet)


def test_its_console_opens(fleet: Any, at: At) -> None:
    bmc = fleet.ipmi(12)
    [name] = enrolled(fleet, at(bmc))
    fleet.workspace.secrets.escrow(f"bmc-next/{name}", NEW, controller=True)
    next(u for u in bmc._users if u.name == "metal").password = NEW
    open_console(fleet.workspace, name).close()
