"""A simulated machine as Redfish resources: path → body, made anew for every request.

Shapes as in DMTF's schemas (DSP2046); the same shape as a recorded machine's tree.
"""

from collections.abc import Callable, Sequence, Set

from metal.drivers.redfish_answer import link
from metal.drivers.redfish_session import expansion
from metal.lab.machine import Machine
from metal.lab.redfish_faults import Body
from metal.lab.redfish_services import ROOT, manager_tree

__all__ = ["ROOT", "Body", "expanded", "machine_tree"]

RESET_TYPES = ["On", "ForceOff", "ForceRestart", "GracefulShutdown", "PushPowerButton"]
TARGETS = {"network": "Pxe", "http": "UefiHttp", "media": "Cd", "disk": "Hdd"}
"""What the machine boots from → BootSourceOverrideTarget."""
BOOT_TARGETS = ["None", "Pxe", "Hdd", "Cd", "BiosSetup", "UefiHttp"]

EXPANDS: Body = {"ProtocolFeaturesSupported": {"ExpandQuery": {"NoLinks": True, "Levels": True}}}


def machine_tree(
    machine: Machine,
    accounts: dict[str, Body],
    faults: Set[str] = frozenset(),
    others: Sequence[Machine] = (),
) -> dict[str, Body]:
    """Every resource of the machine; `accounts` are those of the account service, by path.

    `others` are further servers behind the same BMC, as Systems/2 and so on.
    """
    tree = _services(faults) | manager_tree(machine, faults)
    paths = [f"{ROOT}/Systems/{i}" for i in range(1, len(others) + 2)]
    for path, one in zip(paths, (machine, *others), strict=True):
        tree |= _system(one, path, faults) | _environment(one, path)
    tree |= _collection(f"{ROOT}/Systems", paths)
    chassis = [p.replace("/Systems/", "/Chassis/") for p in paths]
    tree |= _collection(f"{ROOT}/Chassis", chassis)
    tree |= accounts | _collection(f"{ROOT}/AccountService/Accounts", list(accounts))
    for path, body in tree.items():
        body["@odata.id"] = path
    return tree


def expanded(body: Body, read: Callable[[str], Body | None]) -> Body:
    """A collection with the members in place of their links, if the root offers $expand."""
    members = body.get("Members")
    if expansion(read(ROOT) or {}) is None or not isinstance(members, list):
        return body
    whole = (read((link(member) or "").rstrip("/")) or member for member in members)
    return body | {"Members": list(whole)}


def _services(faults: Set[str]) -> dict[str, Body]:
    links = {n: _link(n) for n in ("Systems", "Managers", "Chassis")}
    return {
        ROOT: links
        | {
            "Id": "RootService",
            "RedfishVersion": "1.6.0",
            "SessionService": _link("SessionService"),
            "AccountService": _link("AccountService"),
            "Links": {"Sessions": _link("SessionService/Sessions")},
        }
        | (EXPANDS if any(fault.startswith("expand") for fault in faults) else {}),
        f"{ROOT}/SessionService": {"Sessions": _link("SessionService/Sessions")},
        f"{ROOT}/AccountService": {
            "Accounts": _link("AccountService/Accounts"),
            "MinPasswordLength": 8,
            **_longest_password(faults),
            **({"AccountLockoutThreshold": 3} if "lockout" in faults else {}),
        },
    }


def _longest_password(faults: Set[str]) -> Body:
    if "short-unsaid" in faults:
        return {}
    if "short-as-text" in faults:
        return {"MaxPasswordLength": "12"}
    return {"MaxPasswordLength": 12 if "short-passwords" in faults else 20}


