"""The lab's firmware alone: what it does without an install, and when the power goes."""

import threading

import requests

from metal.lab.machine import Boot
from metal.lab.preseeding import Script


def boot(site, device):
    """One whole boot in this thread; its console's last line."""
    site.firmware(site.machine, Boot(device, threading.Event()))
    return site.firmware.notes["alba1"]


def test_an_empty_disk_is_no_bootable_device(site):
    assert boot(site, "disk") == "no bootable device"
    assert boot(site, "network") == "no bootable device"


def test_without_power_nothing_runs(site):
    off = threading.Event()
    off.set()
    site.firmware(site.machine, Boot("network", off))
    assert site.firmware.notes == {}
    assert requests.get(f"{site.boot_url}/healthz", timeout=5).json()["counts"] == {"requests": 1}


def test_an_installed_disk_comes_up_and_reports_once(site):
    site.install()
    before = requests.get(f"{site.boot_url}/healthz", timeout=5).json()["counts"]["requests"]
    assert boot(site, "disk") == "debian trixie, up"
    after = requests.get(f"{site.boot_url}/healthz", timeout=5).json()["counts"]["requests"]
    assert after == before + 1


def test_an_installer_without_auto_stops_at_its_first_question(site):
    from metal.lab.firmware import _Session
    from metal.lab.preseeding import Prompt

    session = _Session(site.firmware, site.machine, Boot("network", threading.Event()))
    for script in (Script("k", ("url=x",), "i"), Script("k", ("auto=true",), "i")):
        try:
            session._install(script)
        except Prompt as prompt:
            assert "which language" in str(prompt)
        else:
            raise AssertionError("it went on")


def test_a_serial_number_that_is_not_there_touches_no_disk(site):
    from dataclasses import replace

    from metal.lab.machine import Machine

    hardware = site.machine.hardware
    other = tuple(d.model_copy(update={"serial": "ELSE"}) for d in hardware.drives)
    site.machine = Machine("alba1", replace(hardware, drives=other))
    site.machine.on_boot = site.firmware
    site.patience = replace(site.patience, partitioned=0.5)
    outcome = site.install()
    assert "partition its disk" in outcome.error
    assert site.firmware.notes["alba1"] == "the installer stopped: 0 disks are sdb S3Z1NX0K"
    assert [disk.wipes for disk in site.machine.disks.values()] == [0, 0]
