"""The same fact in the units, places and spellings of many makers.

Each row is what a BMC says and the fact it means. None: it said nothing that can be used, and
the law of every document (a null has its reason, and no zero stands for it) is checked by `look`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from metal.drivers.redfish_tree import Tree
from metal.drivers.redfish_watts import watts
from metal.enroll.identity import same
from metal.lab.redfish_offline import OfflineSession
from metal.model.facts import Facts

SYSTEM, CHASSIS, MANAGER = (
    "/redfish/v1/Systems/1",
    "/redfish/v1/Chassis/1",
    "/redfish/v1/Managers/1",
)
Look = Callable[..., dict[str, Any]]
TB, MIB, GIB = 10**12, 2**20, 2**30
ABSENT = {"Status": {"State": "Absent"}}


def to(path: str) -> dict[str, str]:
    return {"@odata.id": path}


def macs(document: dict[str, Any]) -> list[str] | None:
    return document["nics"] and [n["mac"] for n in document["nics"]]


# ── Memory ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("total", "gib"),
    [
        (64, 64),
        ("64", 64),
        ("64 GiB", 64),
        ("64GB", 64),
        ("65536 MB", 64),
        ("65536 MiB", 64),
        ("1.5 TiB", 1536),
        ("68719476736 bytes", 64),
        (65536, 64),
        (1048576, 1024),
        (67108864, 64),
        (68719476736, 64),
        (476.837376, 476.837376),
        (0, None),
        (-1, None),
        ("", None),
        ("N/A", None),
        (None, None),
        ({"Value": 64}, None),
    ],
)
def test_a_total_in_any_unit(made: Any, look: Look, total: Any, gib: float | None) -> None:
    made[SYSTEM]["MemorySummary"] = {"TotalSystemMemoryGiB": total}
    assert look(made)["memory_gib"] == gib


def test_a_total_that_no_unit_explains_is_none_with_the_reason(made: Any, look: Look) -> None:
    made[SYSTEM]["MemorySummary"] = {"TotalSystemMemoryGiB": 10**17}
    document = look(made)
    assert document["memory_gib"] is None
    assert "no machine has as much" in document["unknown"]["memory_gib"]


def test_a_total_below_memory(made: Any, look: Look) -> None:
    made[SYSTEM]["Memory"] = {"TotalSystemMemoryGiB": 64}
    assert look(made)["memory_gib"] == 64


@pytest.mark.parametrize("total", [65536, 68719.476736, 67108864])
def test_modules_decide_the_unit_of_the_total(made: Any, look: Look, total: Any) -> None:
    """64 GiB in MiB, MB and KiB: beside modules of 64 GiB there is no doubt."""
    made[SYSTEM]["MemorySummary"] = {"TotalSystemMemoryGiB": total}
    made.below(SYSTEM, "Memory", {str(n): {"CapacityMiB": 16384} for n in range(4)})
    assert look(made)["memory_gib"] == 64


def test_a_large_total_that_its_modules_make_up_stands(made: Any, look: Look) -> None:
    made[SYSTEM]["MemorySummary"] = {"TotalSystemMemoryGiB": 16384}
    made.below(SYSTEM, "Memory", {str(n): {"CapacityMiB": 256 * 1024} for n in range(64)})
    assert look(made)["memory_gib"] == 16384


@pytest.mark.parametrize(
    ("module", "gib"),
    [
        ({"CapacityMiB": 16384}, 16),
        ({"CapacityMiB": "16384"}, 16),
        ({"CapacityMiB": "16384 MB"}, 16),
        ({"CapacityMiB": "16 GB"}, 16),
        ({"CapacityMiB": 16}, 16),
        ({"CapacityMiB": 16777216}, 16),
        ({"CapacityMiB": 17179869184}, 16),
        ({"SizeMB": 16384}, 16),
        ({"CapacityMB": 16384}, 16),
        ({"CapacityGiB": 16}, 16),
        ({"CapacityBytes": 17179869184}, 16),
        ({"CapacityMiB": 0}, None),
        ({"CapacityMiB": None}, None),
        ({"CapacityMiB": 16384, "Status": {"State": "Absent"}}, None),
        ({"CapacityMiB": 16384, "Status": "Absent"}, None),
        ({"CapacityMiB": 16384, "DIMMStatus": "NotPresent"}, None),
        ({"CapacityMiB": 16384, "Status": {"State": "Enabled"}}, 16),
    ],
)
def test_a_module_in_any_unit(made: Any, look: Look, module: Any, gib: float | None) -> None:
    made.below(SYSTEM, "Memory", {"DIMM1": module})
    document = look(made)
    assert document["dimms"] == (
        gib and [{"slot": "DIMM1", "size_gib": gib, "serial": None, "part": None}]
    )
    assert document["memory_gib"] == gib


def test_absent_modules_are_left_out_and_not_added_up(made: Any, look: Look) -> None:
    modules: dict[str, Any] = {f"E{n}": {"CapacityMiB": n % 2 and None} | ABSENT for n in range(6)}
    modules |= {f"D{n}": {"CapacityMiB": 32768} for n in range(2)}
    made.below(SYSTEM, "Memory", modules)
    document = look(made)
    assert (len(document["dimms"]), document["memory_gib"]) == (2, 64)


def test_a_module_of_no_size_is_there_and_no_sum_is_made(made: Any, look: Look) -> None:
    made.below(SYSTEM, "Memory", {
        "A1": {"CapacityMiB": 32768, "SerialNumber": "102CE00B"},
        "A2": {"CapacityMiB": None, "SerialNumber": "102CE00C"},
        "A3": {"CapacityMiB": 0, "SerialNumber": "NO DIMM", "PartNumber": "NO DIMM"},
    })  # fmt: skip
    document = look(made)
    assert document["dimms"] == [{"slot": "A1", "size_gib": 32, "serial": "102CE00B", "part": None}]
    assert document["memory_gib"] is None and "of A2" in document["unknown"]["dimms"]
    made[SYSTEM]["MemorySummary"] = {"TotalSystemMemoryGiB": 64}
    assert look(made)["memory_gib"] == 64


# ── Drives ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ({"CapacityBytes": TB}, TB),
        ({"CapacityBytes": str(TB)}, TB),
        ({"CapacityBytes": "1 TB"}, TB),
        ({"CapacityBytes": "960GB"}, 960 * 10**9),
        ({"CapacityBytes": 960}, 960 * 10**9),
        ({"CapacityMiB": 572325}, 572325 * MIB),
        ({"CapacityGiB": 894.25}, int(894.25 * GIB)),
        ({"CapacityGB": 600}, 600 * 10**9),
        ({"CapacityGB": "600 GB"}, 600 * 10**9),
        ({"CapacityMB": 572325}, 572325 * 10**6),
        ({"CapacityLogicalBlocks": 1172123568, "BlockSizeBytes": 512}, 600127266816),
        ({"CapacityBytes": 0, "CapacityGB": 600}, 600 * 10**9),
        ({"CapacityBytes": None, "SerialNumber": "S1"}, None),
        ({"CapacityBytes": 0, "SerialNumber": "S1"}, None),
        ({"CapacityBytes": -1, "SerialNumber": "S1"}, None),
        ({"CapacityBytes": "unknown", "SerialNumber": "S1"}, None),
        ({"Oem": {"X": {"CapacityBytes": TB}}, "SerialNumber": "S1"}, TB),
    ],
)
def test_a_drive_in_any_unit(made: Any, look: Look, said: Any, size: int | None) -> None:
    made.below(SYSTEM, "Storage", {"1": {"Drives": [to(f"{SYSTEM}/D0")]}})
    made[f"{SYSTEM}/D0"] = {"Id": "0", **said}
    assert [d["size_bytes"] for d in look(made)["drives"]] == [size]


@pytest.mark.parametrize(
    ("said", "media"),
    [
        ({"MediaType": "SSD"}, "SSD"),
        ({"MediaType": "ssd"}, "SSD"),
        ({"MediaType": " Ssd "}, "SSD"),
        ({"MediaType": "HDD"}, "HDD"),
        ({"MediaType": "SMR"}, "HDD"),
        ({"MediaType": "NVMe"}, "SSD"),
        ({"MediaType": "nvme ssd"}, "SSD"),
        ({"MediaType": "SATA SSD"}, "SSD"),
        ({"MediaType": "Solid State Drive"}, "SSD"),
        ({"MediaType": "SolidStateDrive"}, "SSD"),
        ({"MediaType": "Hard Disk Drive"}, "HDD"),
        ({"MediaType": "HardDisk"}, "HDD"),
        ({"MediaType": "Rotational"}, "HDD"),
        ({"MediaType": None, "Protocol": "NVMe"}, "SSD"),
        ({"MediaType": "", "Protocol": "nvme"}, "SSD"),
        ({"Oem": {"Hpe": {"MediaType": "SSD"}}}, "SSD"),
        ({"Oem": {"Lenovo": {"DriveType": "HDD"}}}, "HDD"),
        ({"RotationSpeedRPM": 7200}, "HDD"),
        ({"RotationSpeedRPM": "10000"}, "HDD"),
        ({"RotationSpeedRPM": 0}, None),
        ({"MediaType": "Unknown"}, None),
        ({"MediaType": 7}, None),
        ({}, None),
    ],
)
def test_media_in_any_word(made: Any, look: Look, said: Any, media: str | None) -> None:
    made.below(SYSTEM, "Storage", {"1": {"Drives": [to(f"{SYSTEM}/D0")]}})
    made[f"{SYSTEM}/D0"] = {"Id": "0", "CapacityBytes": TB, **said}
    assert [d["media"] for d in look(made)["drives"]] == [media]


DISK = {"Id": "0", "Name": "Disk 0", "SerialNumber": "S0", "CapacityBytes": TB}


def linked(made: Any) -> None:
    made.below(SYSTEM, "Storage", {"1": {"Drives": [to(f"{SYSTEM}/D0")]}})
    made[f"{SYSTEM}/D0"] = DISK


def embedded(made: Any) -> None:
    made.below(SYSTEM, "Storage", {"1": {"Drives": [DISK]}})


def embedded_with_a_link_that_dangles(made: Any) -> None:
    made.below(SYSTEM, "Storage", {"1": {"Drives": [DISK | to(f"{SYSTEM}/Gone")]}})


def members_embedded(made: Any) -> None:
    """The collection holds its members whole, and they cannot be asked for one by one."""
    made[SYSTEM]["Storage"] = to(f"{SYSTEM}/Storage")
    made[f"{SYSTEM}/Storage"] = {"Members": [{"Id": "1", "Drives": [DISK]}]}


def members_embedded_with_links_that_dangle(made: Any) -> None:
    made[SYSTEM]["Storage"] = to(f"{SYSTEM}/Storage")
    made[f"{SYSTEM}/Storage"] = {
        "Members": [{"Id": "1", "Drives": [DISK], **to(f"{SYSTEM}/Storage/1")}]
    }


def collection_in_place(made: Any) -> None:
    made[SYSTEM]["Storage"] = {"Members": [{"Id": "1", "Drives": [DISK]}]}


def by_pointer(made: Any) -> None:
    """A link into a resource, as DSP0266 allows."""
    made.below(SYSTEM, "Storage", {"1": {"Drives": [to(f"{SYSTEM}/SimpleStorage/1#/Devices/0")]}})
    made[f"{SYSTEM}/SimpleStorage/1"] = {"Devices": [DISK]}


def a_collection(made: Any) -> None:
    made.below(SYSTEM, "Storage", {"1": {"Drives": to(f"{SYSTEM}/Storage/1/Drives")}})
    made.collect(f"{SYSTEM}/Storage/1/Drives", {"0": DISK})


def simple(made: Any) -> None:
    made.below(SYSTEM, "SimpleStorage", {"1": {"Devices": [DISK]}})


def of_the_chassis(made: Any) -> None:
    made[SYSTEM]["Links"] = {"Chassis": [to(CHASSIS)]}
    made.below(CHASSIS, "Drives", {"0": DISK})


def of_the_chassis_links(made: Any) -> None:
    made[SYSTEM]["Links"] = {"Chassis": [to(CHASSIS)]}
    made[CHASSIS]["Links"] = {"Drives": [to(f"{CHASSIS}/D0")]}
    made[f"{CHASSIS}/D0"] = DISK


def of_a_backplane(made: Any) -> None:
    """A chassis of its own, that the system does not name."""
    made[SYSTEM]["Links"] = {"Chassis": [to(CHASSIS)]}
    made["/redfish/v1/Chassis"]["Members"].append(to("/redfish/v1/Chassis/Backplane"))
    made["/redfish/v1/Chassis/Backplane"] = {"Id": "Backplane", "ChassisType": "Module"}
    made.below("/redfish/v1/Chassis/Backplane", "Drives", {"0": DISK})


def of_smart_storage(made: Any) -> None:
    top = f"{SYSTEM}/SmartStorage"
    made[SYSTEM]["Oem"] = {"Hpe": {"Links": {"SmartStorage": to(top)}}}
    made[top] = {"Links": {"ArrayControllers": made.collect(f"{top}/A", {"0": {}})}}
    made[f"{top}/A/0"]["Links"] = {"PhysicalDrives": made.collect(f"{top}/A/0/D", {"0": DISK})}


def in_two_places(made: Any) -> None:
    linked(made)
    simple(made)
    of_the_chassis(made)
    of_smart_storage(made)


@pytest.mark.parametrize(
    "place",
    [
        linked,
        embedded,
        embedded_with_a_link_that_dangles,
        members_embedded,
        members_embedded_with_links_that_dangle,
        collection_in_place,
        by_pointer,
        a_collection,
        simple,
        of_the_chassis,
        of_the_chassis_links,
        of_a_backplane,
        of_smart_storage,
        in_two_places,
    ],
    ids=lambda place: place.__name__,
)
def test_a_drive_in_any_place_is_told_once(made: Any, look: Look, place: Any) -> None:
    place(made)
    [drive] = look(made)["drives"]
    assert (drive["name"], drive["serial"], drive["size_bytes"]) == ("Disk 0", "S0", TB)


# ── Network cards ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "mac"),
    [
        ("B4:2E:99:BA:DE:15", "b4:2e:99:ba:de:15"),
        ("b4-2e-99-ba-de-15", "b4:2e:99:ba:de:15"),
        ("b42e.99ba.de15", "b4:2e:99:ba:de:15"),
        ("B42E99BADE15", "b4:2e:99:ba:de:15"),
        ("b42e99-bade15", "b4:2e:99:ba:de:15"),
        ("b4 2e 99 ba de 15", "b4:2e:99:ba:de:15"),
        ("0xB42E99BADE15", "b4:2e:99:ba:de:15"),
        (" b4:2e:99:ba:de:15 ", "b4:2e:99:ba:de:15"),
        ("00:00:00:00:00:00", None),
        ("00-00-00-00-00-00", None),
        ("000000000000", None),
        ("FF:FF:FF:FF:FF:FF", None),
        ("", None),
        (None, None),
        ("N/A", None),
        ("b4:2e:99:ba:de", None),
        ("b4:2e:99:ba:de:zz", None),
        (7, None),
        (["B4:2E:99:BA:DE:15"], None),
    ],
)
def test_an_address_in_any_spelling(made: Any, look: Look, said: Any, mac: str | None) -> None:
    made.below(SYSTEM, "EthernetInterfaces", {"1": {"MACAddress": said}})
    assert macs(look(made)) == (mac and [mac])


INNER = "02:00:5e:00:00:99"


@pytest.mark.parametrize(
    "inner",
    [
        {"Id": "ToManager"},
        {"Id": "usb0"},
        {"Name": "USB NIC"},
        {"Name": "USB Ethernet Interface"},
        {"Name": "iDRAC Virtual NIC USB Device"},
        {"Description": "Virtual USB Network Adapter"},
        {"Description": "Host USB interface"},
        {"Name": "OS to BMC pass-through"},
        {"Name": "Redfish Host Interface"},
        {"Name": "Manager Ethernet Interface", "Links": {"HostInterface": to(f"{MANAGER}/H/1")}},
        {"UefiDevicePath": "PciRoot(0x0)/Pci(0x14,0x0)/USB(0xD,0x0)/MAC(02005E000099,0x0)"},
        {"IPv4Addresses": [{"Address": "169.254.0.18", "AddressOrigin": "DHCP"}]},
        {"IPv4Addresses": [{"Address": "169.254.0.18", "AddressOrigin": "Static"}]},
    ],
    ids=lambda inner: next(iter(inner.values())) if isinstance(inner, dict) else "",
)
def test_the_link_to_the_bmc_is_never_a_card(made: Any, look: Look, inner: Any) -> None:
    host = {"9": {"MACAddress": INNER} | inner, "1": {"MACAddress": "38:68:DD:00:00:01"}}
    made.below(SYSTEM, "EthernetInterfaces", host)
    # The adapters tell the same once more, under a name that says nothing.
    made.below(CHASSIS, "NetworkAdapters", {"A": {}})
    ports = {"1": {"AssociatedNetworkAddresses": [INNER]}}
    made.below(f"{CHASSIS}/NetworkAdapters/A", "NetworkPorts", ports)
    assert macs(look(made)) == ["38:68:dd:00:00:01"]


def test_a_card_that_only_gave_itself_an_address_is_a_card(made: Any, look: Look) -> None:
    """No DHCP where it stands: its system takes 169.254.x by itself."""
    alone = {"Address": "169.254.77.3", "AddressOrigin": "IPv4LinkLocal"}
    card = {"MACAddress": "38:68:DD:00:00:01", "IPv4Addresses": [alone]}
    made.below(SYSTEM, "EthernetInterfaces", {"1": card})
    assert macs(look(made)) == ["38:68:dd:00:00:01"]


def test_adapters_of_the_inner_link_are_none_either(made: Any, look: Look) -> None:
    made.below(CHASSIS, "NetworkAdapters", {"usb0": {}, "A": {}})
    for name, mac in (("usb0", INNER), ("A", "38:68:DD:00:00:01")):
        made.below(
            f"{CHASSIS}/NetworkAdapters/{name}",
            "Ports",
            {"1": {"Ethernet": {"AssociatedMACAddresses": [mac]}}},
        )
    assert macs(look(made)) == ["38:68:dd:00:00:01"]


# ── Processors ───────────────────────────────────────────────────────────────────────────────────

CPU = {"ProcessorType": "CPU", "Model": "AMD EPYC 7302"}


@pytest.mark.parametrize(
    ("said", "cores", "threads"),
    [
        ({"TotalCores": 16, "TotalThreads": 32}, 32, 64),
        ({"TotalCores": "16", "TotalThreads": "32"}, 32, 64),
        ({"TotalCores": 0, "TotalEnabledCores": 16}, 32, None),
        ({"TotalEnabledCores": 16}, 32, None),
        ({"MaxCores": 16, "MaxThreads": 32}, 32, 64),
        ({"CoreCount": 16, "ThreadCount": 32}, 32, 64),
        ({"Oem": {"X": {"TotalCores": 16, "TotalThreads": 32}}}, 32, 64),
        ({"TotalCores": 0, "TotalThreads": 0}, None, None),
        ({"TotalCores": None}, None, None),
    ],
)
def test_cores_in_any_place(
    made: Any, look: Look, said: Any, cores: int | None, threads: int | None
) -> None:
    made.below(SYSTEM, "Processors", {"1": CPU | said, "2": CPU | said})
    cpu = look(made)["cpu"]
    assert (cpu["sockets"], cpu["cores"], cpu["threads"]) == (2, cores, threads)


@pytest.mark.parametrize(
    "other",
    [
        {"ProcessorType": "GPU", "Model": "H100", "TotalCores": 132},
        {"ProcessorType": "gpu", "Model": "H100"},
        {"ProcessorType": "FPGA", "Model": "Alveo U250"},
        {"ProcessorType": "Accelerator", "Model": "A2"},
        {"ProcessorType": "DSP", "Model": "x"},
        {"ProcessorType": "NPU", "Model": "Ascend 910"},
        {"ProcessorType": "OEM", "Model": "x", "TotalCores": 4},
        {"ProcessorType": None, "Model": "NVIDIA H100 80GB HBM3"},
        {"ProcessorType": "CPU", "Model": "AMD EPYC 7302", **ABSENT},
        {"ProcessorType": "CPU", "Model": "", "TotalCores": 0},
    ],
    ids=lambda other: str(next(iter(other.values()))),
)
def test_what_is_no_processor_is_not_counted(made: Any, look: Look, other: Any) -> None:
    members = {"1": CPU | {"TotalCores": 16, "TotalThreads": 32}, "X": other}
    made.below(SYSTEM, "Processors", members)
    made[SYSTEM]["ProcessorSummary"] = {"Count": 2}
    assert look(made)["cpu"] == {
        "model": "AMD EPYC 7302", "sockets": 1, "cores": 16, "threads": 32,
    }  # fmt: skip


# ── Supplies ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "watts"),
    [
        ({"PowerCapacityWatts": 750}, 750),
        ({"PowerCapacityWatts": "750"}, 750),
        ({"PowerCapacityWatts": "750 W"}, 750),
        ({"InputRanges": [{"OutputWattage": 450}]}, 450),
        ({"InputRanges": [{"CapacityWatts": 450}]}, 450),
        ({"PowerCapacityWatts": 0}, None),
    ],
)
@pytest.mark.parametrize("newer", [False, True])
def test_supplies_in_both_places(
    made: Any, look: Look, said: Any, watts: int | None, newer: bool
) -> None:
    made[SYSTEM]["Links"] = {"Chassis": [to(CHASSIS)]}
    supplies = {"1": {"Name": "PSU 1", **said}, "2": {"Name": "PSU 2", **ABSENT}}
    if newer:
        made[CHASSIS]["PowerSubsystem"] = to(f"{CHASSIS}/PowerSubsystem")
        made[f"{CHASSIS}/PowerSubsystem"] = {"Id": "PowerSubsystem"}
        made.below(f"{CHASSIS}/PowerSubsystem", "PowerSupplies", supplies)
    else:
        made[CHASSIS]["Power"] = to(f"{CHASSIS}/Power")
        made[f"{CHASSIS}/Power"] = {"PowerSupplies": list(supplies.values())}
    assert [(p["name"], p["watts"]) for p in look(made)["psus"]] == [("PSU 1", watts)]


@pytest.mark.parametrize(
    ("power", "newer", "drawn"),
    [
        ([{"PowerConsumedWatts": 200}], None, 200),
        ([{"PowerConsumedWatts": "200"}], None, 200),
        ({"PowerConsumedWatts": 200}, None, 200),
        ([{"PowerConsumedWatts": 0}, {"PowerConsumedWatts": 180.5}], None, 180.5),
        ([{"PowerConsumedWatts": None}], {"Reading": 210}, 210),
        (None, {"Reading": "210"}, 210),
        (3.5, {"Reading": True}, None),
        (["a"], [], None),
    ],
)
def test_what_it_draws(made: Any, power: Any, newer: Any, drawn: float | None) -> None:
    made[SYSTEM]["Links"] = {"Chassis": [to(CHASSIS)]}
    made[CHASSIS] |= {"Power": to(f"{CHASSIS}/P"), "EnvironmentMetrics": to(f"{CHASSIS}/E")}
    made[f"{CHASSIS}/P"] = {"PowerControl": power}
    made[f"{CHASSIS}/E"] = {"PowerWatts": newer}
    tree = Tree(OfflineSession(made))
    assert watts(tree, tree.system()) == drawn


# ── Who it is ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "nothing",
    [
        "To be filled by O.E.M.", "To Be Filled By O.E.M", "TO BE FILLED BY OEM", "Default string",
        "0123456789", "01234567890123456789AB", "123456789", "1234567890", "0000000000", "0",
        "FFFFFFFFFFFF", "XXXXXXXXXX", "................", "          ", "", "-", "N/A", "NA",
        "None", "NULL", "Unknown", "Not Specified", "Not Available", "Not Set", "Not Provided",
        "INVALID", "System Serial Number", "Chassis Serial Number", "Serial Number", "SerialNumber",
        "Base Board Serial Number", "O.E.M.", "OEM", "$(DEFAULT_STRING)", "[N/A]", "<none>", "TBD",
        "No Asset Tag", "Empty", "12345678", None, 0, [], {},
    ],
)  # fmt: skip
def test_a_serial_that_nobody_wrote_is_none(made: Any, look: Look, nothing: Any) -> None:
    made[SYSTEM] |= {"SerialNumber": nothing, "SKU": nothing}
    document = look(made)
    assert (document["serial"], document["sku"]) == (None, None)
    said = isinstance(nothing, str) and nothing.strip()
    assert (repr(said) in document["unknown"]["serial"]) is bool(said)


@pytest.mark.parametrize(
    "serial", ["8XKQ2L2", "CZJ0123456", "S123456789", "0X1B2C", "NONE42", 7654321]
)
def test_a_serial_that_looks_odd_is_one(made: Any, look: Look, serial: Any) -> None:
    made[SYSTEM]["SerialNumber"] = serial
    assert look(made)["serial"] == str(serial)


DELL = "4c4c4544-0058-4b10-8051-b8c04f324c32"


@pytest.mark.parametrize(
    ("said", "uuid"),
    [
        (DELL, DELL),
        (DELL.upper(), DELL.upper()),
        (DELL.replace("-", ""), DELL),
        (f"{{{DELL}}}", DELL),
        (f"urn:uuid:{DELL}", DELL),
        (f" {DELL} ", DELL),
        ("00000000-0000-0000-0000-AC1F6B18A45A", "00000000-0000-0000-0000-AC1F6B18A45A"),
        ("00000000-0000-0000-0000-000000000000", None),
        ("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", None),
        ("03000200-0400-0500-0006-000700080009", None),
        ("00020003-0004-0005-0006-000700080009", None),
        ("03000200040005000006000700080009", None),
        ("12345678-1234-5678-90ab-cddeefaabbcc", None),
        ("8XKQ2L2", None),
        ("Not Present", None),
        ("7", None),
        (None, None),
        (7, None),
        (4294967295, None),
    ],
)
def test_a_uuid_in_any_spelling(made: Any, look: Look, said: Any, uuid: str | None) -> None:
    made[SYSTEM]["UUID"] = said
    assert look(made)["uuid"] == uuid


def test_both_byte_orders_are_one_machine() -> None:
    """IPMI and Redfish of one BMC, and a firmware that turned it round (R31)."""
    one = Facts(address="x", protocol="redfish", uuid=DELL)
    turned = Facts(address="x", protocol="ipmi", uuid="44454c4c-5800-104b-8051-b8c04f324c32")
    assert same(one, turned)
