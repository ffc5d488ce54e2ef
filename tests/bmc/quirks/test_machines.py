"""What answers Redfish and is one server, several, or none; and who it says it is."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from metal.enroll.identity import same
from metal.model.errors import BadInput, Failed, Refused
from metal.model.fleet import Learned

ROOT = "/redfish/v1"
SYSTEM, CHASSIS, MANAGER = f"{ROOT}/Systems/1", f"{ROOT}/Chassis/1", f"{ROOT}/Managers/1"
Look = Callable[..., dict[str, Any]]
Nodes = Callable[[Any], tuple[str, ...]]
BOOTS = {"Boot": {"BootSourceOverrideTarget": "None"}, "PowerState": "On"}
RESETS = {"Actions": {"#ComputerSystem.Reset": {"target": "/x"}}}


def test_r30_no_uuid_is_unknown_and_the_serial_identifies(made: Any, look: Look) -> None:
    del made[SYSTEM]["UUID"]
    document = look(made)
    assert document["uuid"] is None and document["unknown"]["uuid"]
    assert same(Learned(vendor="Dell", serial="SN42X7"), Learned(vendor="Dell", serial="SN42X7"))


def test_r31_both_byte_orders_of_a_uuid_are_one_machine(made: Any, look: Look) -> None:
    before = look(made)["uuid"]
    made[SYSTEM]["UUID"] = str(uuid.UUID(bytes=uuid.UUID(before).bytes_le))
    assert look(made)["uuid"] != before
    assert same(Learned(uuid=before), Learned(uuid=look(made)["uuid"]))


@pytest.mark.parametrize(
    "text",
    ["To be filled by O.E.M.", ".......", "   ", "01234567890123456789AB", "Not Specified", "NA",
     "System Serial Number", "0", "Default string", "XXXXXXXXXX"],
)  # fmt: skip
def test_r32_placeholders_are_nobodys_serial(made: Any, look: Look, text: str) -> None:
    made[SYSTEM] |= {"SerialNumber": text, "SKU": text}
    made[CHASSIS]["SerialNumber"] = "CH1234567"
    made.below(MANAGER, "EthernetInterfaces", {"1": {"MACAddress": "AC:1F:6B:18:A2:41"}})
    document = look(made)
    assert document["serial"] is None and document["sku"] is None
    assert document["unknown"]["serial"] and document["unknown"]["sku"]
    assert (document["board_serial"], document["bmc_mac"]) == ("CH1234567", "ac:1f:6b:18:a2:41")


def test_r37_each_node_is_one_server(made: Any, look: Look, nodes: Nodes) -> None:
    several = {f"Node{i}": BOOTS | RESETS | {"SerialNumber": f"S{i}77"} for i in range(4)}
    made.collect(f"{ROOT}/Systems", several)
    assert nodes(made) == ("Node0", "Node1", "Node2", "Node3")
    assert look(made, "Node2")["serial"] == "S277"
    with pytest.raises(BadInput, match="Node0, Node1"):
        look(made, "Node9")


def test_r37_a_node_that_cannot_be_read_is_neither_absent_nor_in_anothers_way(
    made: Any, look: Look
) -> None:
    """Else the other node would pass for the only server of that BMC, and be written down so."""
    made.collect(f"{ROOT}/Systems", {"A": BOOTS | {"SerialNumber": "A77"}, "B": BOOTS})
    made[f"{ROOT}/Systems/B"] = "broken"
    with pytest.raises(Failed, match="cannot read /redfish/v1/Systems/B"):
        look(made)
    document = look(made, "A")
    assert (document["serial"], document["node"]) == ("A77", "A")
    made[f"{ROOT}/Systems"] = "broken"
    with pytest.raises(Failed, match="cannot read /redfish/v1/Systems"):
        look(made)


@pytest.mark.parametrize("more", [{}, {"Boot": {"BootSourceOverrideTarget": "None"}}])
def test_r37_a_board_of_accelerators_is_no_server(
    made: Any, look: Look, nodes: Nodes, more: dict[str, Any]
) -> None:
    """Whether or not it says that it boots, as newer ones do."""
    made.collect(
        f"{ROOT}/Systems",
        {
            "HGX_Baseboard_0": RESETS | {"Name": "HGX_Baseboard_0", "Model": "H100"} | more,
            "DGX": BOOTS | RESETS | {"SerialNumber": "DGX77"},
        },
    )
    assert nodes(made) == ("",)
    assert look(made)["serial"] == "DGX77"


def test_r37_a_dpu_beside_its_host_is_no_server(made: Any, nodes: Nodes) -> None:
    made.collect(
        f"{ROOT}/Systems",
        {
            "Bluefield": BOOTS | RESETS | {"SystemType": "DPU"},
            "System.Embedded.1": BOOTS | RESETS,
        },
    )
    assert nodes(made) == ("",)


def switch(made: Any) -> None:
    made.collect(f"{ROOT}/Systems", {"System_0": RESETS | {"PowerState": "On"}})
    made.collect(f"{ROOT}/Chassis", {"MGX_NVSwitch_0": {"ChassisType": "Component"}})


def switch_that_boots(made: Any) -> None:
    """The tray of a GB200 rack, as NVIDIA's BMC tells it."""
    nothing = {"ProcessorSummary": {"Count": 0}, "MemorySummary": {"TotalSystemMemoryGiB": 0}}
    tray = BOOTS | RESETS | nothing | {"SystemType": "Physical", "Model": "N5110_LD"}
    made.collect(f"{ROOT}/Systems", {"System_0": tray})
    made.below(f"{ROOT}/Systems/System_0", "Processors", {})
    made.collect(f"{ROOT}/Chassis", {"MGX_NVSwitch_0": {}, "System_0": {}})


