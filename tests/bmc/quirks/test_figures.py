"""Figures and texts that no machine has, and parts that are told twice or are no parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from metal.drivers.placeholders import told

SYSTEM, CHASSIS, MANAGER = (
    "/redfish/v1/Systems/1",
    "/redfish/v1/Chassis/1",
    "/redfish/v1/Managers/1",
)
Look = Callable[..., dict[str, Any]]
GIB, TB = 1024, 10**12


def drives(made: Any, *controllers: list[dict[str, Any]]) -> None:
    """One Storage for each controller, with drives at paths of its own."""
    storages: dict[str, Any] = {}
    for number, bodies in enumerate(controllers):
        paths = [f"{SYSTEM}/Storage/{number}/Drives/{i}" for i in range(len(bodies))]
        made |= dict(zip(paths, bodies, strict=True))
        storages[str(number)] = {"Drives": [{"@odata.id": path} for path in paths]}
    made.below(SYSTEM, "Storage", storages)


@pytest.mark.parametrize("kind", ["IntelOptane", "NVDIMM_N", "NVDIMM_P"])
def test_persistent_memory_is_no_ram(made: Any, look: Look, kind: str) -> None:
    ram = {"CapacityMiB": 32 * GIB, "MemoryType": "DRAM"}
    made.below(SYSTEM, "Memory", {"A1": ram, "A2": {"CapacityMiB": 512 * GIB, "MemoryType": kind}})
    document = look(made)
    assert document["memory_gib"] == 32 and [d["slot"] for d in document["dimms"]] == ["A1"]


def test_persistent_memory_by_its_medium_alone(made: Any, look: Look) -> None:
    media = {"A1": ["DRAM"], "A2": ["Intel3DXPoint"]}
    modules = {n: {"CapacityMiB": 32 * GIB, "MemoryMedia": m} for n, m in media.items()}
    made.below(SYSTEM, "Memory", modules)
    assert [d["slot"] for d in look(made)["dimms"]] == ["A1"]


def test_a_member_that_is_listed_with_and_without_a_slash_is_one(made: Any, look: Look) -> None:
    made.below(SYSTEM, "Memory", {"A1": {"CapacityMiB": 32 * GIB}})
    members = made[f"{SYSTEM}/Memory"]["Members"]
    members.append({"@odata.id": f"{SYSTEM}/Memory/A1/"})
    assert len(look(made)["dimms"]) == 1


def test_a_drive_behind_two_controllers_is_one(made: Any, look: Look) -> None:
    disk = {"Name": "Disk 0", "SerialNumber": "W4633667", "CapacityBytes": TB}
    nameless = {"Name": "Disk 1", "CapacityBytes": TB}
    drives(made, [disk, nameless], [disk, nameless])
    assert [d["serial"] for d in look(made)["drives"]] == ["W4633667", None, None]


def test_a_port_that_found_no_dhcp_is_a_card_whoever_says_so(made: Any, look: Look) -> None:
    card = {"MACAddress": "94:40:C9:11:22:33", "IPv4Addresses": [{"Address": "169.254.3.4"}]}
    made.below(SYSTEM, "EthernetInterfaces", {"NIC1": card})
    assert [n["name"] for n in look(made)["nics"]] == ["NIC1"]


@pytest.mark.parametrize(
    ("name", "more"),
    [("bond0", {}), ("vmbr0", {}), ("eno1.12", {}), ("Team", {"EthernetInterfaceType": "Virtual"})],
)
def test_what_a_system_made_of_its_cards_is_no_card(
    made: Any, look: Look, name: str, more: dict[str, Any]
) -> None:
    mac = {"MACAddress": "94:40:C9:11:22:33"}
    made.below(SYSTEM, "EthernetInterfaces", {name: mac | more, "NIC.Slot.5-1": mac})
    assert [n["name"] for n in look(made)["nics"]] == ["NIC.Slot.5-1"]


@pytest.mark.parametrize("count", [2**32 - 1, 65535])
def test_more_cores_than_there_are_is_unknown(made: Any, look: Look, count: int) -> None:
    cpu = {"Model": "Xeon 4310", "TotalCores": count, "TotalThreads": count}
    made.below(SYSTEM, "Processors", {"1": cpu, "2": cpu})
    document = look(made)
    assert document["cpu"]["sockets"] == 2 and document["cpu"]["cores"] is None
    assert document["cpu"]["threads"] is None and document["unknown"]["cpu.cores"]


def test_a_drive_larger_than_any_has_no_size(made: Any, look: Look) -> None:
    drives(made, [{"Model": "HUC1018", "SerialNumber": "A77", "CapacityBytes": 920 * 10**15}])
    document = look(made)
    assert document["drives"][0]["size_bytes"] is None
    assert document["unknown"]["drives.size_bytes"]


@pytest.mark.parametrize(("media", "wear"), [("HDD", None), ("SSD", 100.0)])
def test_a_hard_disk_is_not_worn_by_writing(
    made: Any, look: Look, media: str, wear: float | None
) -> None:
    disk = {"Model": "HUC1018", "MediaType": media, "PredictedMediaLifeLeftPercent": 0}
    drives(made, [disk])
    assert look(made)["drives"][0]["wear_percent"] == wear


@pytest.mark.parametrize(
    "text",
    """System Product Name|System manufacturer|SKU|SKUNumber|NotAvailable|NotSpecified|Unspecified
