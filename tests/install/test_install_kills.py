"""Killed at any step, run again, the same end: and the disk was wiped once."""

import pytest

from metal.model.life import Status

STEPS = 25
"""Of the flow, when all goes well."""


@pytest.mark.parametrize("at", range(STEPS))
def test_killed_after_a_step_acted_but_before_it_was_recorded(site, made, at):
    assert made.run_until_killed(site, at, before=False)
    assert site.install().status == Status.DONE
    made.assert_installed_once(site)


def test_killed_at_every_step_before_and_after_it_acted(site, made):
    kills = 0
    for at in range(STEPS):
        for before in (True, False):
            kills += made.run_until_killed(site, at, before=before)
    assert kills == 2 * STEPS
    assert site.install().status == Status.DONE
    made.assert_installed_once(site)


def test_a_machine_that_took_its_preseed_is_never_switched_again(site, made):
    # 8: "wait for preseed" saw it taken, but that was not recorded.
    assert made.run_until_killed(site, 8, before=False)
    calls = list(site.bmc_calls)
    assert site.install().status == Status.DONE
    assert site.bmc_calls == calls
    assert [call for call in calls if call != "close"] == ["power off", "network", "power on"]