def old_switch(made: Any) -> None:
    made.collect(f"{ROOT}/Systems", {})
    made.collect(f"{ROOT}/Chassis", {"1": {"Name": "Ethernet switch"}})


def chassis(made: Any) -> None:
    del made[ROOT]["Systems"]
    made.collect(f"{ROOT}/Chassis", {"Enclosure": {"ChassisType": "Enclosure"}})
    made.collect(f"{ROOT}/Managers", {"CMM": {"ManagerType": "EnclosureManager"}})


def dpu(made: Any) -> None:
    made.collect(f"{ROOT}/Systems", {"Bluefield": BOOTS | RESETS | {"SystemType": "DPU"}})
    made.collect(f"{ROOT}/Chassis", {"Card1": {"Model": "BlueField-3 DPU"}})


def pdu(made: Any) -> None:
    del made[ROOT]["Systems"]
    made[ROOT]["PowerEquipment"] = {"@odata.id": f"{ROOT}/PowerEquipment"}


def shelf(made: Any) -> None:
    made.collect(f"{ROOT}/Systems", {})
    made.collect(f"{ROOT}/Chassis", {"powershelf": {"ChassisType": "Shelf"}})


def cooling(made: Any) -> None:
    del made[ROOT]["Systems"]
    made[ROOT]["ThermalEquipment"] = {"@odata.id": f"{ROOT}/ThermalEquipment"}


def drives_on_a_network(made: Any) -> None:
    """As DMTF's mockup of an NVMe-oF enclosure: its storage stands at the root."""
    del made[ROOT]["Systems"]
    made[ROOT]["Storage"] = {"@odata.id": f"{ROOT}/Storage"}


def nothing(made: Any) -> None:
    made.collect(f"{ROOT}/Systems", {})


def bare(made: Any) -> None:
    del made[SYSTEM]["Boot"], made[SYSTEM]["Actions"]


def lost(made: Any) -> None:
    gone = {"@odata.id": f"{ROOT}/Systems/gone"}
    made[f"{ROOT}/Systems"] = {"Members": [gone], "Members@odata.count": 1}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (switch, "a switch"),
        (switch_that_boots, "a switch"),
        (old_switch, "a switch"),
        (chassis, "manager of a chassis"),
        (dpu, "a DPU"),
        (pdu, "a power distribution unit"),
        (shelf, "manager of a chassis or rack"),
        (cooling, "a cooling unit"),
        (drives_on_a_network, "a storage enclosure"),
        (nothing, "without systems"),
        (bare, "no system to boot or reset, though it names /redfish/v1/Systems/"),
        (lost, "no system to boot or reset, though it names /redfish/v1/Systems/gone"),
    ],
)
def test_r38_what_is_no_server_is_refused_by_its_name(
    made: Any, look: Look, change: Callable[[Any], None], kind: str
) -> None:
    change(made)
    with pytest.raises(Refused, match=f"no server behind it: it is .*{kind}") as refused:
        look(made)
    assert refused.value.mend


def test_a_hardware_partition_is_a_server_and_a_virtual_one_is_none(made: Any, look: Look) -> None:
    """A Superdome's partitions are installed like servers; an LPAR has no BMC of its own."""
    made[SYSTEM]["SystemType"] = "PhysicallyPartitioned"
    assert look(made)["serial"] == "SN42X7"
    made[SYSTEM]["SystemType"] = "VirtuallyPartitioned"
    with pytest.raises(Refused):
        look(made)


def small(made: Any) -> None:
    made[SYSTEM]["ProcessorSummary"] = {"Count": 1}