N.A.|S/N|SN|Type2 - Board Serial Number|BSN12345678901234567|Asset-1234567890|9876543210
Not Settable|Not Defined|Not Known|No Serial Number|<OUT OF SPEC>|<BAD INDEX>|*****|=====|????
Board Serial|SKU=NotProvided;ModelName=PowerEdge|Unknow|Unknown Serial|Fill By OEM
Filled by O.E.M.|None Installed|Manufacturer|All Series|Empty Slot""".replace("\n", "|").split("|"),
)
def test_r32_what_nobody_filled_in_is_nobodys(text: str) -> None:
    assert told(text) is None


@pytest.mark.parametrize(
    "text", ["SN42X7", "..CN7016", "System x3650 M5", "SNK-P0047", "NA7712", "Z370 Series", "BSN1A"]
)
def test_r32_what_somebody_wrote_is_kept(text: str) -> None:
    assert told(text) == text


# ── Null, twice, and a link that leads nowhere ───────────────────────────────────────────────────


def test_what_a_system_sits_in_is_asked_once_however_often_it_is_named(
    made: Any, look: Look
) -> None:
    supply = {"@odata.id": f"{CHASSIS}/Power#/PowerSupplies/0", "Name": "PSU 1"}
    made[SYSTEM]["Links"] = {"Chassis": [{"@odata.id": CHASSIS}, {"@odata.id": f"{CHASSIS}/"}]}
    made[CHASSIS]["Power"] = {"@odata.id": f"{CHASSIS}/Power"}
    made[f"{CHASSIS}/Power"] = {"PowerSupplies": [supply, supply]}
    assert [p["name"] for p in look(made)["psus"]] == ["PSU 1"]
    made[f"{CHASSIS}/Power"] = {"PowerSupplies": [{"Name": "Bay", "Model": "PSSF"}] * 2}
    assert len(look(made)["psus"]) == 2, "nothing says that they are one"


def test_null_is_the_same_as_not_there(made: Any, look: Look) -> None:
    made[SYSTEM]["PowerState"] = None
    made[SYSTEM]["Links"] = {"Chassis": [{"@odata.id": CHASSIS}]}
    made[CHASSIS]["PowerState"] = "On"
    made.below(MANAGER, "VirtualMedia", {"1": {"Actions": {"#VirtualMedia.InsertMedia": None}}})
    document = look(made)
    assert (document["power_state"], document["virtual_media"]) == ("On", [])


def test_a_manager_that_cannot_be_found_is_looked_for_among_all(made: Any, look: Look) -> None:
    made[SYSTEM]["Links"] = {"ManagedBy": [{"@odata.id": "/redfish/v1/Managers/Old"}]}
    made[MANAGER]["FirmwareVersion"] = "2.81"
    assert look(made)["bmc_firmware"] == "2.81"
