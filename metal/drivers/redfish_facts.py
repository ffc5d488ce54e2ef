"""A Redfish tree → Facts, in the words of `metal.model.facts`.

Sources: DMTF DSP0266 and the schemas of DSP2046. Every part is read alone: one that is missing
or broken becomes None with its reason, it never fails the whole.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from metal.drivers.placeholders import told, told_uuid
from metal.drivers.redfish_accounts import AccountBook
from metal.drivers.redfish_boot import offered
from metal.drivers.redfish_cpus import count_told, memory_gib, read_cpu, read_modules, totals
from metal.drivers.redfish_media import can_insert
from metal.drivers.redfish_nics import own_macs, read_nics
from metal.drivers.redfish_session import Body
from metal.drivers.redfish_shape import objects, positive, section
from metal.drivers.redfish_storage import read_controllers, read_drives
from metal.drivers.redfish_tree import Tree
from metal.drivers.redfish_units import watts
from metal.drivers.redfish_words import (
    complaint_of,
    conditions_of,
    health_of,
    name_of,
    oem_parts,
    power_of,
    present,
    rolled_up,
    told_health,
)
from metal.drivers.vendors import vendor_name
from metal.model.errors import BadInput, Failed, Refused
from metal.model.facts import Cpu, Dimm, Facts, Power, Psu
from metal.model.visible import UNSEEN

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

FILLED_IN = {"serial": "SerialNumber", "sku": "SKU", "uuid": "UUID", "model": "Model"}
"""Who makes the machine should have written them (R32)."""
LISTS = frozenset({"dimms", "drives", "nics", "psus", "controllers", "accounts", "logs"})
"""Of which a part may be lost."""
BOARD_SERIALS = (
    "BoardSerialNumber",
    "BoardSerial",
    "MotherboardSerialNumber",
    "MainBoardSerialNumber",
    "PCASerialNumber",
)


def read_facts(tree: Tree, address: str) -> Facts:
    """Everything Redfish tells of the machine; unknown things are named with their reason."""
    return _Reader(tree).facts(address)


class _Reader:
    def __init__(self, tree: Tree) -> None:
        self.tree, self.system = tree, tree.system()
        self.unknown: dict[str, str] = {}
        self.partial: set[str] = set()
        """Keys of lists that lack what could not be read."""
        self.chassis = self._part("psus", lambda: tree.chassis(self.system)) or []
        self.manager = self._part("bmc_firmware", lambda: tree.manager(self.system)) or {}

    def facts(self, address: str) -> Facts:
        system, tree = self.system, self.tree
        cpu = self._cpu()
        modules = self._modules()
        whole = [] if "dimms" in self.partial else modules
        own = self._part("bmc_mac", lambda: own_macs(tree, system, self.manager)) or ()
        found: dict[str, Any] = {
            "vendor": self._vendor(),
            "model": told(system.get("Model"))
            or self._of_makers(system, "ProductName")
            or self._of_chassis("Model"),
            "serial": told(system.get("SerialNumber")),
            "sku": told(system.get("SKU")),
            "uuid": told_uuid(system.get("UUID")),
            "bios_version": told(system.get("BiosVersion")) or self._version_of("Bios", system),
            "secure_boot": self._part("secure_boot", self._secure_boot),
            "bmc_firmware": self._part("bmc_firmware", self._firmware),
            "memory_gib": memory_gib(system, whole),
            "dimms": tuple(dimm for dimm, _ in modules) or None,
            "drives": self._part("drives", lambda: read_drives(tree, system, self.chassis)),
            "controllers": self._part("controllers", lambda: read_controllers(tree, system)),
            "nics": self._part("nics", lambda: read_nics(tree, system, self.chassis, set(own))),
            "psus": self._part("psus", self._psus),
            "reset_types": self._part("reset_types", lambda: tree.reset_types(system)),
            "boot_targets": self._part("boot_targets", lambda: offered(tree, system, "Target")),
            "boot_modes": self._part("boot_modes", lambda: offered(tree, system, "Mode")),
            "virtual_media": self._part("virtual_media", self._virtual_media),
            "accounts": self._part("accounts", lambda: AccountBook(tree).accounts() or None),
            "logs": self._part("logs", self._logs),
            "board_serial": self._board_serial(),
            "bmc_mac": next(iter(own), None),
        }
        for key, value in [*found.items(), *((f"cpu.{k}", v) for k, v in cpu)]:
            if value is None:
                self.unknown.setdefault(key, self._why(key))
        return Facts(
            address=address,
            protocol="redfish",
            node=tree.node(),
            power_state=self._power(),
            health=told_health(system),
            health_rollup=rolled_up(system),
            cpu=cpu,
            unknown={k: why for k, why in self.unknown.items() if self._to_tell(k, found)},
            notes=tuple(f"not read: {why}" for why in dict.fromkeys(tree.lost)),
            **found,
        )

    def _to_tell(self, key: str, found: dict[str, Any]) -> bool:
        """Whether why nothing, or not all, is known of it still holds."""
        return key == "cpu" or key in self.partial or not found.get(key)

    def _cpu(self) -> Cpu:
        """Of some of the processors no sum is told: the others are not gone."""
        lost = len(self.tree.lost)
        cpu = self._part("cpu", lambda: read_cpu(self.tree, self.system)) or Cpu()
        if len(self.tree.lost) == lost:
            return cpu
        counts = ("cpu.sockets", "cpu.cores", "cpu.threads")
        self.unknown |= dict.fromkeys(counts, self.tree.lost[lost])
        return Cpu(model=cpu.model)

    def _modules(self) -> list[tuple[Dimm, int]]:
        found = self._part("dimms", lambda: read_modules(self.tree, self.system))
        sized, unsized = found or ([], [])
        if unsized:
            self.partial.add("dimms")
            self.unknown["dimms"] = f"not all of it: no size is told of {', '.join(unsized)}"
        return sized

    def _why(self, key: str) -> str:
        """Why nothing is known of `key`: nobody filled it in, the machine is off, or so."""
        said = self.system.get(FILLED_IN.get(key, ""))
        if isinstance(said, str) and (text := UNSEEN.sub("", said).strip()):
            return f"the BMC says {text[:60]!r} there, as boards do that nobody gave one"
        if key == "memory_gib" and any(map(positive, totals(self.system))):
            return "no machine has as much memory as the BMC says"
        if key in NEEDS_POWER and power_of(self.system) == "off":
            return MACHINE_OFF
        count = None if "cpu" in self.unknown else count_told(self.tree, self.system, key)
        if count is None:
            return NOT_TOLD
        if key == "cpu.sockets" and count != "0":
            return f"the BMC counts {count}, and lists none of them: that may be cores"
        return f"the BMC says {count} there, which cannot be"

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
        if len(self.tree.lost) > lost and (not value or key in LISTS):
            # What would have been listed is not none, and not gone.
            self.unknown[key] = f"not all of it: {self.tree.lost[lost]}"
            self.partial.add(key)
            return value or None
        return value

    # ── The rest of the box ──────────────────────────────────────────────────────────────────

    def _power(self) -> Power:
        """Some tell it of the chassis alone."""
        said = [power_of(self.system), *map(power_of, self.chassis[:1])]
        return said[0] if isinstance(self.system.get("PowerState"), str) else said[-1]

    def _vendor(self) -> str | None:
        """Of the system, else of what it sits in, else of whose service this is."""
        maker = told(self.system.get("Manufacturer")) or self._of_chassis("Manufacturer")
        root, model = self.tree.root, told(self.system.get("Model"))
        if vendor := vendor_name(maker, model) or vendor_name(told(root.get("Vendor")), None):
            return vendor
        named = (vendor_name(key, None, sure=True) for key in section(root.get("Oem")))
        return next(filter(None, named), None)

    @staticmethod
    def _of_makers(body: Body, key: str) -> str | None:
        return next((text for extra in oem_parts(body) if (text := told(extra.get(key)))), None)

    @staticmethod
    def _version_of(part: str, owner: Body) -> str | None:
        """Where HPE keeps versions: Oem → Hp → Bios → Current → VersionString."""
        for holder in (owner, *oem_parts(owner)):
            current = section(section(holder.get(part)).get("Current"))
            if text := told(current.get("VersionString")):
                return text
        return None

    def _of_chassis(self, key: str) -> str | None:
        """Blades leave their names blank while they are off, what they sit in does not (R36)."""
        return next((text for c in self.chassis if (text := told(c.get(key)))), None)

    def _board_serial(self) -> str | None:
        """The mainboard's, by which a machine without a serial is known (R32)."""
        for body in (self.system, *self.chassis):
            for extra in oem_parts(body):
                for key in BOARD_SERIALS:
                    if text := told(extra.get(key)):
                        return text
        return self._of_chassis("SerialNumber")

    def _secure_boot(self) -> bool | None:
        """What it was at the last start; what is set for the next one where that is not told."""
        body = self.tree.linked(self.system, "SecureBoot")
        if (current := body.get("SecureBootCurrentBoot")) in ("Enabled", "Disabled"):
            return bool(current == "Enabled")
        wanted = body.get("SecureBootEnable")
        return wanted if isinstance(wanted, bool) else None

    def _firmware(self) -> str | None:
        """Of the manager, else of what the update service lists as the BMC."""
        told_here = told(self.manager.get("FirmwareVersion"))
        if text := told_here or self._version_of("Firmware", self.manager):
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
                health=told_health(p),
                model=told(p.get("Model")),
                serial=told(p.get("SerialNumber")),
                watts=_watts(p),
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
            return _each_once(whole)
        return list(self.tree.parts(self.tree.linked(chassis, "PowerSubsystem"), "PowerSupplies"))

    def _virtual_media(self) -> tuple[str, ...] | None:
        """Slots that can insert; newer firmware hangs them below the system (R44, R47)."""
        media = [
            *self.tree.parts(self.manager, "VirtualMedia"),
            *self.tree.parts(self.system, "VirtualMedia"),
        ]
        able = [m for m in media if can_insert(m)]
        none = () if self.manager else None
        return tuple(dict.fromkeys(name_of(m, "Id") for m in able)) or none

    def _logs(self) -> tuple[str, ...] | None:
        logs = [
            name_of(log)
            for owner in (self.system, self.manager)
            for log in self.tree.parts(owner, "LogServices")
        ]
        return tuple(dict.fromkeys(logs)) or None


def _each_once(supplies: list[Body]) -> list[Body]:
    """Without those that are listed twice; two without a number of their own are two."""
    named = ("@odata.id", "MemberId", "SerialNumber")
    return [
        s for i, s in enumerate(supplies) if s not in supplies[:i] or not any(map(s.get, named))
    ]


def _watts(supply: Body) -> int | None:
    ranges = objects(supply.get("InputRanges"))
    told_here = [supply.get("PowerCapacityWatts")]
    told_here += [r.get(key) for key in ("OutputWattage", "CapacityWatts") for r in ranges]
    return next(filter(None, map(watts, told_here)), None)