def off(made: Any) -> None:
    made[SYSTEM] |= {"ProcessorSummary": {"Count": None}, "PowerState": "Off"}
    made.below(SYSTEM, "Processors", {"CPU1": {"Model": "Intel Xeon E3-1220"}})


def old(made: Any) -> None:
    made[SYSTEM]["MemorySummary"] = {"TotalSystemMemoryGiB": 4}


@pytest.mark.parametrize("server", [small, off, old])
def test_r38_a_server_with_a_switch_in_it_is_a_server(
    made: Any, look: Look, server: Callable[[Any], None]
) -> None:
    server(made)
    made[SYSTEM]["Description"] = "Server with an embedded Ethernet switch and a DPU"
    made.collect(f"{ROOT}/Chassis", {"1": {"Id": "1"}, "PCIe_Switch_1": {"Name": "PCIe switch"}})
    assert look(made)["serial"] == "SN42X7"


def test_r39_reset_types_of_action_info(made: Any, look: Look) -> None:
    info = f"{SYSTEM}/ResetActionInfo"
    made[SYSTEM]["Actions"]["#ComputerSystem.Reset"]["@Redfish.ActionInfo"] = info
    made[info] = {"Parameters": [{"Name": "ResetType", "AllowableValues": ["On", "ForceOff"]}]}
    assert look(made)["reset_types"] == ["On", "ForceOff"]
    del made[info]
    document = look(made)
    assert document["reset_types"] is None and document["unknown"]["reset_types"]


def test_r43_r44_r45_r47_only_slots_that_can_insert_are_told(made: Any, look: Look) -> None:
    able = {"Actions": {"#VirtualMedia.InsertMedia": {"target": "/x"}}}
    made.below(MANAGER, "VirtualMedia", {"EXT1": {"Image": None}, "RDOC1": {}})
    assert look(made)["virtual_media"] == []
    made.below(SYSTEM, "VirtualMedia", {"1": able, "2": able})
    assert look(made)["virtual_media"] == ["1", "2"]


def test_r51_accounts_below_the_manager_without_the_empty_slots(made: Any, look: Look) -> None:
    slots = {str(i): {"UserName": "", "Enabled": False} for i in range(1, 17)}
    made.below(MANAGER, "Accounts", slots)
    made[f"{MANAGER}/Accounts/2"] |= {"UserName": "root", "RoleId": "Administrator"}
    assert [a["name"] for a in look(made)["accounts"]] == ["root"]


def test_firmware_of_the_manager_else_of_the_update_service(made: Any, look: Look) -> None:
    assert look(made)["bmc_firmware"] is None, "and no update service is no error"
    path = f"{ROOT}/UpdateService"
    made[ROOT]["UpdateService"] = {"@odata.id": path}
    made[path] = {"Id": "UpdateService"}
    made.below(path, "FirmwareInventory", {"BIOS": {"Version": "1"}, "BMC": {"Version": "2.1"}})
    assert look(made)["bmc_firmware"] == "2.1"


# ── Words that DMTF's schemas do not know ────────────────────────────────────────────────────────


def test_members_of_any_shape(made: Any, look: Look) -> None:
    dimm = {"CapacityMiB": "16384", "DeviceLocator": "A1"}
    made.below(SYSTEM, "Memory", {"1": dimm})
    good = {"@odata.id": f"https://bmc.example.org{SYSTEM}/Memory/1/"}
    made[f"{SYSTEM}/Memory"]["Members"] = [None, {}, {"@odata.id": None}, "x", good, good]
    assert look(made)["dimms"] == [{"slot": "A1", "size_gib": 16, "serial": None, "part": None}]
    made[f"{SYSTEM}/Memory"]["Members"] = None
    assert look(made)["dimms"] is None


def test_objects_and_lists_in_each_others_place(made: Any, look: Look) -> None:
    targets = {"BootSourceOverrideTarget@Redfish.AllowableValues": ["Pxe", None, 3, "Hdd"]}
    made[SYSTEM]["Boot"] = [targets]
    made[SYSTEM]["MemorySummary"] = [{"TotalSystemMemoryGiB": "64"}]
    made[SYSTEM]["Links"] = {"Chassis": {"@odata.id": CHASSIS}, "ManagedBy": None}
    made[CHASSIS]["Power"] = {"@odata.id": f"{CHASSIS}/Power"}
    made[f"{CHASSIS}/Power"] = {"PowerSupplies": {"Name": "PS1", "PowerCapacityWatts": "750"}}
    document = look(made)
    assert document["boot_targets"] == ["Pxe", "Hdd"] and document["memory_gib"] == 64
    assert [(p["name"], p["watts"]) for p in document["psus"]] == [("PS1", 750)]
