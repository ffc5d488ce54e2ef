"""Redfish resources → Facts: what a real BMC tells of its machine, quirks and all.

Source of the properties: DMTF DSP0266 and the schemas of DSP2046. Every part is read alone: one
that is missing or broken becomes None with its reason, it never fails the whole.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from metal.drivers.placeholders import told
from metal.drivers.redfish_session import ROOT, Body, RedfishSession, link
from metal.model.errors import Failed, Refused
from metal.model.facts import Cpu, Dimm, Drive, Facts, Health, Media, Nic, Power, Psu

T = TypeVar("T")
MAC = re.compile(r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")


class Tree:
    """The machine behind a session: its system, manager and chassis resources."""

    def __init__(self, session: RedfishSession) -> None:
        self.session = session
        self.root = session.get(ROOT)
        self.system_path = self._find_system()

    def _find_system(self) -> str:
        """The first system that can be reset or booted: others are GPU boards and such (R37)."""
        systems = link(self.root.get("Systems"))
        for path in self.session.members(systems) if systems else ():
            body = self.session.get(path)
            if body.get("Boot") or "#ComputerSystem.Reset" in (body.get("Actions") or {}):
                return path
        raise Refused(
            "this BMC has no server behind it (a switch, a chassis or a DPU)",
            where=self.session.where,
            mend="enrol the BMC of a server",
        )

    def system(self) -> Body:
        return self.session.get(self.system_path)

    def manager(self, system: Body) -> Body:
        linked = (system.get("Links") or {}).get("ManagedBy") or []
        paths = [p for p in map(link, linked) if p] or list(self._collection(self.root, "Managers"))
        return self.session.get(paths[0]) if paths else {}

    def chassis(self, system: Body) -> list[Body]:
        """The chassis the system sits in; all of them where it does not say."""
        linked = (system.get("Links") or {}).get("Chassis") or []
        paths = [p for p in map(link, linked) if p] or list(self._collection(self.root, "Chassis"))
        return list(self.bodies(iter(paths)))

    def parts(self, owner: Body, name: str) -> Iterator[Body]:
        """Members of the collection `name` of a resource; a broken member is left out."""
        return self.bodies(self._collection(owner, name))

    def linked(self, owner: Body, name: str) -> Body:
        """The resource that `name` links to, {} if there is none."""
        path = link(owner.get(name))
        return next(self.bodies(iter([path])), {}) if path else {}

    def _collection(self, owner: Body, name: str) -> Iterator[str]:
        path = link(owner.get(name))
        return self.session.members(path) if path else iter(())

    def bodies(self, paths: Iterator[str]) -> Iterator[Body]:
        for path in paths:
            try:
                body = self.session.get(path)
            except Failed:
                continue  # a dangling link
            if set(body) - {"error"}:  # some answer 200 with nothing but an error
                yield body

    def reset_types(self, system: Body) -> tuple[str, ...] | None:
        """Values the reset action allows, directly or through ActionInfo (R39)."""
        action = (system.get("Actions") or {}).get("#ComputerSystem.Reset") or {}
        values = action.get("ResetType@Redfish.AllowableValues")
        info = action.get("@Redfish.ActionInfo")
        if not values and isinstance(info, str):
            for parameter in self.session.get(info).get("Parameters") or []:
                if parameter.get("Name") == "ResetType":
                    values = parameter.get("AllowableValues")
        return tuple(values) if values else None


def read_facts(tree: Tree, address: str) -> Facts:
    """Everything Redfish tells of the machine; unknown things are named with their reason."""
    return _Reader(tree).facts(address)


class _Reader:
    def __init__(self, tree: Tree) -> None:
        self.tree, self.system = tree, tree.system()
        self.unknown: dict[str, str] = {}
        self.chassis = self._part("psus", lambda: tree.chassis(self.system)) or []
        self.manager = self._part("bmc_firmware", lambda: tree.manager(self.system)) or {}

    def facts(self, address: str) -> Facts:
        system = self.system
        cpu = self._part("cpu", self._cpu) or Cpu()
        dimms = self._part("dimms", self._dimms)
        found: dict[str, Any] = {
            "vendor": told(system.get("Manufacturer")) or told(self.tree.root.get("Vendor")),
            "model": told(system.get("Model")),
            "serial": told(system.get("SerialNumber")),
            "sku": told(system.get("SKU")),
            "uuid": told(system.get("UUID")),
            "bios_version": told(system.get("BiosVersion")),
            "bmc_firmware": told(self.manager.get("FirmwareVersion")),
            "memory_gib": self._memory(dimms),
            "dimms": dimms,
            "drives": self._part("drives", self._drives),
            "nics": self._part("nics", self._nics),
            "psus": self._part("psus", self._psus),
            "reset_types": self._part("reset_types", lambda: self.tree.reset_types(system)),
            "boot_targets": _tuple(
                (system.get("Boot") or {}).get("BootSourceOverrideTarget@Redfish.AllowableValues")
            ),
            "virtual_media": self._part("virtual_media", self._virtual_media),
        }
        for key, value in [*found.items(), *((f"cpu.{k}", v) for k, v in cpu)]:
            if value is None:
                self.unknown.setdefault(key, "the BMC does not tell it over Redfish")
        return Facts(
            address=address,
            protocol="redfish",
            power_state=power_of(system),
            health=health_of(system),
            cpu=cpu,
            unknown=self.unknown,
            **found,
        )

    def _part(self, key: str, read: Callable[[], T]) -> T | None:
        """`read()`, or None with the reason: a part that is broken never fails the rest."""
        try:
            return read()
        except (Failed, TypeError, ValueError, KeyError, AttributeError) as error:
            self.unknown[key] = error.what if isinstance(error, Failed) else f"odd answer: {error}"
            return None

    def _cpu(self) -> Cpu:
        """CPU members are counted: the summary's count may be cores or GPUs (R33)."""
        cpus = [
            p
            for p in self.tree.parts(self.system, "Processors")
            if p.get("ProcessorType") in (None, "CPU") and _present(p)
        ]
        if not cpus:
            return Cpu(model=told((self.system.get("ProcessorSummary") or {}).get("Model")))
        return Cpu(
            model=_cpu_model(cpus[0]),
            sockets=len(cpus),
            cores=_sum(p.get("TotalCores") for p in cpus),
            threads=_sum(p.get("TotalThreads") for p in cpus),
        )

    def _dimms(self) -> tuple[Dimm, ...] | None:
        dimms = tuple(
            Dimm(
                slot=told(m.get("DeviceLocator")) or told(m.get("Name")) or str(m.get("Id")),
                size_gib=round(m["CapacityMiB"] / 1024, 2),
            )
            for m in self.tree.parts(self.system, "Memory")
            if _present(m) and m.get("CapacityMiB")
        )
        return dimms or None

    def _memory(self, dimms: tuple[Dimm, ...] | None) -> float | None:
        """The summary's total; 0 is said by machines that are off, and means unknown (R36)."""
        total = (self.system.get("MemorySummary") or {}).get("TotalSystemMemoryGiB")
        if isinstance(total, int | float) and total > 0:
            return float(total)
        return sum(d.size_gib for d in dimms) if dimms else None

    def _drives(self) -> tuple[Drive, ...] | None:
        """From Storage; SimpleStorage where that has none (R25). Counts are not trusted (R24)."""
        bodies: dict[str, Body] = {}
        for storage in self.tree.parts(self.system, "Storage"):
            for path in filter(None, map(link, storage.get("Drives") or [])):
                if path not in bodies:
                    bodies.update((path, b) for b in self.tree.bodies(iter([path])))
        drives = [_drive(b) for b in bodies.values() if _present(b) and _is_drive(b)]
        if not drives:
            for storage in self.tree.parts(self.system, "SimpleStorage"):
                drives += [_drive(d) for d in storage.get("Devices") or [] if _present(d)]
        return tuple(drives) or None

    def _nics(self) -> tuple[Nic, ...] | None:
        """Without the link to the BMC itself (R29) and ports that tell no MAC (R27)."""
        own = {
            mac
            for name in ("EthernetInterfaces", "HostInterfaces")
            for body in self.tree.parts(self.manager, name)
            if (mac := _mac(body))
        }
        nics: dict[str, Nic] = {}
        for body in self.tree.parts(self.system, "EthernetInterfaces"):
            mac = _mac(body)
            if mac and mac not in own and "tomanager" not in str(body.get("Id")).lower():
                # Gigabyte lists one card twice.
                nics.setdefault(mac, Nic(name=told(body.get("Name")) or str(body["Id"]), mac=mac))
        return tuple(nics.values() or self._adapter_ports(own)) or None

    def _adapter_ports(self, own: set[str]) -> list[Nic]:
        """MACs of the network adapters' ports, where the system lists no interface (R26)."""
        nics: dict[str, Nic] = {}
        for chassis in self.chassis:
            for adapter in self.tree.parts(chassis, "NetworkAdapters"):
                for name in ("Ports", "NetworkPorts", "NetworkDeviceFunctions"):
                    for port in self.tree.parts(adapter, name):
                        for mac in _port_macs(port):
                            if mac not in own:
                                nics.setdefault(mac, Nic(name=str(port.get("Id")), mac=mac))
        return list(nics.values())

    def _psus(self) -> tuple[Psu, ...] | None:
        psus = [
            Psu(name=told(p.get("Name")) or str(p.get("MemberId")), health=health_of(p))
            for chassis in self.chassis
            for p in self._supplies(chassis)
            if _present(p)
        ]
        return tuple(psus) or None

    def _supplies(self, chassis: Body) -> list[Body]:
        supplies = self.tree.linked(chassis, "Power").get("PowerSupplies") or []
        whole = [s for s in supplies if isinstance(s, dict) and len(s) > 1]
        if whole:
            return whole
        return list(self.tree.parts(self.tree.linked(chassis, "PowerSubsystem"), "PowerSupplies"))

    def _virtual_media(self) -> tuple[str, ...] | None:
        """Slots that can insert; newer firmware hangs them below the system (R44, R47)."""
        media = [
            *self.tree.parts(self.manager, "VirtualMedia"),
            *self.tree.parts(self.system, "VirtualMedia"),
        ]
        return tuple(
            str(m.get("Id"))
            for m in media
            if "#VirtualMedia.InsertMedia" in (m.get("Actions") or {})
        )


