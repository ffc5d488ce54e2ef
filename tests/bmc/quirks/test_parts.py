"""Where machines keep their drives, cards, processors and memory, and what they say of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from metal.enroll.learn import memory_gib
from metal.model.facts import Dimm, Facts

SYSTEM, CHASSIS, MANAGER = (
    "/redfish/v1/Systems/1",
    "/redfish/v1/Chassis/1",
    "/redfish/v1/Managers/1",
)
Look = Callable[..., dict[str, Any]]
TB = 10**12

# ── Drives ───────────────────────────────────────────────────────────────────────────────────────


def smart_storage(made: Any, maker: str, links: str) -> None:
    top = f"{SYSTEM}/SmartStorage"
    made[SYSTEM]["Oem"] = {maker: {links: {"SmartStorage": {"@odata.id": top}}}}
    bays = {
        "0": {"Name": f"{maker}SmartStorageDiskDrive", "CapacityMiB": 572325, "MediaType": "HDD",
              "InterfaceType": "SAS", "SerialNumber": "W4633667", "Model": "EG0600FBVFP"},
        "1": {"Name": "Empty Bay", "Status": {"State": "Absent"}},
    }  # fmt: skip
    controllers = f"{top}/ArrayControllers"
    made[top] = {links: {"ArrayControllers": made.collect(controllers, {"0": {}})}}
    drives = made.collect(f"{controllers}/0/DiskDrives", bays)
    made[f"{controllers}/0"][links] = {"PhysicalDrives": drives}


@pytest.mark.parametrize(("maker", "links"), [("Hpe", "Links"), ("Hp", "Links"), ("Hp", "links")])
def test_r23_drives_of_smart_storage_only(made: Any, look: Look, maker: str, links: str) -> None:
    smart_storage(made, maker, links)
    made.below(SYSTEM, "Storage", {})
    [drive] = look(made)["drives"]
    assert (drive["serial"], drive["media"], drive["protocol"]) == ("W4633667", "HDD", "SAS")
    assert drive["size_bytes"] == 572325 * 2**20 and drive["failing"] is None


def test_r23_a_drive_that_both_tell_is_one(made: Any, look: Look) -> None:
    smart_storage(made, "Hpe", "Links")
    disk = {"Name": "600GB SAS", "CapacityBytes": 600 * 10**9, "SerialNumber": "W4633667"}
    made.below(SYSTEM, "Storage", {"A": {"Drives": [{"@odata.id": f"{SYSTEM}/D0"}]}})
    made[f"{SYSTEM}/D0"] = disk
    assert [d["name"] for d in look(made)["drives"]] == ["600GB SAS"]


def test_r24_r25_drives_of_simple_storage_only(made: Any, look: Look) -> None:
    made.below(SYSTEM, "Storage", {"1": {"Drives": [], "Drives@odata.count": 0}})
    devices = [{"Name": "Micron 7450", "CapacityBytes": TB, "Status": {"State": "Enabled"}},
               {"Name": "Bay 2", "Status": {"State": "Absent"}}]  # fmt: skip
    made.below(SYSTEM, "SimpleStorage", {"1": {"Devices": devices}})
    [drive] = look(made)["drives"]
    assert (drive["name"], drive["size_bytes"], drive["failing"]) == ("Micron 7450", TB, None)


def test_drives_of_the_chassis_only(made: Any, look: Look) -> None:
    made.below(CHASSIS, "Drives", {"0": {"Name": "NVMe 0", "CapacityBytes": TB}})
    made[SYSTEM]["Links"] = {"Chassis": [{"@odata.id": CHASSIS}]}
    assert [d["name"] for d in look(made)["drives"]] == ["NVMe 0"]


def test_a_drive_that_cannot_be_read_is_a_note_not_nothing(made: Any, look: Look) -> None:
    made.below(SYSTEM, "Storage", {"1": {"Drives": [{"@odata.id": f"{SYSTEM}/D0"}]}})
    made[f"{SYSTEM}/D0"] = "broken"
    document = look(made)
    assert document["drives"] is None and "/D0" in document["unknown"]["drives"]


# ── Network cards ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("collection", "port"),
    [
        ("Ports", {"Ethernet": {"AssociatedMACAddresses": ["38:68:DD:00:00:01"]}}),
        ("NetworkPorts", {"AssociatedNetworkAddresses": ["3868DD000001", "38-68-DD-00-00-01"]}),
        ("NetworkDeviceFunctions", {"Ethernet": {"PermanentMACAddress": "38:68:dd:00:00:01"}}),
    ],
)
def test_r26_cards_that_only_the_adapters_tell(
    made: Any, look: Look, collection: str, port: dict[str, Any]
) -> None:
    made.below(SYSTEM, "EthernetInterfaces", {})
    made.below(CHASSIS, "NetworkAdapters", {"slot-1": {}})
    made.below(f"{CHASSIS}/NetworkAdapters/slot-1", collection, {"1": port})
    assert [n["mac"] for n in look(made)["nics"]] == ["38:68:dd:00:00:01"]


@pytest.mark.parametrize("bad", ["", None, "00:00:00:00:00:00", 7, "Not Available"])
def test_r27_a_port_without_a_mac_is_left_out(made: Any, look: Look, bad: Any) -> None:
    made.below(
        SYSTEM,
        "EthernetInterfaces",
        {"1": {"MACAddress": bad}, "2": {"MACAddress": "38:68:DD:00:00:02"}},
    )
    assert [n["mac"] for n in look(made)["nics"]] == ["38:68:dd:00:00:02"]


def test_r28_ports_of_two_cards_with_the_same_ids_stay_apart(made: Any, look: Look) -> None:
    made.below(CHASSIS, "NetworkAdapters", {"1": {}, "2": {}})
    for card in ("1", "2"):
        ports = {
            n: {"AssociatedNetworkAddresses": [f"3C:EC:EF:00:0{card}:0{n}"]} for n in ("1", "2")
        }
        made.below(f"{CHASSIS}/NetworkAdapters/{card}", "NetworkPorts", ports)
    macs = [n["mac"] for n in look(made)["nics"]]
    assert sorted(macs) == [f"3c:ec:ef:00:0{c}:0{p}" for c in (1, 2) for p in (1, 2)]


@pytest.mark.parametrize(
    "link", [{"Id": "ToManager"}, {"Name": "Host interface to BMC"}, {"Description": "USB LAN"}]
)
def test_r29_the_link_to_the_bmc_is_no_card(made: Any, look: Look, link: dict[str, Any]) -> None:
    made.below(
        SYSTEM,
        "EthernetInterfaces",
        {
            link.get("Id", "9"): {"MACAddress": "BE:3A:F2:B6:05:9F"} | link,
            "1": {"MACAddress": "38:68:DD:00:00:01"},
        },
    )
    made.below(MANAGER, "EthernetInterfaces", {"1": {"MACAddress": "38:68:DD:00:00:99"}})
    document = look(made)
    assert [n["mac"] for n in document["nics"]] == ["38:68:dd:00:00:01"]
    assert document["bmc_mac"] == "38:68:dd:00:00:99"


# ── Processors ───────────────────────────────────────────────────────────────────────────────────


def test_r33_processors_are_counted_not_believed(made: Any, look: Look) -> None:
    """The summary counts cores, and an accelerator is no processor."""
    made[SYSTEM]["ProcessorSummary"] = {"Count": 20, "Model": "Intel(R) Xeon(R) processor"}
    cpu = {"ProcessorType": "CPU", "Model": "E5-2630 v4", "TotalCores": 10, "TotalThreads": 20}
    made.below(
        SYSTEM, "Processors", {"1": cpu, "2": cpu, "G": {"ProcessorType": "GPU", "Model": "H100"}}
    )
    assert look(made)["cpu"] == {"model": "E5-2630 v4", "sockets": 2, "cores": 20, "threads": 40}


def test_r33_a_count_without_members_is_not_used(made: Any, look: Look) -> None:
    made[SYSTEM]["ProcessorSummary"] = {"Count": 20, "Model": "AMD EPYC 7302"}
    document = look(made)
    assert document["cpu"] == {
        "model": "AMD EPYC 7302", "sockets": None, "cores": None, "threads": None,
    }  # fmt: skip
    assert document["unknown"]["cpu.sockets"].startswith("the BMC counts 20, and lists none")


def test_a_figure_that_cannot_be_is_said_with_the_reason(made: Any, look: Look) -> None:
    """65535 and 0 mean that it does not know: a person sees what it said."""
    made[SYSTEM]["MemorySummary"] = {"TotalSystemMemoryGiB": 0}
    cpu = {"Model": "E5-2630 v4", "TotalCores": 65535, "TotalThreads": 0}
    made.below(SYSTEM, "Processors", {"1": cpu})
    document = look(made)
    for key, said in (("memory_gib", "0"), ("cpu.cores", "65535"), ("cpu.threads", "0")):
        assert document["unknown"][key] == f"the BMC says {said} there, which cannot be"


def test_r34_the_real_name_behind_a_generic_one(made: Any, look: Look) -> None:
    name = "Intel(R) Xeon(R) Silver 4112 CPU @ 2.60GHz"
    cpu = {"Model": "Intel Xeon processor", "TotalCores": 4, "ProcessorId": {"VendorId": name}}
    made.below(SYSTEM, "Processors", {"1": cpu, "2": {"Status": {"State": "Absent"}}})
    cpu_told = look(made)["cpu"]
    assert (cpu_told["model"], cpu_told["sockets"], cpu_told["threads"]) == (name, 1, None)


# ── Memory ───────────────────────────────────────────────────────────────────────────────────────


def test_r35_decimal_units_are_real_modules_in_the_inventory(made: Any, look: Look) -> None:
    """Facts say what the BMC says; what is learned is what a shop would sell."""
    made[SYSTEM]["MemorySummary"] = {"TotalSystemMemoryGiB": 476.837376}
    made.below(
        SYSTEM, "Memory", {f"D{i}": {"CapacityMiB": 15625, "Name": f"A{i}"} for i in range(32)}
    )
    document = look(made)
    assert document["memory_gib"] == 476.837376
    assert document["dimms"][0]["size_gib"] == 15.26
    facts = Facts(address="x", protocol="redfish", memory_gib=476.837376)
    assert memory_gib(facts) == 512
    dimms = tuple(Dimm(slot=d["slot"], size_gib=d["size_gib"]) for d in document["dimms"])
    assert memory_gib(facts.model_copy(update={"dimms": dimms})) == 512


def test_without_a_total_the_modules_are_added_up(made: Any, look: Look) -> None:
    made.below(SYSTEM, "Memory", {f"D{i}": {"CapacityMiB": 15625} for i in range(16)})
    assert look(made)["memory_gib"] == 244.14


def test_r36_a_machine_that_is_off_knows_little_and_nothing_is_zero(made: Any, look: Look) -> None:
    made[SYSTEM] |= {
        "PowerState": "Off", "Manufacturer": "", "BiosVersion": "", "Model": "PowerEdge M640",
        "MemorySummary": {"TotalSystemMemoryGiB": 0}, "ProcessorSummary": {"Count": 0, "Model": ""},
    }  # fmt: skip
    made["/redfish/v1"]["Vendor"] = "Dell"
    made.below(SYSTEM, "Processors", {})
    made.below(SYSTEM, "Memory", {})
    document = look(made)
    assert (document["vendor"], document["model"]) == ("Dell", "PowerEdge M640")
    for key in ("memory_gib", "dimms", "bios_version"):
        assert document[key] is None
    assert document["cpu"] == dict.fromkeys(("model", "sockets", "cores", "threads"))
    for key in ("memory_gib", "dimms", "cpu.cores"):
        assert "machine is off" in document["unknown"][key]
