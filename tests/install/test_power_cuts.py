"""Power cut in every phase of an install: never a second wipe by itself, never a disk whose key is
not escrowed, and always a way on."""

import hashlib
import threading
from dataclasses import replace

import pytest

from metal.model.life import Life, Status

SHORT = {"boot": 0.4, "preseed": 0.4, "partitioned": 0.6, "base": 0.6, "finished": 0.6, "up": 5}
PAUSES = 7
"""Of the simulated machine: its POST, the installer's start, partitioning, base, packages; the
second POST, the system's start."""
WHOLE = 5
"""From that pause on the system is whole on its disk."""


def key_is_escrowed(site) -> bool:
    """An administrator opens the disk, whatever is on it."""
    hashes = {
        hashlib.sha256(site.administrator_opens(name).encode()).hexdigest()
        for name in ("disk/alba1", "disk-next/alba1")
        if (site.folder / "secrets" / f"{name}.age").exists()
    }
    return set(site.disk.luks_slots.values()) <= hashes


@pytest.mark.parametrize("at", range(PAUSES))
def test_power_cut_in_every_phase(site, made, at):
    site.patience = replace(site.patience, **SHORT)
    firmware, seen = site.machine.on_boot, []

    def pause(boot, seconds):
        seen.append(seconds)
        if len(seen) == at + 1:
            site.machine.power_off()
            # The power is back, and the machine starts as its BMC was set to: always on.
            threading.Timer(0.02, site.machine.power_on).start()
        type(firmware).pause(firmware, boot, seconds)

    firmware.pause = pause
    outcome = site.install()
    wiped = site.disk.wipes
    assert wiped <= 1 and key_is_escrowed(site)
    if at in (0, 1) or at >= WHOLE:
        assert outcome.status is Status.DONE, outcome.error
        made.assert_installed_once(site)
        return
    assert outcome.status is Status.FAILED and "did not" in outcome.error
    assert site.install().status is Status.FAILED, "resumed, it only waits"
    assert site.disk.wipes == wiped and key_is_escrowed(site)
    site.store.journal.cancel(site.store.journal.list()[0].id)
    site.patience = made.patience
    assert site.install().status is Status.DONE, "planned anew"
    assert site.disk.wipes == wiped + 1 and key_is_escrowed(site)
    assert site.store.servers.get("alba1").life is Life.INSTALLED


def test_two_controllers_start_the_same_install(site, made):
    """They share the store: the first has the operation, the second is told who has it."""
    from metal.install.flow import install
    from metal.model.errors import Refused
    from metal.operations.run import perform
    from metal.operations.store import open_store

    other = open_store("sqlite", site.state)
    told = []

    def second():
        """While the first one waits for the machine."""
        ports = replace(site.ports, store=other)
        params = {"action": site.action.model_dump(mode="json")}
        operation = other.journal.open("install", site.action.id, ["server alba1"], params)
        try:
            perform(other, operation, lambda run: install(run, site.action, ports))
        except Refused as error:
            told.append(f"{error.what}; {error.mend}")

    firmware = site.machine.on_boot

    def on_boot(machine, boot):
        if not told:
            second()
        firmware(machine, boot)

    site.machine.on_boot = on_boot
    try:
        assert site.install().status is Status.DONE
    finally:
        other.close()
    (said,) = told
    assert "is being run by" in said and "wait for it" in said
    made.assert_installed_once(site)
    assert len(site.store.journal.list()) == 1
