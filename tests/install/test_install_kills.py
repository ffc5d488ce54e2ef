"""Killed at any step, run again, the same end: and the disk was wiped once."""

import hashlib

import pytest

from metal.install.flow import install
from metal.model.life import Life, Status
from metal.operations.run import perform

STEPS = 25
"""Of the flow, when all goes well."""


class Killed(BaseException):
    """As SIGKILL is: no flow can take it for a failure."""


class Deadly:
    """A Run that dies at its `at`-th step or wait: `before` its effect, or after it unrecorded."""

    def __init__(self, run, at, *, before):
        self._run, self._left, self._before = run, at, before

    def __getattr__(self, name):
        return getattr(self._run, name)

    def step(self, name, act, **options):
        return self._run.step(name, self._mortal(act, lambda _result: True), **options)

    def wait(self, name, ready, **options):
        """What it waits for did happen when it dies afterwards."""
        return self._run.wait(name, self._mortal(ready, lambda seen: seen is not None), **options)

    def _mortal(self, act, over):
        if self._left:
            self._left -= 1
            return act

        def dies():
            if self._before:
                raise Killed
            result = act()
            if over(result):
                raise Killed
            return result

        return dies


def run_until_killed(site, at, *, before):
    """True if it was killed, False if it came to its end first."""
    action, ports = site.action, site.ports
    flow = lambda run: install(Deadly(run, at, before=before), action, ports)  # noqa: E731
    try:
        assert perform(site.store, site.open(), flow).status == Status.DONE
    except Killed:
        return True
    return False


def assert_installed_once(site, made):
    record = site.store.servers.get("alba1")
    assert (record.life, record.status) == (Life.INSTALLED, Status.DONE)
    assert record.node_fingerprint == made.pin
    assert [disk.wipes for disk in site.machine.disks.values()] == [0, 1]
    key = site.administrator_opens("disk/alba1")
    assert list(site.disk.luks_slots.values()) == [hashlib.sha256(key.encode()).hexdigest()]
    assert site.secrets.reveal("disk/alba1") is None
    assert not site.store.journal.list(open_only=True)


@pytest.mark.parametrize("at", range(STEPS))
def test_killed_after_a_step_acted_but_before_it_was_recorded(site, made, at):
    assert run_until_killed(site, at, before=False)
    assert site.install().status == Status.DONE
    assert_installed_once(site, made)


def test_killed_at_every_step_before_and_after_it_acted(site, made):
    kills = 0
    for at in range(STEPS):
        for before in (True, False):
            kills += run_until_killed(site, at, before=before)
    assert kills == 2 * STEPS
    assert site.install().status == Status.DONE
    assert_installed_once(site, made)


def test_a_machine_that_took_its_preseed_is_never_switched_again(site):
    # 8: "wait for preseed" saw it taken, but that was not recorded.
    assert run_until_killed(site, 8, before=False)
    calls = list(site.bmc_calls)
    assert site.install().status == Status.DONE
    assert site.bmc_calls == calls
    assert [call for call in calls if call != "close"] == ["power off", "network", "power on"]
