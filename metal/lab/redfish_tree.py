"""A simulated machine as Redfish resources: path → body, made anew for every request.

Shapes as in DMTF's schemas (DSP2046); the same shape as a recorded machine's tree.
"""

from typing import Any

from metal.lab.machine import Machine

Body = dict[str, Any]
ROOT = "/redfish/v1"
RESET_TYPES = ["On", "ForceOff", "ForceRestart", "GracefulShutdown", "PushPowerButton"]
BOOT_TARGETS = ["None", "Pxe", "Hdd", "Cd", "BiosSetup", "UefiHttp"]


def machine_tree(machine: Machine, accounts: dict[str, Body]) -> dict[str, Body]:
    """Every resource of the machine; `accounts` are those of the account service, by path."""
    tree = _services() | _system(machine) | _environment(machine)
    tree |= accounts | _collection(f"{ROOT}/AccountService/Accounts", list(accounts))
    for path, body in tree.items():
        body["@odata.id"] = path
    return tree


def _services() -> dict[str, Body]:
    links = {n: _link(n) for n in ("Systems", "Managers", "Chassis")}
    return {
        ROOT: links
        | {
            "Id": "RootService",
            "RedfishVersion": "1.6.0",
            "SessionService": _link("SessionService"),
            "AccountService": _link("AccountService"),
            "Links": {"Sessions": _link("SessionService/Sessions")},
        },
        f"{ROOT}/SessionService": {"Sessions": _link("SessionService/Sessions")},
        f"{ROOT}/AccountService": {
            "Accounts": _link("AccountService/Accounts"),
            "MinPasswordLength": 8,
        },
    }


def _system(machine: Machine) -> dict[str, Body]:
    hardware, path = machine.hardware, f"{ROOT}/Systems/1"
    once = machine.boot_once == "network"
    system: Body = {
        "Id": "1",
        "Name": "System",
        "Manufacturer": hardware.vendor,
        "Model": hardware.model,
        "SerialNumber": hardware.serial,
        "UUID": hardware.uuid,
        "BiosVersion": hardware.bios_version,
        "PowerState": "On" if machine.power == "on" else "Off",
        "Status": {"State": "Enabled"} | _condition(machine, ""),
        "Boot": {
            "BootSourceOverrideEnabled": "Once" if once else "Disabled",
            "BootSourceOverrideTarget": "Pxe" if once else "None",
            "BootSourceOverrideMode": "UEFI",
            "BootSourceOverrideTarget@Redfish.AllowableValues": BOOT_TARGETS,
        },
        "ProcessorSummary": {"Count": hardware.cpu.sockets, "Model": hardware.cpu.model},
        "MemorySummary": {"TotalSystemMemoryGiB": hardware.memory_gib},
        "Links": {"ManagedBy": [_link("Managers/1")], "Chassis": [_link("Chassis/1")]},
        "Actions": {
            "#ComputerSystem.Reset": {
                "target": f"{path}/Actions/ComputerSystem.Reset",
                "ResetType@Redfish.AllowableValues": RESET_TYPES,
            }
        },
    }
    for name in ("Processors", "Memory", "Storage", "EthernetInterfaces"):
        system[name] = _link(f"Systems/1/{name}")
    return (
        _collection(f"{ROOT}/Systems", [path])
        | {path: system}
        | _parts(f"{path}/Processors", _processors(machine))
        | _parts(f"{path}/Memory", _memory(machine))
        | _storage(machine, f"{path}/Storage")
        | _parts(f"{path}/EthernetInterfaces", _nics(machine))
        | _collection(f"{ROOT}/Managers", [f"{ROOT}/Managers/1"])
        | {f"{ROOT}/Managers/1": {"Id": "1", "FirmwareVersion": hardware.bmc_firmware}}
    )


def _processors(machine: Machine) -> list[Body]:
    cpu = machine.hardware.cpu
    sockets = cpu.sockets or 1
    return [
        {
            "Name": f"CPU {i + 1}",
            "ProcessorType": "CPU",
            "Model": cpu.model,
            "TotalCores": (cpu.cores or 0) // sockets,
            "TotalThreads": (cpu.threads or 0) // sockets,
            "Status": {"State": "Enabled", "Health": "OK"},
        }
        for i in range(sockets)
    ]


