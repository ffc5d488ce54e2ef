"""iLO 4 and 5: where HPE keeps what others keep elsewhere. All numbers are made up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SYSTEM, CHASSIS, MANAGER = (
    "/redfish/v1/Systems/1",
    "/redfish/v1/Chassis/1",
    "/redfish/v1/Managers/1",
)
Look = Callable[..., dict[str, Any]]


def to(path: str) -> dict[str, str]:
    return {"@odata.id": path}


def macs(document: dict[str, Any]) -> list[str]:
    return [n["mac"] for n in document["nics"] or ()]


def test_ilo_4_before_it_spoke_redfish_well(made: Any, look: Look) -> None:
    """Links by href, members below links, memory and cards below Oem, versions in objects."""
    oem = "/rest/v1/Systems/1"
    made[SYSTEM] |= {
        "Manufacturer": "HP",
        "Model": "ProLiant DL360 Gen9",
        "Power": "On",
        "Memory": {"Status": {"HealthRollUp": "OK"}, "TotalSystemMemoryGB": 32},
        "Processors": {"Count": 2, "ProcessorFamily": "Intel(R) Xeon(R) CPU E5-2620 v3 @ 2.40GHz"},
        "Bios": {"Current": {"VersionString": "P89 v2.76 (10/21/2019)"}},
        "Boot": {"BootSourceOverrideSupported": ["None", "Cd", "Hdd", "Pxe"]},
        "Actions": {},
        "AvailableActions": [
            {"Action": "Reset", "Capabilities": [
                {"PropertyName": "ResetType", "AllowableValues": ["On", "ForceOff", "Nmi"]}]}
        ],
        "Status": {"Health": "OK", "State": "Enabled"},
        "Oem": {"Hp": {"PCASerialNumber": "PDNLH0BRH7D0XK", "links": {
            "Memory": {"href": f"{oem}/Memory"},
            "NetworkAdapters": {"href": f"{oem}/NetworkAdapters"},
        }}},
    }  # fmt: skip
    dimm = {"SizeMB": 16384, "SocketLocator": "PROC  1 DIMM  1", "DIMMStatus": "GoodInUse"}
    empty = {"SizeMB": 0, "SocketLocator": "PROC  1 DIMM  2", "DIMMStatus": "NotPresent"}
    made[f"{oem}/Memory"] = {"links": {"Member": [{"href": f"{oem}/Memory/{i}"} for i in "123"]}}
    made[f"{oem}/Memory/1"], made[f"{oem}/Memory/2"] = dimm, empty
    made[f"{oem}/Memory/3"] = dimm | {"SocketLocator": "PROC  2 DIMM  1"}
    made[f"{oem}/NetworkAdapters"] = {"links": {"Member": [{"href": f"{oem}/NetworkAdapters/1"}]}}
    ports = [{"MacAddress": "9c:b6:54:00:00:01"}, {"MacAddress": "9c:b6:54:00:00:02"}]
    made[f"{oem}/NetworkAdapters/1"] = {"Id": "1", "Name": "331i", "PhysicalPorts": ports}
    made[MANAGER]["Oem"] = {"Hp": {"Firmware": {"Current": {"VersionString": "iLO 4 v2.55"}}}}
    insert = {"#HpiLOVirtualMedia.InsertVirtualMedia": {"target": f"{MANAGER}/VirtualMedia/2/x"}}
    media = {"1": {}, "2": {"MediaTypes": ["CD", "DVD"], "Oem": {"Hp": {"Actions": insert}}}}
    made.below(MANAGER, "VirtualMedia", media)
    document = look(made)
    assert (document["vendor"], document["memory_gib"]) == ("HP", 32)
    assert document["dimms"] == [
        {"slot": "PROC 1 DIMM 1", "size_gib": 16, "serial": None, "part": None},
        {"slot": "PROC 2 DIMM 1", "size_gib": 16, "serial": None, "part": None},
    ]
    assert (document["cpu"]["sockets"], document["cpu"]["cores"]) == (2, None)
    assert document["cpu"]["model"] == "Intel(R) Xeon(R) CPU E5-2620 v3 @ 2.40GHz"
    assert document["bios_version"] == "P89 v2.76 (10/21/2019)"
    assert document["bmc_firmware"] == "iLO 4 v2.55"
    assert document["boot_targets"] == ["None", "Cd", "Hdd", "Pxe"]
    assert document["reset_types"] == ["On", "ForceOff", "Nmi"]
    assert macs(document) == ["9c:b6:54:00:00:01", "9c:b6:54:00:00:02"]
    assert document["virtual_media"] == ["2"]
    assert document["board_serial"] == "PDNLH0BRH7D0XK"


def test_ilo_4_links_what_it_has_below_links(made: Any, look: Look) -> None:
    cpus = made.collect(f"{SYSTEM}/Processors", {
        "1": {"Model": "E5-2620 v3", "TotalCores": 6, "TotalThreads": 12},
    })  # fmt: skip
    made[SYSTEM]["Processors"] = {"Count": 1, "ProcessorFamily": "Xeon"}
    made[SYSTEM]["links"] = {"Processors": {"href": cpus["@odata.id"]}}
    made[SYSTEM]["SerialNumber"] = 2102312345
    del made[SYSTEM]["PowerState"]
    made[SYSTEM]["Links"] = {"Chassis": [to(CHASSIS)]}
    made[CHASSIS]["PowerState"] = "Off"
    document = look(made)
    assert document["cpu"] == {"model": "E5-2620 v3", "sockets": 1, "cores": 6, "threads": 12}
    assert (document["serial"], document["power_state"]) == ("2102312345", "Off")


def test_ilo_5_without_its_agent_tells_cards_below_oem_alone(made: Any, look: Look) -> None:
    made[SYSTEM]["Manufacturer"] = "HPE"
    made[SYSTEM]["Oem"] = {
        "Hpe": {"Links": {"NetworkAdapters": to(f"{SYSTEM}/BaseNetworkAdapters")}}
    }
    ports = [{"MacAddress": "50:7c:6f:00:00:14", "Name": ""}, {"MacAddress": None}]
    cards = {"1": {"Name": "I350T4 OCPv3", "PhysicalPorts": ports}}
    made.collect(f"{SYSTEM}/BaseNetworkAdapters", cards)
    made.below(SYSTEM, "EthernetInterfaces", {})
    assert macs(look(made)) == ["50:7c:6f:00:00:14"]


def test_smart_storage_says_why_a_drive_is_ill(made: Any, look: Look) -> None:
    top = f"{SYSTEM}/SmartStorage"
    made[SYSTEM]["Oem"] = {"Hpe": {"Links": {"SmartStorage": to(top)}}}
    made[top] = {"Links": {"ArrayControllers": to(f"{top}/ArrayControllers")}}
    made.collect(f"{top}/ArrayControllers", {"0": {}})
    whole = {"CapacityMiB": 572325, "InterfaceType": "SAS", "RotationalSpeedRpm": 10500}
    bays = made.collect(f"{top}/D", {
        "0": whole | {"SerialNumber": "A1", "DiskDriveStatusReasons": ["PredictiveFail"]},
        "1": whole | {"SerialNumber": "A2", "DiskDriveStatusReasons": ["None"]},
    })  # fmt: skip
    made[f"{top}/ArrayControllers/0"]["Links"] = {"PhysicalDrives": bays}
    drives = look(made)["drives"]
    assert [(d["serial"], d["failing"], d["media"]) for d in drives] == [
        ("A1", True, "HDD"), ("A2", None, "HDD"),
    ]  # fmt: skip
