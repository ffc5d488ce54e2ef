"""What a Redfish BMC of the lab shows of itself: manager, network services, virtual drives, logs.

Shapes as in DMTF's schemas (DSP2046); Supermicro's VM1 as its X10 and X11 boards have it.
"""

from collections.abc import Set
from datetime import UTC, datetime

from metal.lab.machine import Machine
from metal.lab.redfish_faults import Body

ROOT = "/redfish/v1"
MANAGER, SYSTEM = f"{ROOT}/Managers/1", f"{ROOT}/Systems/1"
LOG = f"{MANAGER}/LogServices/SEL"
UNSET = "1970-01-01T00:05:00+00:00"
"""What a clock says that lost its battery."""
SMC = f"{MANAGER}/VM1"
SEVERITIES = {"ok": "OK", "warning": "Warning", "critical": "Critical"}


def manager_tree(machine: Machine, faults: Set[str]) -> dict[str, Body]:
    return (
        {MANAGER: _manager(machine, faults), f"{MANAGER}/NetworkProtocol": _network(faults)}
        | _collection(f"{ROOT}/Managers", [MANAGER])
        | media_tree(machine, faults)
        | _logs(machine, faults)
    )


def _manager(machine: Machine, faults: Set[str]) -> Body:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    body: Body = {
        "Id": "1",
        "ManagerType": "BMC",
        "FirmwareVersion": machine.hardware.bmc_firmware,
        "DateTime": UNSET if "clock-1970" in faults else now,
        "NetworkProtocol": {"@odata.id": f"{MANAGER}/NetworkProtocol"},
        "LogServices": {"@odata.id": f"{MANAGER}/LogServices"},
    }
    if "media-oem" in faults:
        body["VirtualMedia"] = {"@odata.id": SMC}
    elif not faults & {"media-on-system", "no-media"}:
        body["VirtualMedia"] = {"@odata.id": f"{MANAGER}/VirtualMedia"}
    return body


def _network(faults: Set[str]) -> Body:
    def service(port: int, on: bool = True) -> Body:
        return {"Port": port, "ProtocolEnabled": on}

    communities = [{"CommunityString": "public"}, {"CommunityString": "s3cret-of-the-donor"}]
    snmp = {"CommunityStrings": communities} if "snmp-public" in faults else {}
    return {
        "Id": "NetworkProtocol",
        "HTTP": service(80),
        "HTTPS": service(443),
        "SSH": service(22),
        "Telnet": service(23, "telnet" in faults),
        "IPMI": service(623, "ipmi-off" not in faults),
        "SNMP": service(161, "snmp-public" in faults) | snmp,
        "NTP": service(123, False),
    }


# ── Virtual drives ───────────────────────────────────────────────────────────────────────────


def drives_at(faults: Set[str]) -> str:
    """Path of the collection of virtual drives."""
    if "media-oem" in faults:
        return SMC
    return f"{SYSTEM if 'media-on-system' in faults else MANAGER}/VirtualMedia"


def media_tree(machine: Machine, faults: Set[str]) -> dict[str, Body]:
    if "no-media" in faults:
        return {}
    base = drives_at(faults)
    if "media-oem" in faults:
        return _iso_config(machine, base)
    drives = {f"{base}/{id}": _drive(machine, faults, base, id) for id in ("Stick1", "CD1")}
    return drives | _collection(base, list(drives))


def _drive(machine: Machine, faults: Set[str], base: str, id: str) -> Body:
    cd = id == "CD1"
    filled = cd and bool(machine.media)
    body: Body = {
        "Id": id,
        "MediaTypes": ["CD", "DVD"] if cd else ["USBStick"],
        "Image": machine.media if filled else None,
        "Inserted": filled,
        "ConnectedVia": "URI" if filled else "NotConnected",
        "WriteProtected": True,
    }
    if cd and not filled and "media-in-use" in faults:
        body |= {"Image": "http://192.0.2.9/last.iso", "Inserted": True}
    if "media-verifies" in faults:
        body["VerifyCertificate"] = True
    if not faults & {"media-patch-only", "media-get-only"}:
        body["Actions"] = {
            f"#VirtualMedia.{act}": {"target": f"{base}/{id}/Actions/VirtualMedia.{act}"}
            for act in ("InsertMedia", "EjectMedia")
        }
    return body


def _iso_config(machine: Machine, base: str) -> dict[str, Body]:
    """The drive is listed while an image is in it; what to mount is written beside it."""
    config, cd = f"{base}/CfgCD", f"{base}/CD1"
    oem = {"Supermicro": {"VirtualMediaConfig": {"@odata.id": config}}}
    drive: Body = {"Id": "CD1", "Image": machine.media, "Inserted": True, "ConnectedVia": "Oem"}
    tree = _collection(base, [cd] if machine.media else [])
    tree[base]["Oem"] = oem
    actions = {
        f"#IsoConfig.{act}": {"target": f"{config}/Actions/IsoConfig.{act}"}
        for act in ("Mount", "UnMount")
    }
    tree[config] = {"Id": "1", "Host": "", "Path": "", "Actions": actions}
    return tree | ({cd: drive} if machine.media else {})


# ── Logs ─────────────────────────────────────────────────────────────────────────────────────


def _logs(machine: Machine, faults: Set[str]) -> dict[str, Body]:
    entries = {
        f"{LOG}/Entries/{i}": {
            "Id": str(i),
            "Created": UNSET if "clock-1970" in faults or not event.at else event.at,
            "Severity": SEVERITIES.get(event.severity, "OK"),
            "Message": event.text,
        }
        for i, event in enumerate(machine.events, 1)
    }
    listed = list(entries)[:: -1 if "log-newest-first" in faults else 1]
    links = "log-links" in faults
    members = [{"@odata.id": p} | ({} if links else entries[p]) for p in listed]
    clear = {"target": f"{LOG}/Actions/LogService.ClearLog"}
    audit = f"{MANAGER}/LogServices/AuditLog"
    return (
        _collection(f"{MANAGER}/LogServices", [audit, LOG])
        | {
            audit: {"Id": "AuditLog", "Entries": {"@odata.id": f"{audit}/Entries"}},
            f"{audit}/Entries": {"Members": [{"Message": "root logged in", "Created": UNSET}]},
            LOG: {
                "Id": "SEL",
                "Name": "System Event Log",
                "MaxNumberOfRecords": 4096,
                "OverWritePolicy": "NeverOverWrites",
                "Entries": {"@odata.id": f"{LOG}/Entries"},
                "Actions": {"#LogService.ClearLog": clear},
            },
            f"{LOG}/Entries": {"Members": members, "Members@odata.count": len(members)},
        }
        | entries
    )


def _collection(path: str, members: list[str]) -> dict[str, Body]:
    return {path: {"Members": [{"@odata.id": m} for m in members]}}
