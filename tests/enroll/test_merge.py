"""Redfish's facts, completed by IPMI's: nothing is lost, and who lies is named."""

from metal.enroll.merge import lacking, merge
from metal.model.facts import Cpu, Facts, Psu

REDFISH = Facts(
    address="10.0.0.1",
    protocol="redfish",
    vendor="Dell Inc.",
    serial="7X3K9Q2",
    power_state="on",
    cpu=Cpu(model="Xeon", sockets=2),
    memory_gib=64,
    unknown={"model": "the BMC does not tell it", "cpu.cores": "nor this", "drives": "nor that"},
)
IPMI = Facts(
    address="10.0.0.1",
    protocol="ipmi",
    vendor="DELL",
    model="PowerEdge R320",
    serial="7X3K9Q2",
    board_serial="CN7016",
    power_state="on",
    health="ok",
    cpu=Cpu(cores=8),
    psus=(Psu(name="PS1", health="ok"),),
    unknown={"memory_gib": "IPMI does not tell it"},
)


def test_what_only_ipmi_told_is_taken() -> None:
    both = merge(REDFISH, IPMI)
    assert both.protocol == "both"
    assert (both.model, both.board_serial, both.health) == ("PowerEdge R320", "CN7016", "ok")
    assert both.psus == IPMI.psus
    assert both.cpu == Cpu(model="Xeon", sockets=2, cores=8)


def test_redfish_stands_where_it_told() -> None:
    both = merge(REDFISH, IPMI)
    assert (both.vendor, both.memory_gib) == ("Dell Inc.", 64)


def test_only_what_is_still_unknown_is_called_so() -> None:
    assert merge(REDFISH, IPMI).unknown == {"drives": "nor that"}


def test_who_contradicts_whom_is_noted() -> None:
    liar = IPMI.model_copy(update={"serial": "OTHER1", "power_state": "off"})
    both = merge(REDFISH, liar)
    assert both.serial == "7X3K9Q2" and both.power_state == "on"
    assert both.notes == (
        "serial: 7X3K9Q2 over Redfish, OTHER1 over IPMI",
        "power: on over Redfish, off over IPMI",
    )
    assert merge(REDFISH, IPMI).notes == ()


def test_a_dells_two_serials_are_no_contradiction() -> None:
    told = REDFISH.model_copy(update={"serial": "CN7016", "sku": "7X3K9Q2"})
    both = merge(told, IPMI)
    assert (both.serial, both.sku, both.notes) == ("CN7016", "7X3K9Q2", ())
    liar = IPMI.model_copy(update={"serial": "7X3K9Q3", "board_serial": None})
    assert merge(told, liar).notes == ("serial: CN7016 over Redfish, 7X3K9Q3 over IPMI",)


def test_ipmi_is_asked_only_for_what_it_may_tell() -> None:
    assert lacking(REDFISH) == ("model", "uuid", "bmc_firmware")
    assert lacking(merge(REDFISH, IPMI)) == ("uuid", "bmc_firmware")