def power_of(system: Body) -> Power:
    """Only a plain On or Off is taken for one; PoweringOff is not off yet."""
    states: dict[Any, Power] = {"On": "on", "Off": "off"}
    return states.get(system.get("PowerState"), "unknown")


def health_of(resource: Body) -> Health:
    """The worst of Health and HealthRollup."""
    status = resource.get("Status")
    if not isinstance(status, dict):
        return "unknown"
    said = {str(status.get(k) or "").lower() for k in ("Health", "HealthRollup")}
    order: tuple[Health, ...] = ("critical", "warning", "ok")
    for health in order:
        if health in said:
            return health
    return "unknown"


def complaint_of(resource: Body) -> str | None:
    """ "PSU 2: input lost" for a part that is not well, else None."""
    health = health_of(resource)
    failing = resource.get("FailurePredicted") is True
    if not _present(resource) or (health in ("ok", "unknown") and not failing):
        return None
    name = told(resource.get("Name")) or str(resource.get("Id") or resource.get("MemberId"))
    text = "; ".join(conditions_of(resource)) or (
        "failure predicted" if failing else f"its health is {health}"
    )
    return text if text.startswith(f"{name}:") else f"{name}: {text}"


def conditions_of(resource: Body) -> list[str]:
    """What a resource says of itself in Status.Conditions."""
    conditions = (resource.get("Status") or {}).get("Conditions") or []
    return [c["Message"] for c in conditions if isinstance(c, dict) and told(c.get("Message"))]


