"""`metal enroll` as a real process, ended while it takes a BMC over; the next run goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from metal.inventory import load

from .conftest import PASSWORD, USER, Moment

At = Callable[[Any], str]
INTERRUPTED = 130
MOMENTS = [
    Moment("POST", "/Accounts", 1, after=False),  # the new password is escrowed, and not set
    Moment("POST", "/Accounts", 1, after=True),  # it is set, and nobody was told
    Moment("POST", "/Sessions", 2, after=True),  # it opened the BMC, and nobody was told
    Moment("PATCH", "/Accounts/", 1, after=False),  # the delivered account is still open
    Moment("PATCH", "/Accounts/", 1, after=True),  # it is closed, and nobody was told
    Moment("POST", "/Sessions", 3, after=True),  # proven, and not yet written down
]


@pytest.mark.kill
@pytest.mark.parametrize("with_", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_ended_in_a_take_over_the_next_run_goes_on(
    fleet: Any, at: At, moment: Moment, with_: signal.Signals
) -> None:
    bmc = fleet.redfish(11)
    said = fleet.ended_at(bmc, moment, with_, "enroll", at(bmc))
    assert said.returncode == (-signal.SIGKILL if with_ is signal.SIGKILL else INTERRUPTED)
    before = fleet.told()
    assert len(before) == 1, "it is escrowed before it is set"
    assert bmc.works(USER, PASSWORD) or bmc.works("metal", *before), "nobody can log in"

    again = fleet.metal("enroll", at(bmc))
    assert again.returncode == 0, again.stderr
    [name] = load(fleet.folder).servers
    assert fleet.told() == before == {fleet.password(name)}, "the one that was escrowed is used"
    assert bmc.works("metal", fleet.password(name)) and not bmc.works(USER, PASSWORD)
    assert fleet.password(name) not in said.stdout + said.stderr + again.stdout + again.stderr
    with fleet.workspace.store as store:
        assert store.journal.list(open_only=True) == []
        assert [str(r.life) for r in store.servers.all().values()] == ["enrolled"]
