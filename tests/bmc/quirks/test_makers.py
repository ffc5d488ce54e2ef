"""One machine of each maker, in the shape that its BMC gives to Redfish.

Written after what is known of these firmwares (their references, reports, public mockups), with
invented serial numbers and addresses. Each holds only what the maker does in its own way.
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
TB = 10**12


def to(path: str) -> dict[str, str]:
    return {"@odata.id": path}


def macs(document: dict[str, Any]) -> list[str]:
    return [n["mac"] for n in document["nics"] or ()]


# ── Dell ─────────────────────────────────────────────────────────────────────────────────────────


def test_idrac_7_lists_backplanes_among_the_drives(made: Any, look: Look) -> None:
    devices = [
        {"Name": "Backplane 1 on Connector 0 of Integrated RAID Controller 1", "Model": "BP12G+",
         "CapacityBytes": None, "Status": {"State": "Enabled"}},
        {"Name": "Physical Disk 0:1:0", "Model": "ST600MM0006", "CapacityBytes": 599550590976},
        {"Name": "Physical Disk 0:1:1", "Model": "", "CapacityBytes": 0},
    ]  # fmt: skip
    made.below(SYSTEM, "SimpleStorage", {"RAID.Integrated.1-1": {"Devices": devices}})
    made[SYSTEM]["Status"] = {"Health": "OK", "HealthRollUp": "Critical"}
    document = look(made)
    assert [d["name"] for d in document["drives"]] == ["Physical Disk 0:1:0"]
    assert (document["health"], document["health_rollup"]) == ("OK", "Critical")


def test_idrac_9_tells_a_failing_drive_in_its_own_part(made: Any, look: Look) -> None:
    own = {"PredictiveFailureState": "SmartAlertPresent"}
    disk = {"Name": "SSD 0:1:0", "SerialNumber": "S3", "CapacityBytes": TB,
            "FailurePredicted": None, "Oem": {"Dell": {"DellPhysicalDisk": own}}}  # fmt: skip
    made.below(SYSTEM, "Storage", {"R": {"Drives": [to(f"{SYSTEM}/D0")]}})
    made[f"{SYSTEM}/D0"] = disk
    assert look(made)["drives"][0]["failing"] is True
    own["PredictiveFailureState"] = "SmartAlertAbsent"
    assert look(made)["drives"][0]["failing"] is None


def test_a_dell_blade_that_is_off_is_a_dell(made: Any, look: Look) -> None:
    made[SYSTEM] |= {"Manufacturer": "", "PowerState": "OFF"}
    made["/redfish/v1"]["Oem"] = {"Dell": {"ServiceTag": "ABC1234"}}
    document = look(made)
    assert (document["vendor"], document["power_state"]) == ("Dell", "Off")


# ── Supermicro, AMI, NVIDIA ──────────────────────────────────────────────────────────────────────


def test_ami_lists_its_own_virtual_drives_and_boot_targets_elsewhere(made: Any, look: Look) -> None:
    """As a DGX: what the BMC plays over USB is no drive, the settings hold what it boots from."""
    made[SYSTEM]["@Redfish.Settings"] = {"SettingsObject": to(f"{SYSTEM}/SD")}
    boot = {"BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "UefiHttp"],
            "BootSourceOverrideMode@Redfish.AllowableValues": ["UEFI"]}  # fmt: skip
    made[f"{SYSTEM}/SD"] = {"Boot": boot}
    names = ("NVMe_Device0", "USB_Device2_PortA")
    made.below(SYSTEM, "Storage", {"U": {"Drives": [to(f"{SYSTEM}/{n}") for n in names]}})
    made[f"{SYSTEM}/NVMe_Device0"] = {"Name": names[0], "Protocol": "NVMe", "CapacityBytes": 4 * TB,
                                      "SerialNumber": "N0", "MediaType": "SSD"}  # fmt: skip
    made[f"{SYSTEM}/USB_Device2_PortA"] = {
        "Name": names[1], "Protocol": "USB", "Model": "Virtual Cdrom Device", "MediaType": "HDD",
        "CapacityBytes": 2048, "SerialNumber": "AAAABBBBCCCC1",
    }  # fmt: skip
    document = look(made)
    assert [d["serial"] for d in document["drives"]] == ["N0"]
    assert document["boot_targets"] == ["None", "Pxe", "UefiHttp"]
    assert document["boot_modes"] == ["UEFI"]


def test_supermicro_x13_tells_nvme_by_name_alone_and_its_inner_link(made: Any, look: Look) -> None:
    device = {"Name": "Slot 0 (NVMe Device0)", "Model": "MZQL27T6HBLA-00A07"}
    made.below(SYSTEM, "SimpleStorage", {"1": {"Devices": [device]}})
    made.below(SYSTEM, "EthernetInterfaces", {
        "1": {"Name": "AOC_NIC1", "MACAddress": "7c:c2:55:00:00:8e"},
        "2": {"Name": "Manager Ethernet Interface", "MACAddress": "BE:3A:F2:B6:05:9F",
              "Links": {"HostInterface": to(f"{MANAGER}/HostInterfaces/1")}},
    })  # fmt: skip
    document = look(made)
    assert [(d["name"], d["size_bytes"]) for d in document["drives"]] == [(device["Name"], None)]
    assert macs(document) == ["7c:c2:55:00:00:8e"]


# ── Others ───────────────────────────────────────────────────────────────────────────────────────


def test_cisco_links_its_ports_below_the_controllers_alone(made: Any, look: Look) -> None:
    """And writes one object where a list belongs, and a MAC with dots."""
    made[SYSTEM]["Manufacturer"] = "Cisco Systems Inc"
    made.below(CHASSIS, "NetworkAdapters", {"L": {}})
    card = f"{CHASSIS}/NetworkAdapters/L"
    made[card]["Controllers"] = {"Link": {"NetworkDeviceFunctions": to(f"{card}/F")}}
    made[f"{card}/F"] = {"Id": "1", "Ethernet": {"MACAddress": "0025.B500.0001"}}
    made.below(SYSTEM, "Storage", {"MRAID": {}})
    made[f"{SYSTEM}/Storage/MRAID"] |= {
        "StorageControllers": {"Name": "Cisco 12G Modular Raid Controller"},
        "Drives": to(f"{SYSTEM}/Storage/MRAID/Drives"),
    }
    disk = {"Name": "1", "CapacityBytes": str(TB), "SerialNumber": "C1", "MediaType": "hdd"}
    made.collect(f"{SYSTEM}/Storage/MRAID/Drives", {"1": disk})
    document = look(made)
    assert (document["vendor"], macs(document)) == ("Cisco", ["00:25:b5:00:00:01"])
    assert [(d["size_bytes"], d["media"]) for d in document["drives"]] == [(TB, "HDD")]
    assert document["controllers"][0]["raid"] is True


def test_huawei_keeps_drives_without_a_controller_in_the_chassis(made: Any, look: Look) -> None:
    made[SYSTEM] |= {"Manufacturer": "Huawei", "Model": None}
    made[SYSTEM]["Oem"] = {"Huawei": {"ProductName": "RH2288H V3"}}
    made[SYSTEM]["Links"] = {"Chassis": [to(CHASSIS)]}
    raid, plain = f"{CHASSIS}/Drives/HDDPlaneDisk0", f"{CHASSIS}/Drives/PCIeDisk1"
    made[SYSTEM]["Storage"] = made.collect(
        f"{SYSTEM}/Storages", {"RAIDStorage0": {"Drives": [to(raid)]}}
    )
    made.below(CHASSIS, "Drives", {
        "HDDPlaneDisk0": {"Name": "Disk0", "SerialNumber": "H0", "CapacityBytes": TB},
        "PCIeDisk1": {"Name": "Disk1", "SerialNumber": "H1", "CapacityBytes": TB},
        "Disk2": {"Name": "Disk0 again", "SerialNumber": "H0", "CapacityBytes": TB},
    })  # fmt: skip
    assert made[plain]
    document = look(made)
    assert document["model"] == "RH2288H V3"
    assert [d["serial"] for d in document["drives"]] == ["H0", "H1"]


def test_fujitsu_says_empty_slots_in_its_own_words(made: Any, look: Look) -> None:
    made["/redfish/v1"]["Oem"] = {"ts_fujitsu": {}}
    made[SYSTEM]["Manufacturer"] = None
    empty = {"CapacityMiB": 8192, "Oem": {"ts_fujitsu": {"SignalStatus": "EmptyOrNotInstalled"}}}
    made.below(SYSTEM, "Memory", {
        "0": {"CapacityMiB": 8192, "DeviceLocator": "DIMM-1A",
              "Oem": {"ts_fujitsu": {"SignalStatus": "Operable"}}},
        "1": empty,
    })  # fmt: skip
    supply = {"Name": "PSU1", "InputRanges": [{"OutputWattage": 450}]}
    made[SYSTEM]["Links"] = {"Chassis": [to(CHASSIS)]}
    made[CHASSIS]["Power"] = to(f"{CHASSIS}/Power")
    made[f"{CHASSIS}/Power"] = {"PowerSupplies": [supply]}
    document = look(made)
    assert (document["vendor"], document["memory_gib"]) == ("Fujitsu", 8)
    assert [d["slot"] for d in document["dimms"]] == ["DIMM-1A"]
    assert [p["watts"] for p in document["psus"]] == [450]


def test_inspur_writes_bare_paths_and_modules_in_gib(made: Any, look: Look) -> None:
    made["/redfish/v1/Systems"]["Members"] = [SYSTEM]
    made.below(SYSTEM, "Memory", {"1": {"CapacityMiB": 32, "DeviceLocator": "CPU0_C0D0"}})
    card = f"{CHASSIS}/NetworkAdapters/onboard"
    made[card] = {"Id": "onboard"}
    made.below(card, "NetworkPorts", {"1": {"AssociatedNetworkAddresses": "6C92BF000001"}})
    interface = {"Links": {"NetworkAdapter": [card]}}
    made.below(SYSTEM, "NetworkInterfaces", {"onboard": interface})
    document = look(made)
    assert document["dimms"] == [
        {"slot": "CPU0_C0D0", "size_gib": 32, "serial": None, "part": None}
    ]
    assert (document["memory_gib"], macs(document)) == (32, ["6c:92:bf:00:00:01"])


def test_openbmc_lists_its_hypervisor_beside_the_server(
    made: Any, look: Look, nodes: Callable[..., tuple[str, ...]]
) -> None:
    reset = {"#ComputerSystem.Reset": {"target": "/x"}}
    made["/redfish/v1/Systems"]["Members"].append(to("/redfish/v1/Systems/hypervisor"))
    made["/redfish/v1/Systems/hypervisor"] = {
        "Id": "hypervisor", "SystemType": ["OS"], "Actions": reset, "Boot": {},
    }  # fmt: skip
    cpu = {"Model": "", "Version": "AMD EPYC 7543 32-Core Processor", "TotalCores": 32,
           "ProcessorType": "CPU", "TotalThreads": 64}  # fmt: skip
    gone = {"Status": {"State": "Absent"}, "Model": "x", "TotalCores": 0}
    made.below(
        SYSTEM,
        "Processors",
        {"cpu0": cpu, "cpu1": gone, "g": {"ProcessorType": "OEM", "Model": "X1"}},
    )
    made.below(
        SYSTEM,
        "Memory",
        {
            "dimm0": {
                "CapacityMiB": 65536,
                "Location": {"PartLocation": {"ServiceLabel": "P0 CHANNEL A"}},
            }
        },
    )
    assert nodes(made) == ("",)
    document = look(made)
    assert document["cpu"] == {"model": "AMD EPYC 7543 32-Core Processor", "sockets": 1,
                               "cores": 32, "threads": 64}  # fmt: skip
    assert document["dimms"] == [
        {"slot": "P0 CHANNEL A", "size_gib": 64, "serial": None, "part": None}
    ]


def test_a_summary_stands_where_no_processors_are_listed_at_all(made: Any, look: Look) -> None:
    summary = {"Count": 2, "Model": "AMD EPYC 7302", "CoreCount": 32, "LogicalProcessorCount": 64}
    made[SYSTEM]["ProcessorSummary"] = summary
    assert look(made)["cpu"] == {
        "model": "AMD EPYC 7302", "sockets": 2, "cores": 32, "threads": 64,
    }  # fmt: skip
    made.below(SYSTEM, "Processors", {})
    assert look(made)["cpu"]["sockets"] is None, "listed, and there are none: it may be off"
