"""What goes wrong on the way, and what then must not happen."""

import resource
from dataclasses import replace

import pytest
import requests

from metal.drivers.secrets import AgeSecrets
from metal.model.errors import Refused, Unreachable
from metal.model.life import Life, Status

QUICK = {"boot": 0.3, "preseed": 0.2}


class FullDisk(AgeSecrets):
    """While it writes, no file of this process may grow beyond 100 bytes: a real EFBIG."""

    full = True

    def escrow(self, name, secret, *, controller):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        if self.full:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        try:
            super().escrow(name, secret, controller=controller)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_while_escrowing_hands_out_no_key(site, made):
    site.secrets = FullDisk(site.folder / "secrets", site.state, site.inventory.recipients())
    outcome = site.install()
    assert (outcome.status, outcome.exit_code) == (Status.FAILED, 1)
    assert "no key is handed out" in outcome.error
    assert site.store.installs.latest("alba1") is None
    assert site.bmc_calls == []
    assert not [f for f in site.folder.rglob("*") if f.suffix in (".age", ".tmp")]
    assert "sanboot" in requests.get(f"{site.boot_url}/boot?mac={made.mac}", timeout=5).text
    assert site.store.servers.get("alba1").status == Status.FAILED

    site.secrets.full = False
    assert site.install().status == Status.DONE
    assert site.disk.wipes == 1


def test_a_machine_that_never_boots_from_the_network_is_given_up(site):
    site.patience = replace(site.patience, **QUICK, boots=2)
    site.machine.on_boot = lambda _machine, _boot: None
    outcome = site.install()
    assert outcome.status == Status.FAILED
    assert "booted 2 times" in outcome.error and "02:00:5e:00:01:01" in outcome.error
    assert site.bmc_calls.count("network") == 2
    assert site.store.servers.get("alba1").note.startswith("install: it was booted")
    assert site.disk.wipes == 0


def test_a_boot_order_that_was_forgotten_is_set_again(site):
    site.patience = replace(site.patience, **QUICK)
    firmware, boots = site.machine.on_boot, []

    def forgetful(machine, boot):
        boots.append(boot.device)
        if len(boots) > 1:
            firmware(machine, boot)

    site.machine.on_boot = forgetful
    assert site.install().status == Status.DONE
    assert boots[:2] == ["network", "network"]
    assert site.disk.wipes == 1


def test_a_bmc_that_boots_from_the_network_for_ever_installs_once_and_is_told_of(site, made):
    """What was to be for one boot stays set: the second would install again, without end."""
    firmware, boots = site.machine.on_boot, []

    def ever(machine, boot):
        boots.append(boot.device)
        firmware(machine, replace(boot, device="network"))

    site.machine.on_boot = ever
    assert site.install().status == Status.DONE
    assert len(boots) == 2
    made.assert_installed_once(site)
    said = [e.text for e in site.store.events.since(0) if "from the network once more" in e.text]
    assert len(said) == 1 and "put the disk first" in said[0] and "whole" not in said[0]


def test_an_installer_that_stopped_at_a_prompt_is_booted_again(site):
    site.patience = replace(site.patience, **QUICK)
    own = site.folder / "preseed" / "base.cfg.j2"
    own.parent.mkdir()
    own.write_text("{{ no_such_thing }}")
    firmware, boots = site.machine.on_boot, []

    def mended_after_one(machine, boot):
        boots.append(boot.device)
        if len(boots) == 2:
            own.unlink()
        firmware(machine, boot)

    site.machine.on_boot = mended_after_one
    assert site.install().status == Status.DONE
    assert boots[:2] == ["network", "network"]
    assert site.disk.wipes == 1


def test_power_lost_after_the_preseed_fails_and_does_not_wipe_twice(site):
    site.patience = replace(site.patience, partitioned=0.3, base=0.3)
    firmware = site.machine.on_boot

    def pause(boot, seconds):
        if site.disk.wipes:
            site.machine.power_off()
        type(firmware).pause(firmware, boot, seconds)

    firmware.pause = pause
    outcome = site.install()
    assert outcome.status == Status.FAILED
    assert "partition its disk" in outcome.error
    del firmware.pause
    assert site.install().status == Status.FAILED
    assert site.disk.wipes == 1

    # Only a new operation may wipe again, with a new key.
    first = site.administrator_opens("disk/alba1")
    with pytest.raises(Refused, match="holds server alba1"):
        site.store.journal.open("install", "again", ["server alba1"], {})
    site.store.journal.cancel(site.store.journal.list()[0].id)
    site.patience = replace(site.patience, partitioned=60, base=60)
    assert site.install().status == Status.DONE
    assert site.disk.wipes == 2
    assert site.administrator_opens("disk/alba1") != first
    assert site.administrator_opens("disk/alba1.1") == first


def test_a_silent_bmc_is_asked_again(site):
    ports = site.ports
    answers = iter([Unreachable("timed out", where="bmc alba1")])

    def flaky(name):
        for error in answers:
            raise error
        return ports.bmc(name)

    from metal.install.flow import install
    from metal.operations.run import perform

    flow = lambda run: install(run, site.action, replace(ports, bmc=flaky))  # noqa: E731
    assert perform(site.store, site.open(), flow).status == Status.DONE


def test_a_server_that_is_installed_already_is_refused(site):
    site.store.servers.move("alba1", Life.INSTALLED)
    outcome = site.install()
    assert outcome.exit_code == 3
    assert site.bmc_calls == []


def test_no_debian_mirror_no_install(site):
    site.mirror_url = site.mirror_url.replace("/debian", "/elsewhere")
    outcome = site.install()
    assert outcome.status == Status.FAILED
    assert "carries the installer" in outcome.error
    assert site.store.installs.latest("alba1") is None


@pytest.mark.parametrize(
    ("driver", "calls"),
    [
        ("fence", ["network", "close", "power off", "close", "power on", "close"]),
        ("manual", ["power off", "close", "network", "close", "power on", "close"]),
    ],
)
def test_what_to_boot_is_told_while_the_bmc_has_power(site, driver, calls):
    site.driver = driver
    assert site.install().status == Status.DONE
    assert site.bmc_calls == calls


def test_a_bmc_that_cannot_be_told_keeps_no_plug_from_being_switched(site, monkeypatch):
    site.driver = "fence"

    def silent(self, _device):
        raise Unreachable("no answer")

    monkeypatch.setattr(type(site.ports.bmc("alba1")), "ensure_boot_once", silent)
    site.patience = replace(site.patience, **QUICK, boots=1)
    outcome = site.install()
    assert "booted 1 times" in outcome.error, "the power was switched all the same"
    assert "power on" in site.bmc_calls