def _present(resource: Any) -> bool:
    if not isinstance(resource, dict):
        return False
    status = resource.get("Status")
    return not (isinstance(status, dict) and status.get("State") == "Absent")


def _cpu_model(cpu: Body) -> str | None:
    """Some tell "Intel Xeon processor" and put the name into the vendor's id (R34)."""
    real = told((cpu.get("ProcessorId") or {}).get("VendorId"))
    return real if real and " " in real else told(cpu.get("Model"))


def _is_drive(body: Body) -> bool:
    """Empty bays are listed as drives too, without a word about what would be in them."""
    return any(body.get(key) for key in ("CapacityBytes", "SerialNumber", "Model"))


def _drive(body: Body) -> Drive:
    protocol, kind = told(body.get("Protocol")), told(body.get("MediaType"))
    media: Media | None = "nvme" if protocol == "NVMe" else None
    if media is None and kind in ("SSD", "HDD"):
        media = "ssd" if kind == "SSD" else "hdd"
    size, failing = body.get("CapacityBytes"), body.get("FailurePredicted")
    return Drive(
        name=told(body.get("Name")) or str(body.get("Id")),
        size_bytes=size if isinstance(size, int) and size > 0 else None,
        media=media,
        protocol=protocol,
        serial=told(body.get("SerialNumber")),
        failing=failing if isinstance(failing, bool) else None,
    )


def _mac(body: Body) -> str | None:
    for key in ("PermanentMACAddress", "MACAddress"):
        mac = str(body.get(key) or "").lower().replace("-", ":")
        if MAC.match(mac) and mac != "00:00:00:00:00:00":
            return mac
    return None


def _port_macs(port: Body) -> Iterator[str]:
    ethernet = port.get("Ethernet") or {}
    told_macs = [
        *(port.get("AssociatedNetworkAddresses") or []),
        *(ethernet.get("AssociatedMACAddresses") or []),
        ethernet.get("PermanentMACAddress"),
        ethernet.get("MACAddress"),
    ]
    for text in told_macs:
        if mac := _mac({"MACAddress": text}):
            yield mac


def _sum(values: Any) -> int | None:
    told_all = list(values)
    numbers = [n for n in told_all if isinstance(n, int) and n > 0]
    return sum(numbers) if numbers and len(numbers) == len(told_all) else None


def _tuple(values: Any) -> tuple[str, ...] | None:
    return tuple(map(str, values)) if isinstance(values, list) and values else None
