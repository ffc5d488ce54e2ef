"""The Redfish driver against the double: real HTTPS, real sessions, switched faults."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from metal.drivers.redfish import Redfish
from metal.lab.machine import Machine
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.web import self_signed
from metal.model.errors import Failed, Refused, Unreachable

Open = Callable[..., Redfish]


def test_facts_are_what_the_machine_is(open_redfish: Open, machine: Machine) -> None:
    facts, hardware = open_redfish().facts(), machine.hardware
    assert (facts.vendor, facts.model, facts.serial) == ("Dell", "PowerEdge R630", "8XKQ2L2")
    assert (facts.uuid, facts.bios_version, facts.bmc_firmware) == (hardware.uuid, "2.14.0", "2.83")
    assert facts.cpu == hardware.cpu
    assert (facts.memory_gib, facts.dimms) == (64, hardware.dimms)
    assert facts.drives is not None
    assert [(d.name, d.size_bytes, d.media, d.serial) for d in facts.drives] == [
        (d.name, d.size_bytes, d.media, d.serial) for d in hardware.drives
    ]
    assert facts.nics == hardware.nics
    assert [p.name for p in facts.psus or ()] == ["PSU 1", "PSU 2"]
    assert "ForceOff" in (facts.reset_types or ()) and "Pxe" in (facts.boot_targets or ())
    assert (facts.power_state, facts.health) == ("off", "ok")
    assert facts.sku is None and facts.unknown["sku"]
    assert facts.virtual_media == ("Stick1", "CD1")
    assert facts.logs == ("AuditLog", "System Event Log")


def test_power_on_and_off(open_redfish: Open, machine: Machine) -> None:
    bmc = open_redfish()
    assert bmc.power() == "off"
    bmc.ensure_power("on")
    bmc.ensure_power("on")
    assert (bmc.power(), machine.power_ons) == ("on", 1)
    bmc.ensure_power("off")
    assert machine.power == "off"


def test_a_reset_that_does_nothing_is_no_success(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    redfish_bmc.faults.add("reset-ignored")
    with pytest.raises(Failed, match="did not go on"):
        open_redfish(settle=0.2).ensure_power("on")


def test_boots_from_the_network_once(open_redfish: Open, machine: Machine) -> None:
    bmc, booted = open_redfish(), threading.Event()
    devices: list[str] = []

    def on_boot(_machine: Machine, boot: object) -> None:
        devices.append(boot.device)  # type: ignore[attr-defined]
        booted.set()

    machine.on_boot = on_boot
    bmc.ensure_boot_once("network")
    bmc.ensure_boot_once("network")
    bmc.ensure_power("on")
    assert booted.wait(5) and devices == ["network"]
    assert machine.boot_once is None


def test_a_boot_override_that_does_nothing_is_no_success(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    redfish_bmc.faults.add("boot-override-ignored")
    with pytest.raises(Failed, match="did not take the network"):
        open_redfish().ensure_boot_once("network")


@pytest.mark.parametrize("fault", ["etag-required", "refuses-but-does", "flaky"])
def test_odd_manners_are_survived(
    open_redfish: Open, redfish_bmc: RedfishBmc, machine: Machine, fault: str
) -> None:
    bmc = open_redfish()
    redfish_bmc.faults.add(fault)
    bmc.ensure_boot_once("network")
    assert machine.boot_once == "network"
    assert bmc.facts().model == "PowerEdge R630"


def test_an_own_account_then_the_factory_one_is_locked_out(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    bmc = open_redfish()
    bmc.ensure_account("metal", "N3w-password-16b")
    bmc.ensure_account("metal", "N3w-password-16b")
    bmc.ensure_locked_out("root")
    bmc.ensure_locked_out("root")
    assert bmc.power() == "off"
    assert redfish_bmc.works("metal", "N3w-password-16b")
    assert not redfish_bmc.works("root", "calvin-0")
    assert set(redfish_bmc.sessions.values()) == {"metal"}
    assert redfish_bmc.failed_logins == 0


def test_its_own_password_is_changed_and_the_session_goes_on(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    bmc = open_redfish()
    bmc.ensure_account("root", "N3w-password-16b")
    assert bmc.power() == "off"
    assert redfish_bmc.works("root", "N3w-password-16b")
    assert redfish_bmc.failed_logins == 0


def test_where_accounts_cannot_be_disabled_nobody_knows_the_password(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    redfish_bmc.faults.add("no-disable")
    bmc = open_redfish()
    bmc.ensure_account("metal", "N3w-password-16b")
    bmc.ensure_locked_out("root")
    assert not redfish_bmc.works("root", "calvin-0")


def test_a_refused_password_changes_nothing(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    redfish_bmc.faults.add("password-policy")
    bmc = open_redfish()
    with pytest.raises(Failed, match="does not meet the policy") as caught:
        bmc.ensure_account("root", "N3w-password-16b")
    assert "N3w-password-16b" not in str(caught.value)
    assert redfish_bmc.works("root", "calvin-0")
    assert bmc.power() == "off"


def test_a_password_that_a_bmc_repeats_is_not_repeated(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    """What it says ends on a terminal and in the journal."""
    redfish_bmc.faults |= {"password-policy", "echoes-password"}
    bmc = open_redfish()
    with pytest.raises(Failed, match=r"it is …") as caught:
        bmc.ensure_account("root", "N3w-password-16b")
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert "N3w-password-16b" not in "".join(map(repr, chain))


def test_a_wrong_password_is_tried_once(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    redfish_bmc.faults.add("lockout")
    with pytest.raises(Refused, match="one try was made") as caught:
        open_redfish("root", "wrong-secret")
    assert "wrong-secret" not in str(caught.value)
    assert redfish_bmc.failed_logins == 1
    assert open_redfish().power() == "off"


def test_a_session_that_vanished_is_opened_anew(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    bmc = open_redfish()
    redfish_bmc.sessions.clear()
    assert bmc.power() == "off"


def test_another_certificate_is_refused_before_the_password_is_sent(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    with pytest.raises(Refused, match="certificate changed"):
        open_redfish(fingerprint=":".join(["AB"] * 32))
    assert redfish_bmc.requests == 0
    assert open_redfish().fingerprint == redfish_bmc.certificate.fingerprint


def test_a_certificate_that_changes_later_is_refused(
    open_redfish: Open, redfish_bmc: RedfishBmc, tmp_path: Path
) -> None:
    bmc = open_redfish()
    redfish_bmc.stop()
    redfish_bmc.certificate = self_signed(tmp_path, "other", "127.0.0.1")
    redfish_bmc.start()
    seen = redfish_bmc.requests
    with pytest.raises(Refused, match="certificate changed"):
        bmc.power()
    assert redfish_bmc.requests == seen


def test_silence_is_unreachable_never_off(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    bmc = open_redfish(timeout=0.3)
    redfish_bmc.faults.add("silent")
    with pytest.raises(Unreachable, match="no answer"):
        bmc.power()
    redfish_bmc.stop()
    with pytest.raises(Unreachable):
        bmc.power()


def test_what_a_dead_bmc_was_asked_is_lost(
    open_redfish: Open, redfish_bmc: RedfishBmc, machine: Machine
) -> None:
    bmc = open_redfish(timeout=0.3)
    bmc.ensure_power("on")
    redfish_bmc.faults.add("silent")
    reset = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset"
    with pytest.raises(Unreachable):
        bmc._session.post(reset, {"ResetType": "ForceOff"})
    redfish_bmc.faults.clear()
    assert (bmc.power(), machine.power) == ("on", "on")


def test_a_web_page_is_no_bmc(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    redfish_bmc.faults.add("html")
    with pytest.raises(Failed, match="no JSON"):
        open_redfish()


@pytest.mark.parametrize(
    "complaint",
    [
        "PSU 2: power supply failure detected",
        "DIMM A1: uncorrectable ECC errors",
        "sda: failure predicted",
        "Inlet: 48 °C",
        "the chassis was opened",
    ],
)
def test_complaints_become_reasons(open_redfish: Open, machine: Machine, complaint: str) -> None:
    bmc = open_redfish()
    assert bmc.health().health == "ok"
    machine.complaints = (complaint,)
    told = {"health": "critical", "reasons": (complaint,), "cooling": True}
    assert bmc.health().model_dump() == told
    machine.severity = "warning"
    assert bmc.health().health == "warning"


def test_logging_out_leaves_no_session(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    open_redfish().close()
    assert redfish_bmc.sessions == {}


def test_many_threads_share_one_session(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    bmc = open_redfish()
    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(lambda _: bmc.power(), range(30))) == {"off"}
    assert len(redfish_bmc.sessions) == 1
