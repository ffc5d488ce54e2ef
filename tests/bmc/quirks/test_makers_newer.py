"""Machines of Lenovo, HPE's iLO 6 and ASRock Rack, in the shape that their BMCs give to Redfish.

As in test_makers.py: written after what is known of these firmwares, with invented numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SYSTEM, CHASSIS, MANAGER = (
    "/redfish/v1/Systems/1",
    "/redfish/v1/Chassis/1",
    "/redfish/v1/Managers/1",
)
Look = Callable[..., dict[str, Any]]
ABSENT = {"Status": {"State": "Absent", "Health": None}}


def to(path: str) -> dict[str, str]:
    return {"@odata.id": path}


def macs(document: dict[str, Any]) -> list[str]:
    return [n["mac"] for n in document["nics"] or ()]


# ── Lenovo ───────────────────────────────────────────────────────────────────────────────────────


def test_xcc_lists_empty_slots_and_both_ends_of_its_inner_link(made: Any, look: Look) -> None:
    modules: dict[str, Any] = {str(n): {"CapacityMiB": 0} | ABSENT for n in range(1, 25)}
    for slot in ("3", "15"):
        modules[slot] = {"DeviceLocator": f"DIMM {slot}", "CapacityMiB": 32768}
    made.below(SYSTEM, "Memory", modules)
    card = {"Name": "External Ethernet Interface"}
    made.below(SYSTEM, "EthernetInterfaces", {
        "NIC1": card | {"MACAddress": "08:94:EF:5E:B2:A2"},
        "NIC2": card | {"MACAddress": "08:94:EF:5E:B2:A3"},
        "ToManager": {"Name": "host-to-manager", "MACAddress": "0A:94:EF:5E:B2:A4"},
    })  # fmt: skip
    made.below(MANAGER, "EthernetInterfaces", {
        "NIC": {"MACAddress": "08:94:EF:5E:B2:A1"}, "ToHost": {"MACAddress": "0A:94:EF:5E:B2:A5"},
    })  # fmt: skip
    document = look(made)
    assert [d["slot"] for d in document["dimms"]] == ["DIMM 3", "DIMM 15"]
    assert macs(document) == ["08:94:ef:5e:b2:a2", "08:94:ef:5e:b2:a3"]
    assert document["bmc_mac"] == "08:94:ef:5e:b2:a1"


def test_xcc_lists_drives_of_others_that_nobody_can_insert_into(made: Any, look: Look) -> None:
    insert = {"Actions": {"#VirtualMedia.InsertMedia": {"target": "/x"}}}
    made.below(MANAGER, "VirtualMedia", {"RDOC1": insert, "Remote1": {"ConnectedVia": "Applet"}})
    assert look(made)["virtual_media"] == ["RDOC1"]


# ── HPE ──────────────────────────────────────────────────────────────────────────────────────────


def test_ilo_6_tells_drives_supplies_and_cards_in_the_newer_places(made: Any, look: Look) -> None:
    """Its drives are the chassis' of the drives, its cards' MACs stand in two ways at ports."""
    made.below(
        SYSTEM, "Storage", {"DE009000": {"Drives": [to("/redfish/v1/Chassis/DE009000/D/0")]}}
    )
    made["/redfish/v1/Chassis/DE009000/D/0"] = {
        "Id": "0", "Name": "Secondary Storage Device", "CapacityBytes": 3840755982336,
        "MediaType": "SSD", "Protocol": "NVMe", "SerialNumber": "S5TXNE0R",
        "PhysicalLocation": {"PartLocation": {"ServiceLabel": "Slot=20:Bay=1"}},
    }  # fmt: skip
    made.below(CHASSIS, "NetworkAdapters", {"DC0": {}})
    made.below(f"{CHASSIS}/NetworkAdapters/DC0", "Ports", {
        "0": {"Ethernet": {"AssociatedMACAddresses": ["94:6D:AE:00:00:01"]}},
        "1": {"AssociatedNetworkAddresses": ["94:6D:AE:00:00:02"]},
    })  # fmt: skip
    made[CHASSIS]["PowerSubsystem"] = to(f"{CHASSIS}/PowerSubsystem")
    made[f"{CHASSIS}/PowerSubsystem"] = {}
    made.below(f"{CHASSIS}/PowerSubsystem", "PowerSupplies", {"0": {"PowerCapacityWatts": 2200}})
    document = look(made)
    (drive,) = document["drives"]
    assert (drive["media"], drive["serial"], drive["slot"]) == ("SSD", "S5TXNE0R", "Slot=20:Bay=1")
    assert drive["failing"] is None and "of any" in document["unknown"]["drives.failing"]
    assert macs(document) == ["94:6d:ae:00:00:01", "94:6d:ae:00:00:02"]
    assert document["psus"][0]["watts"] == 2200


# ── ASRock Rack, and whoever leaves AMI's firmware as it came ────────────────────────────────────


def test_ami_as_it_came_has_no_names_and_writes_numbers_as_text(made: Any, look: Look) -> None:
    unfilled = "To Be Filled By O.E.M."
    made[SYSTEM] |= {
        "Manufacturer": unfilled, "Model": unfilled, "SerialNumber": unfilled,
        "UUID": "03000200-0400-0500-0006-000700080009",
        "MemorySummary": {"TotalSystemMemoryGiB": "64"},
    }  # fmt: skip
    made[CHASSIS] |= {"Manufacturer": "ASRockRack", "Model": "ROMED8-2T", "SerialNumber": "2100001"}
    made.below(SYSTEM, "Memory", {"1": {"CapacityMiB": "32768", "DeviceLocator": "DIMM A1"},
                                  "2": {"CapacityMiB": 32768, "Id": None}})  # fmt: skip
    made.below(SYSTEM, "EthernetInterfaces", {
        "a": {"MACAddress": "A8-A1-59-00-00-01"}, "b": {"MACAddress": "a8a159000002"},
        "c": {"MACAddress": "00:00:00:00:00:00"},
    })  # fmt: skip
    document = look(made)
    assert (document["vendor"], document["model"]) == ("ASRock Rack", "ROMED8-2T")
    assert document["serial"] is None and document["uuid"] is None
    assert document["board_serial"] == "2100001" and document["memory_gib"] == 64
    assert [d["slot"] for d in document["dimms"]] == ["DIMM A1", "2"]
    assert macs(document) == ["a8:a1:59:00:00:01", "a8:a1:59:00:00:02"]


# ── Anybody ──────────────────────────────────────────────────────────────────────────────────────


def test_a_list_that_cannot_be_read_is_not_an_empty_one(made: Any, look: Look) -> None:
    """None of its slots can be seen: that is not a BMC without virtual media."""
    assert look(made)["virtual_media"] == []
    made.below(MANAGER, "VirtualMedia", {"1": {}})
    made[f"{MANAGER}/VirtualMedia"] = "broken"
    document = look(made)
    assert document["virtual_media"] is None and "HTTP 500" in document["unknown"]["virtual_media"]
    made[MANAGER] = "broken"
    document = look(made)
    assert document["virtual_media"] is None and document["unknown"]["virtual_media"]


def test_what_some_parts_do_not_tell_is_named_with_them(made: Any, look: Look) -> None:
    made.below(SYSTEM, "Storage", {"R": {"Drives": [to(f"{SYSTEM}/D{n}") for n in range(3)]}})
    for number in range(3):
        made[f"{SYSTEM}/D{number}"] = {"Name": f"Disk {number}", "CapacityBytes": 10**12}
    made[f"{SYSTEM}/D0"]["SerialNumber"] = "S0"
    unknown = look(made)["unknown"]
    assert unknown["drives.serial"] == "the BMC does not tell it of 2 of 3: Disk 1, Disk 2"
    assert unknown["drives.media"] == "the BMC does not tell it of any"


def test_what_was_lost_on_the_way_is_noted(made: Any, look: Look) -> None:
    """Two of three drives were read: they are told, and that there was a third."""
    made.below(SYSTEM, "Storage", {"R": {"Drives": [to(f"{SYSTEM}/D{n}") for n in range(3)]}})
    for number in range(2):
        made[f"{SYSTEM}/D{number}"] = {"Name": f"Disk {number}", "CapacityBytes": 10**12}
    made[f"{SYSTEM}/D2"] = "broken"
    document = look(made)
    assert len(document["drives"]) == 2
    assert any(f"{SYSTEM}/D2" in note for note in document["notes"])
    assert document["unknown"]["drives"].startswith("not all of it: ")


def test_of_some_processors_and_modules_no_sum_is_told(made: Any, look: Look) -> None:
    cpu = {"Model": "AMD EPYC 7302", "TotalCores": 16, "TotalThreads": 32}
    made.below(SYSTEM, "Processors", {"1": cpu, "2": cpu})
    made.below(SYSTEM, "Memory", {n: {"CapacityMiB": 16384} for n in "1234"})
    made[f"{SYSTEM}/Processors/2"] = made[f"{SYSTEM}/Memory/3"] = "broken"
    document = look(made)
    assert document["cpu"] == {
        "model": "AMD EPYC 7302", "sockets": None, "cores": None, "threads": None,
    }  # fmt: skip
    assert "Processors/2" in document["unknown"]["cpu.sockets"]
    assert len(document["dimms"]) == 3 and document["memory_gib"] is None
    assert "Memory/3" in document["unknown"]["dimms"]
    made[SYSTEM]["MemorySummary"] = {"TotalSystemMemoryGiB": 64}
    assert look(made)["memory_gib"] == 64
