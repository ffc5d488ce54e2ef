"""A Redfish tree → Facts, in the words of `metal.model.facts`.

Sources: DMTF DSP0266 and the schemas of DSP2046. Every part is read alone: one that is missing
or broken becomes None with its reason, it never fails the whole.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from metal.drivers.placeholders import told
from metal.drivers.redfish_accounts import AccountBook
from metal.drivers.redfish_nics import own_macs, read_nics
from metal.drivers.redfish_session import Body
from metal.drivers.redfish_shape import number, objects, positive, section, words
from metal.drivers.redfish_storage import read_controllers, read_drives
from metal.drivers.redfish_tree import Tree
from metal.drivers.redfish_words import (
    complaint_of,
    conditions_of,
    health_of,
    name_of,
    power_of,
    present,
)
from metal.drivers.vendors import vendor_name
from metal.model.errors import BadInput, Failed, Refused
from metal.model.facts import Cpu, Dimm, Facts, Psu

__all__ = [
    "Tree",
    "complaint_of",
    "conditions_of",
    "health_of",
    "power_of",
    "read_facts",
]

T = TypeVar("T")
BROKEN = (Failed, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)
"""What a body raises that no schema knows."""
NOT_TOLD = "the BMC does not tell it over Redfish"
MACHINE_OFF = "the machine is off; switched on, its firmware would tell"
NEEDS_POWER = ("cpu.model", "cpu.sockets", "cpu.cores", "cpu.threads", "memory_gib", "dimms")
"""Told by the firmware when it starts: a BMC of a machine that is off may not know them (R36)."""


def read_facts(tree: Tree, address: str) -> Facts:
    """Everything Redfish tells of the machine; unknown things are named with their reason."""
    return _Reader(tree).facts(address)


class _Reader:
    def __init__(self, tree: Tree) -> None:
        self.tree, self.system = tree, tree.system()
        self.unknown: dict[str, str] = {}
        self.modules_mib = 0
        self.chassis = self._part("psus", lambda: tree.chassis(self.system)) or []
        self.manager = self._part("bmc_firmware", lambda: tree.manager(self.system)) or {}

    def facts(self, address: str) -> Facts:
        system, tree = self.system, self.tree
        boot = section(system.get("Boot"))
        cpu = self._part("cpu", self._cpu) or Cpu()
        dimms = self._part("dimms", self._dimms)
        own = self._part("bmc_mac", lambda: own_macs(tree, system, self.manager)) or ()
        found: dict[str, Any] = {
            "vendor": vendor_name(
                told(system.get("Manufacturer")) or self._of_chassis("Manufacturer"),
                told(system.get("Model")),
            )
            or vendor_name(told(tree.root.get("Vendor")), None),
            "model": told(system.get("Model")) or self._of_chassis("Model"),
            "serial": told(system.get("SerialNumber")),
            "sku": told(system.get("SKU")),
            "uuid": told(system.get("UUID")),
            "bios_version": told(system.get("BiosVersion")),
            "bmc_firmware": self._part("bmc_firmware", self._firmware),
            "memory_gib": self._memory(dimms),
            "dimms": dimms,
            "drives": self._part("drives", lambda: read_drives(tree, system, self.chassis)),
            "controllers": self._part("controllers", lambda: read_controllers(tree, system)),
            "nics": self._part("nics", lambda: read_nics(tree, system, self.chassis, set(own))),
            "psus": self._part("psus", self._psus),
            "reset_types": self._part("reset_types", lambda: tree.reset_types(system)),
            "boot_targets": _allowed(boot, "BootSourceOverrideTarget"),
            "boot_modes": _allowed(boot, "BootSourceOverrideMode"),
            "virtual_media": self._part("virtual_media", self._virtual_media),
            "accounts": self._part("accounts", lambda: AccountBook(tree).accounts() or None),
            "logs": self._part("logs", self._logs),
            "board_serial": self._board_serial(),
            "bmc_mac": next(iter(own), None),
        }
        for key, value in [*found.items(), *((f"cpu.{k}", v) for k, v in cpu)]:
            if value is None:
                off = key in NEEDS_POWER and power_of(system) == "off"
                self.unknown.setdefault(key, MACHINE_OFF if off else NOT_TOLD)
        return Facts(
            address=address,
            protocol="redfish",
            node=tree.node(),
            power_state=power_of(system),
            health=health_of(system),
            cpu=cpu,
            unknown={k: why for k, why in self.unknown.items() if k == "cpu" or not found.get(k)},
            notes=tuple(f"not read: {why}" for why in dict.fromkeys(tree.lost)),
            **found,
        )

    def _part(self, key: str, read: Callable[[], T]) -> T | None:
        """`read()`, or None with the reason: a part that is broken never fails the rest."""
        lost = len(self.tree.lost)
        try:
            value = read()
        except (BadInput, Refused):
            raise
        except BROKEN as error:
            self.unknown[key] = error.what if isinstance(error, Failed) else f"odd answer: {error}"
            return None
        if value is None and len(self.tree.lost) > lost:
            self.unknown[key] = self.tree.lost[lost]
        return value

    # ── Processors and memory ────────────────────────────────────────────────────────────────

    def _cpu(self) -> Cpu:
        """CPU members are counted: the summary's count may be cores or GPUs (R33)."""
        cpus = [
            p
            for p in self.tree.parts(self.system, "Processors")
            if p.get("ProcessorType") in (None, "CPU") and present(p) and not _stub(p)
        ]
        summary = section(self.system.get("ProcessorSummary"))
        if not cpus:
            # A model without a count: the count is not to be trusted, the name may be.
            return Cpu(model=told(summary.get("Model")))
        cores = _sum(p.get("TotalCores") for p in cpus)
        threads = _sum(p.get("TotalThreads") for p in cpus)
        return Cpu(
            model=_cpu_model(cpus[0]) or told(summary.get("Model")),
            sockets=len(cpus),
            cores=cores or positive(summary.get("CoreCount")),
            threads=threads or positive(summary.get("LogicalProcessorCount")),
        )

    def _dimms(self) -> tuple[Dimm, ...] | None:
        sizes = [(m, _mib(m)) for m in self.tree.parts(self.system, "Memory") if present(m)]
        self.modules_mib = sum(mib or 0 for _, mib in sizes)
        dimms = tuple(
            Dimm(
                slot=told(m.get("DeviceLocator")) or str(m.get("Id") or m.get("Name")),
                size_gib=round(mib / 1024, 2),
            )
            for m, mib in sizes
            if mib
        )
        return dimms or None

    def _memory(self, dimms: tuple[Dimm, ...] | None) -> float | None:
        """The summary's total; 0 is said by machines that are off, and means unknown (R36)."""
        total = number(section(self.system.get("MemorySummary")).get("TotalSystemMemoryGiB"))
        if total is not None and total > 0:
            return total
        return round(self.modules_mib / 1024, 2) if dimms else None

    # ── The rest of the box ──────────────────────────────────────────────────────────────────

    def _of_chassis(self, key: str) -> str | None:
        """Blades leave their names blank while they are off, what they sit in does not (R36)."""
        return next((text for c in self.chassis if (text := told(c.get(key)))), None)

    def _board_serial(self) -> str | None:
        """The mainboard's, by which a machine without a serial is known (R32)."""
        for body in (self.system, *self.chassis):
            for extra in _dicts(body.get("Oem")):
                for key in ("BoardSerialNumber", "BoardSerial", "MotherboardSerialNumber"):
                    if text := told(extra.get(key)):
                        return text
        return self._of_chassis("SerialNumber")

    def _firmware(self) -> str | None:
        """Of the manager, else of what the update service lists as the BMC."""
        if text := told(self.manager.get("FirmwareVersion")):
            return text
        service = self.tree.linked(self.tree.root, "UpdateService")
        wanted = {"bmc", str(self.manager.get("Id")).lower(), str(self.manager.get("Name")).lower()}
        for path in self.tree.members_of(service, "FirmwareInventory"):
            if path.rstrip("/").rpartition("/")[2].lower() in wanted:
                for body in self.tree.bodies(iter([path])):
                    return told(body.get("Version"))
        return None

    def _psus(self) -> tuple[Psu, ...] | None:
        psus = [
            Psu(
                name=name_of(p),
                health=health_of(p),
                model=told(p.get("Model")),
                serial=told(p.get("SerialNumber")),
                watts=positive(p.get("PowerCapacityWatts")),
            )
            for p in self._all_supplies()
            if present(p)
        ]
        return tuple(psus) or None

    def _all_supplies(self) -> list[Body]:
        """Of the chassis itself; else of all that is not another node's: a board or enclosure."""
        found = [p for chassis in self.chassis for p in self._supplies(chassis)]
        if found:
            return found
        return [p for c in self.tree.all_chassis(self.system) for p in self._supplies(c)]

    def _supplies(self, chassis: Body) -> list[Body]:
        supplies = self.tree.linked(chassis, "Power").get("PowerSupplies")
        whole = [s for s in objects(supplies) if len(s) > 1]
        if whole:
            return whole
        return list(self.tree.parts(self.tree.linked(chassis, "PowerSubsystem"), "PowerSupplies"))

    def _virtual_media(self) -> tuple[str, ...] | None:
        """Slots that can insert; newer firmware hangs them below the system (R44, R47)."""
        media = [
            *self.tree.parts(self.manager, "VirtualMedia"),
            *self.tree.parts(self.system, "VirtualMedia"),
        ]
        able = [m for m in media if "#VirtualMedia.InsertMedia" in section(m.get("Actions"))]
        return tuple(dict.fromkeys(str(m.get("Id")) for m in able))

    def _logs(self) -> tuple[str, ...] | None:
        logs = [
            name_of(log)
            for owner in (self.system, self.manager)
            for log in self.tree.parts(owner, "LogServices")
        ]
        return tuple(dict.fromkeys(logs)) or None


def _mib(module: Body) -> int | None:
    return positive(module.get("CapacityMiB") or module.get("SizeMB"))


def _stub(processor: Body) -> bool:
    """An entry that says nothing but that it exists: an empty socket on some."""
    says = ("Model", "TotalCores", "TotalThreads", "ProcessorId", "Manufacturer")
    return not any(processor.get(key) for key in says)


def _cpu_model(cpu: Body) -> str | None:
    """Some tell "Intel Xeon processor" and put the name into the vendor's id (R34)."""
    real = told(section(cpu.get("ProcessorId")).get("VendorId"))
    model = told(cpu.get("Model"))
    generic = model is None or not any(map(str.isdigit, model))
    return real if real and generic and any(map(str.isdigit, real)) else model


def _allowed(boot: Body, key: str) -> tuple[str, ...] | None:
    return words(boot.get(f"{key}@Redfish.AllowableValues"))


def _dicts(value: Any) -> list[Body]:
    """The makers' own parts below Oem."""
    return [v for v in value.values() if isinstance(v, dict)] if isinstance(value, dict) else []


def _sum(values: Any) -> int | None:
    numbers = [positive(n) for n in values]
    return sum(n for n in numbers if n) if numbers and all(numbers) else None