def _system(machine: Machine, path: str, faults: Set[str]) -> dict[str, Body]:
    hardware, number = machine.hardware, path.rsplit("/", 1)[1]
    system: Body = {
        "Id": number,
        "Name": "System",
        "Manufacturer": hardware.vendor,
        "Model": hardware.model,
        "SerialNumber": hardware.serial,
        "UUID": hardware.uuid,
        "BiosVersion": hardware.bios_version,
        "PowerState": "On" if machine.power == "on" else "Off",
        "Status": {"State": "Enabled"} | _condition(machine, ""),
        "Boot": _boot(machine, faults),
        "ProcessorSummary": {"Count": hardware.cpu.sockets, "Model": hardware.cpu.model},
        "MemorySummary": {"TotalSystemMemoryGiB": hardware.memory_gib},
        "Links": {"ManagedBy": [_link("Managers/1")], "Chassis": [_link(f"Chassis/{number}")]},
        "Bios": _link(f"Systems/{number}/Bios"),
        "Actions": {"#ComputerSystem.Reset": _reset(path, faults)},
    }
    for name in ("Processors", "Memory", "Storage", "EthernetInterfaces"):
        system[name] = _link(f"Systems/{number}/{name}")
    if "media-on-system" in faults:
        system["VirtualMedia"] = _link(f"Systems/{number}/VirtualMedia")
    tree = {path: system}
    if "settings-object" in faults:
        system["@Redfish.Settings"] = {"SettingsObject": _link(f"Systems/{number}/Settings")}
        tree[f"{path}/Settings"] = {"Id": "Settings", "Boot": system["Boot"]}
        system["Boot"] = system["Boot"] | {"BootSourceOverrideEnabled": "Disabled"}
    legacy = "legacy-only" in faults
    return (
        tree
        | {f"{path}/Bios": {"Attributes": {"BootMode": "LegacyBios" if legacy else "Uefi"}}}
        | {f"{path}/ResetActionInfo": _action_info(faults)}
        | _parts(f"{path}/Processors", _processors(machine))
        | _parts(f"{path}/Memory", _memory(machine))
        | _storage(machine, f"{path}/Storage")
        | _parts(f"{path}/EthernetInterfaces", _nics(machine))
    )


def _boot(machine: Machine, faults: Set[str]) -> Body:
    """The override and what it may be; the words are those of DSP2046."""
    boot: Body = {
        "BootSourceOverrideEnabled": "Once" if machine.boot_once else "Disabled",
        "BootSourceOverrideTarget": TARGETS.get(machine.boot_once or "", "None"),
        "BootSourceOverrideMode": "Legacy" if machine.boot_mode == "bios" else "UEFI",
        "BootSourceOverrideTarget@Redfish.AllowableValues": BOOT_TARGETS,
    }
    if "mode-reverts" in faults:
        boot["BootSourceOverrideMode"] = "Legacy"
    if "mode-refused" in faults:
        del boot["BootSourceOverrideMode"]
    return boot


def reset_types(faults: Set[str]) -> list[str]:
    return ["On", "Off", "ForceOff"] if "reset-values" in faults else RESET_TYPES


def _reset(path: str, faults: Set[str]) -> Body:
    action: Body = {"target": f"{path}/Actions/ComputerSystem.Reset"}
    if "action-info" in faults:
        return action | {"@Redfish.ActionInfo": f"{path}/ResetActionInfo"}
    return action | {"ResetType@Redfish.AllowableValues": reset_types(faults)}


def _action_info(faults: Set[str]) -> Body:
    return {"Parameters": [{"Name": "ResetType", "AllowableValues": reset_types(faults)}]}


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
            "SerialNumber": d.serial,
            "PartNumber": d.part,
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


def _environment(machine: Machine, system: str) -> dict[str, Body]:
    path = system.replace("/Systems/", "/Chassis/")
    number = path.rsplit("/", 1)[1]
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
    return {
        path: {
            "Id": number,
            "ChassisType": "RackMount",
            "Power": _link(f"Chassis/{number}/Power"),
            "Thermal": _link(f"Chassis/{number}/Thermal"),
        },
        f"{path}/Power": {
            "Id": "Power",
            "PowerControl": [{"MemberId": "0", "PowerConsumedWatts": _watts(machine)}],
            "PowerSupplies": supplies,
        },
        f"{path}/Thermal": {"Id": "Thermal", "Temperatures": temperatures, "Fans": []},
    }


def _watts(machine: Machine) -> int:
    """Off, only the BMC draws."""
    return 80 + 4 * (machine.hardware.cpu.cores or 0) if machine.power == "on" else 11


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