def _memory(machine: Machine) -> list[Body]:
    return [
        {
            "Name": d.slot,
            "DeviceLocator": d.slot,
            "CapacityMiB": int(d.size_gib * 1024),
            "Status": {"State": "Enabled"} | _condition(machine, d.slot),
        }
        for d in machine.hardware.dimms
    ]


def _storage(machine: Machine, path: str) -> dict[str, Body]:
    tree: dict[str, Body] = {}
    for i, drive in enumerate(machine.hardware.drives, 1):
        status = _condition(machine, drive.name)
        tree[f"{path}/1/Drives/{i}"] = {
            "Id": str(i),
            "Name": drive.name,
            "CapacityBytes": drive.size_bytes,
            "MediaType": "HDD" if drive.media == "hdd" else "SSD",
            "Protocol": "NVMe" if drive.media == "nvme" else drive.protocol,
            "SerialNumber": drive.serial,
            "FailurePredicted": status["Health"] != "OK",
            "Status": {"State": "Enabled"} | status,
        }
    drives = [{"@odata.id": p} for p in tree]
    tree[f"{path}/1"] = {"Id": "1", "Name": "Storage", "Drives": drives}
    return tree | _collection(path, [f"{path}/1"])


def _nics(machine: Machine) -> list[Body]:
    return [{"Name": n.name, "MACAddress": n.mac.upper()} for n in machine.hardware.nics]


def _environment(machine: Machine) -> dict[str, Body]:
    path = f"{ROOT}/Chassis/1"
    supplies = [
        {
            "MemberId": str(i),
            "Name": name,
            "Status": {"State": "Enabled"} | _condition(machine, name),
        }
        for i, name in enumerate(("PSU 1", "PSU 2"))
    ]
    temperatures = [
        {
            "MemberId": "0",
            "Name": "Inlet",
            "Status": {"State": "Enabled"} | _condition(machine, "Inlet"),
        }
    ]
    return _collection(f"{ROOT}/Chassis", [path]) | {
        path: {
            "Id": "1",
            "ChassisType": "RackMount",
            "Power": _link("Chassis/1/Power"),
            "Thermal": _link("Chassis/1/Thermal"),
        },
        f"{path}/Power": {"Id": "Power", "PowerSupplies": supplies},
        f"{path}/Thermal": {"Id": "Thermal", "Temperatures": temperatures, "Fans": []},
    }


def _condition(machine: Machine, part: str) -> Body:
    """Health of a part: a complaint "PSU 2: no input" is about the part PSU 2.

    The machine itself ("") has the health of all; it words what is about no part in particular.
    """
    names = _part_names(machine)
    mine = [
        text or about
        for about, _, text in (c.partition(": ") for c in machine.complaints)
        if about == part or (not part and about not in names)
    ]
    bad = machine.health if (mine or not part) else "ok"
    body: Body = {"Health": {"ok": "OK", "warning": "Warning"}.get(bad, "Critical")}
    if mine:
        body["Conditions"] = [{"Message": m, "Severity": body["Health"]} for m in mine]
    return body


def _part_names(machine: Machine) -> set[str]:
    hardware = machine.hardware
    parts = {d.slot for d in hardware.dimms} | {d.name for d in hardware.drives}
    return parts | {"PSU 1", "PSU 2", "Inlet"}


def _parts(path: str, bodies: list[Body]) -> dict[str, Body]:
    tree = {f"{path}/{i}": {"Id": str(i)} | body for i, body in enumerate(bodies, 1)}
    return tree | _collection(path, list(tree))


def _collection(path: str, members: list[str]) -> dict[str, Body]:
    return {path: {"Members": [{"@odata.id": m} for m in members]}}


def _link(path: str) -> Body:
    return {"@odata.id": f"{ROOT}/{path}"}
