"""PATCHes and resets: preconditions, boot overrides, and the difference of yes and done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from metal.drivers.redfish import Redfish
from metal.lab.machine import Machine
from metal.lab.redfish_bmc import RedfishBmc
from metal.model.errors import Failed

Open = Callable[..., Redfish]


@pytest.mark.parametrize(
    ("faults", "quirk"),
    [
        (("etag-required",), None),
        (("etag-required", "no-etag"), "R01"),
        (("stale-etag",), "R02"),
        (("etag-gzip",), "R03"),
        (("settings-object",), "R04"),
        (("settings-object", "etag-required", "etag-gzip"), "R04"),
        (("mode-falls-back",), None),  # R05: the mode is always sent
        (("refuses-but-does",), "R08"),
        (("post-busy",), "R09"),
    ],
)
def test_r01_to_r09_the_boot_override_is_set_all_the_same(
    open_redfish: Open,
    redfish_bmc: RedfishBmc,
    machine: Machine,
    faults: tuple[str, ...],
    quirk: str | None,
) -> None:
    redfish_bmc.faults.update(faults)
    bmc = open_redfish()
    bmc.ensure_boot_once("network")
    assert machine.boot_once == "network"
    assert machine.boot_mode != "bios"
    assert quirk is None or quirk in bmc.quirks
    bmc.ensure_usual_boot()
    assert machine.boot_once is None


def test_r06_a_mode_that_is_refused_is_left_out(
    open_redfish: Open, redfish_bmc: RedfishBmc, machine: Machine
) -> None:
    redfish_bmc.faults.add("mode-refused")
    bmc = open_redfish()
    bmc.ensure_boot_once("network", "uefi")
    assert machine.boot_once == "network" and "R06" in bmc.quirks


@pytest.mark.parametrize(
    ("fault", "number"), [("mode-reverts", "R10"), ("boot-override-ignored", "R07")]
)
def test_r07_a_yes_that_did_nothing_is_no_success(
    open_redfish: Open, redfish_bmc: RedfishBmc, fault: str, number: str
) -> None:
    redfish_bmc.faults.add(fault)
    bmc = open_redfish(settle=0.1)
    with pytest.raises(Failed):
        bmc.ensure_boot_once("network", "uefi")
    assert number in bmc.quirks


def test_r10_a_mode_that_only_the_setup_changes_is_a_step_for_a_person(
    open_redfish: Open, redfish_bmc: RedfishBmc
) -> None:
    redfish_bmc.faults.update({"legacy-only", "mode-refused"})
    bmc = open_redfish(settle=0.1)
    with pytest.raises(Failed, match=r"boots in bios mode(?s:.*)by hand"):
        bmc.ensure_boot_once("network", "uefi")
    assert "R10" in bmc.quirks


def test_r11_http_that_is_listed_and_refused_points_to_another_way(
    open_redfish: Open, redfish_bmc: RedfishBmc, machine: Machine
) -> None:
    redfish_bmc.faults.add("http-uri-refused")
    bmc = open_redfish(settle=0.1)
    assert "UefiHttp" in (bmc.facts().boot_targets or ())
    with pytest.raises(Failed, match="PXE or from a virtual drive"):
        bmc.ensure_boot_once("http")
    assert "R11" in bmc.quirks
    bmc.ensure_boot_once("network")
    assert machine.boot_once == "network"


def test_r39_reset_types_behind_action_info(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    redfish_bmc.faults.add("action-info")
    bmc = open_redfish()
    assert "ForceOff" in (bmc.facts().reset_types or ())
    bmc.ensure_power("on")
    assert "R39" in bmc.quirks


def test_r40_the_resets_that_are_offered_are_used(
    open_redfish: Open, redfish_bmc: RedfishBmc, machine: Machine
) -> None:
    """GracefulShutdown is not among them: Off is the soft one there."""
    redfish_bmc.faults.add("reset-values")
    bmc = open_redfish()
    bmc.ensure_power("on")
    bmc.ensure_shut_down()
    assert machine.power == "off" and "R40" in bmc.quirks


def test_r41_a_machine_that_is_off_gets_no_reset_but_on(
    open_redfish: Open, redfish_bmc: RedfishBmc, machine: Machine
) -> None:
    redfish_bmc.faults.add("reset-400-while-off")
    bmc = open_redfish()
    bmc.ensure_power("off")
    assert not [asked for asked in redfish_bmc.asked if asked.endswith("ComputerSystem.Reset")]
    bmc.cycle()
    assert machine.power == "on"


def test_r08_a_reset_that_is_refused_and_done(
    open_redfish: Open, redfish_bmc: RedfishBmc, machine: Machine
) -> None:
    redfish_bmc.faults.add("reset-refuses-but-does")
    bmc = open_redfish()
    bmc.ensure_power("on")
    assert machine.power == "on" and "R08" in bmc.quirks


def test_a_system_that_ignores_the_request_to_end_is_said_so(
    open_redfish: Open, redfish_bmc: RedfishBmc, machine: Machine
) -> None:
    redfish_bmc.faults.add("no-acpi")
    bmc = open_redfish(settle=0.1)
    bmc.ensure_power("on")
    with pytest.raises(Failed, match="may ignore the request"):
        bmc.ensure_shut_down()
    assert machine.power == "on"
