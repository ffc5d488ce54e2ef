"""The resources behind a BMC, found by following links and nothing but links.

Sources: DMTF DSP0266 and the schemas of DSP2046. Paths differ between makers and between
firmware versions (R51, R56), links do not.
"""

import re
from collections.abc import Iterator

from metal.drivers.redfish_budget import Spent
from metal.drivers.redfish_session import MEMBERS, Body, Denied, Missing, RedfishSession, link
from metal.drivers.redfish_shape import items, objects, positive, section, words
from metal.drivers.redfish_units import total_gib
from metal.drivers.redfish_words import id_of, oem_parts
from metal.model.errors import BadInput, Failed, Refused, Unreachable

NO_SERVERS = frozenset({"DPU", "OS", "VirtuallyPartitioned", "Virtual"})
"""SystemTypes that are no machine one could install; a hardware partition (Superdome) is one."""
MOST_LOST = 5
"""Resources that a BMC may be too slow for: each of them cost a whole time-out."""
GPU_BOARD = re.compile(r"HGX|baseboard", re.IGNORECASE)
SWITCH = re.compile(r"nv ?switch|\bswitch\b|switch_", re.IGNORECASE)
ACCELERATOR = re.compile(r"gpu|hgx", re.IGNORECASE)
DPU = re.compile(r"bluefield|\bdpu\b", re.IGNORECASE)


class Tree:
    """One server behind a session: its system, manager and chassis resources."""

    def __init__(self, session: RedfishSession, node: str | None = None) -> None:
        """`node`: the Id of a System, where the BMC has several; the first without it.

        Refused: there is no server behind this BMC. BadInput: none of that id.
        """
        self.session = session
        self.lost: list[str] = []
        """What is there and could not be read, and why: what was read may lack a part."""
        self.root = session.service_root()
        self._chosen = node or None
        self._servers = self._find_servers(node)
        session.expect(1 if node else len(self._servers))
        self.system_path = self._path_of(node)

    def nodes(self) -> tuple[str, ...]:
        """Ids of the servers; ("",) where there is just one."""
        return tuple(self._servers) if len(self._servers) > 1 else ("",)

    def node(self) -> str | None:
        """Which of several this is; None where there is just one."""
        if len(self._servers) == 1:
            return self._chosen  # others may be there that cannot be read now
        return next(n for n, path in self._servers.items() if path == self.system_path)

    def _path_of(self, node: str | None) -> str:
        if node and node not in self._servers:
            raise BadInput(
                f"there is no system {node!r} behind it",
                where=self.session.where,
                mend=f"it has {', '.join(self._servers)}: write one as bmc.node",
            )
        return self._servers[node] if node else next(iter(self._servers.values()))

    # ── Which of the systems are servers ─────────────────────────────────────────────────────

    def _find_servers(self, node: str | None) -> dict[str, str]:
        """Id → path of what can be booted; else of what can be reset (R37, R38)."""
        systems = {path: body for path, body in self._systems(node) if not _odd(body)}
        if not systems or self._is_switch(systems):
            raise self._refusal()
        bootable = {p: b for p, b in systems.items() if b.get("Boot")}
        # A board of accelerators can be reset but not booted: it belongs to a server beside it.
        found = {p: b for p, b in (bootable or systems).items() if not _board(b)} or systems
        return {id_of({"@odata.id": p} | b) or p: p for p, b in found.items()}

    def _systems(self, node: str | None) -> Iterator[tuple[str, Body]]:
        """One that cannot be read fails all, unless another one is asked for: to be taken for the
        only server, or for none, would be worse."""
        path = link(self.root.get("Systems"))
        try:
            members = list(self.session.members(path)) if path else []
        except Missing:
            members = []  # the link leads nowhere (R56)
        for member in members:
            try:
                body = self.session.get(member)
            except Missing:
                continue
            except (Failed, Unreachable) as error:
                if not node or member.rstrip("/").endswith(f"/{node}"):
                    raise
                self._lose(member, error)
                continue
            if body.get("Boot") or reset_action(body):
                yield member, body

    def _is_switch(self, systems: dict[str, Body]) -> bool:
        """The trays of switches have a small computer of their own, with a Reset like a server's.

        It tells of no processor and of no memory, while it calls itself physical and bootable.
        Servers have switches too, of PCIe or of accelerators, but not without a processor.
        """
        if any(map(_computes, systems.values())):
            return False
        named = [text for path, body in systems.items() for text in (path, *_names(body))]
        chassis = list(self.members_of(self.root, "Chassis"))
        if any(ACCELERATOR.search(path) for path in chassis):
            chassis = []  # one that is off tells of no memory
        if not any(SWITCH.search(text) for text in (*named, *chassis)):
            return False
        return not any(any(self.members_of(b, "Processors")) for b in systems.values())

    def _refusal(self) -> Refused:
        return Refused(
            f"this BMC has no server behind it: it is {self._kind()}",
            where=self.session.where,
            mend="enrol the BMC of a server",
        )

    def _kind(self) -> str:
        """What it is, as far as it tells."""
        systems = list(self.members_of(self.root, "Systems"))
        chassis = list(self._all(self.root, "Chassis"))
        managers = list(self._all(self.root, "Managers"))
        texts = [t for b in (*chassis, *managers) for t in _names(b)] + systems
        texts.append(str(self.root.get("Product") or ""))
        if any(DPU.search(text) for text in texts) or self._says(systems, "SystemType", "DPU"):
            return "a DPU, a card inside a server"
        if any(SWITCH.search(text) for text in texts) or "Fabrics" in self.root:
            return "a switch"
        kinds = {str(c.get("ChassisType")) for c in chassis}
        if "PowerEquipment" in self.root or "PowerShelf" in kinds:
            return "a power distribution unit"
        if "ThermalEquipment" in self.root:
            return "a cooling unit"
        kinds |= {str(m.get("ManagerType")) for m in managers}
        if kinds & {"Enclosure", "EnclosureManager", "RackManager", "Rack", "Shelf", "RackGroup"}:
            return "the manager of a chassis or rack; its servers have BMCs of their own"
        if {"Storage", "StorageServices"} & set(self.root) or "StorageEnclosure" in kinds:
            return "a storage enclosure"
        if systems:
            return f"a service of no system to boot or reset, though it names {systems[0]}"
        return "a service without systems"

    def _says(self, paths: list[str], key: str, value: str) -> bool:
        return any(b.get(key) == value for b in self.bodies(iter(paths)))

    # ── The server's resources ───────────────────────────────────────────────────────────────

    def system(self) -> Body:
        return self.session.get(self.system_path)

    def manager(self, system: Body) -> Body:
        """The BMC itself: not the helpers beside it, such as a Cray's microcontrollers."""
        linked = _links(system, "ManagedBy")
        found = list(self.bodies(iter(linked))) or list(self._all(self.root, "Managers"))
        real = [m for m in found if m.get("ManagerType") not in ("AuxiliaryController", "Service")]
        return next(iter(real or found), {})

    def chassis(self, system: Body) -> list[Body]:
        """What the system sits in, as it says itself; else all that holds no other node."""
        linked = _links(system, "Chassis")
        return list(self.bodies(iter(linked))) or self.all_chassis(system)

    def all_chassis(self, system: Body) -> list[Body]:
        """Every chassis but those that hold another node."""
        everything = list(self._all(self.root, "Chassis"))
        if len(self._servers) == 1:
            return everything
        others = {n for n in self._servers if n != self.node()}
        return [c for c in everything if not _of_another(c, self.system_path, others)]

    def parts(self, owner: Body, name: str) -> Iterator[Body]:
        """Members of the collection `name` of a resource; a broken member is left out."""
        return self._all(owner, name)

    def linked(self, owner: Body, name: str) -> Body:
        """The resource that `name` links to, {} if there is none."""
        path = self._place(owner, name)
        return next(self.bodies(iter([path])), {}) if path else {}

    def needed(self, owner: Body, name: str) -> Body:
        """Like `linked`, for what is to be changed: Unreachable where it is there and cannot be
        read now, as one must not take it for absent."""
        path = self._place(owner, name)
        try:
            return self.session.get(path) if path else {}
        except (Missing, Denied):
            return {}
        except Failed as error:
            raise Unreachable(
                error.what,
                where=self.session.where,
                mend="run the same again; restart the BMC if it stays so",
            ) from error

    def _place(self, owner: Body, name: str) -> str | None:
        """Where `name` of a resource stands: behind a link, or in the resource itself."""
        return place_of(owner, name) or self.session.path_to(owner.get(name))

    def members_of(self, owner: Body, name: str) -> Iterator[str]:
        """Paths of the members of the collection `name`; nothing if it is not there, or if it
        cannot be read to its end: half of it would pass for the whole."""
        path = self._place(owner, name)
        try:
            yield from list(self.session.members(path)) if path else ()
        except Missing:
            return  # the link leads nowhere (R56)
        except (Failed, Unreachable) as error:
            self._lose(path or name, error)

    def listed(self, owner: Body, name: str) -> list[str]:
        """Paths that a list in the resource itself links to; none if it has no end."""
        paths = [p for p in map(self.session.path_to, items(owner.get(name))) if p]
        if len(paths) <= MEMBERS:
            return paths
        where = str(owner.get("@odata.id") or name)
        self._lose(where, Failed(f"{name} has no end: it lists {len(paths)}"))
        return []

    def bodies(self, paths: Iterator[str]) -> Iterator[Body]:
        for path in paths:
            body = self._body(path)
            if set(body) - {"error"}:  # some answer 200 with nothing but an error
                yield body

    def _body(self, path: str) -> Body:
        """The resource, {} for a link that dangles or a resource that is lost."""
        try:
            return self.session.get(path)
        except Missing:
            return {}
        except (Failed, Unreachable) as error:
            self._lose(path, error)
            return {}

    def _lose(self, path: str, error: Failed | Unreachable) -> None:
        """One resource that is slow or broken costs no other (R21); a BMC that is gone does."""
        if isinstance(error, Unreachable):
            if len(self.lost) >= MOST_LOST or not self.session.answers():
                raise error
            self.session.met("R21")
        whole = path in error.what or isinstance(error, Spent)  # one word for all that is left
        text = error.what if whole else f"{path}: {error.what}"
        self.lost.append(text)

    def _all(self, owner: Body, name: str) -> Iterator[Body]:
        return self.bodies(self.members_of(owner, name))

    def reset_types(self, system: Body) -> tuple[str, ...] | None:
        """Values the reset action allows, directly or through ActionInfo (R39)."""
        action = reset_action(system)
        values = action.get("ResetType@Redfish.AllowableValues")
        info = link(action.get("@Redfish.ActionInfo"))
        if not values and info:
            for body in self.bodies(iter([info])):
                for parameter in objects(body.get("Parameters")):
                    if parameter.get("Name") == "ResetType":
                        values = parameter.get("AllowableValues")
        return words(values) or _available(system)


def place_of(owner: Body, name: str) -> str | None:
    """Where what `name` stands for is: iLOs keep links below Links, or below Oem's Links."""
    holders = (owner, *oem_parts(owner))
    for holder in (owner, *(section(h.get(key)) for h in holders for key in ("Links", "links"))):
        if path := link(holder.get(name)):
            return path
    return None


def reset_action(system: Body) -> Body:
    """ComputerSystem.Reset; {} if it has none."""
    actions = section(system.get("Actions"))
    found = next((actions[k] for k in actions if k.lstrip("#") == "ComputerSystem.Reset"), None)
    return section(found) or ({"target": None} if found is not None else {})


def _available(system: Body) -> tuple[str, ...] | None:
    """Reset types as an iLO 4 listed them before Redfish."""
    for action in objects(system.get("AvailableActions")):
        for capability in objects(action.get("Capabilities")):
            if capability.get("PropertyName") == "ResetType":
                return words(capability.get("AllowableValues"))
    return None


def _links(body: Body, name: str) -> list[str]:
    """Where Links → name lead, each once."""
    paths = map(link, items(section(body.get("Links")).get(name)))
    return list({path.rstrip("/"): path for path in paths if path}.values())


def _odd(system: Body) -> bool:
    """OpenBMC lists the types that a hypervisor has."""
    kinds = words(system.get("SystemType")) or (str(system.get("SystemType")),)
    return bool(NO_SERVERS.intersection(kinds)) or any(map(DPU.search, _names(system)))


def _board(system: Body) -> bool:
    return any(GPU_BOARD.search(str(system.get(k) or "")) for k in ("Id", "Name"))


def _computes(system: Body) -> bool:
    """Whether its summaries tell of a processor or of memory; one that is off may tell none."""
    cpus = section(system.get("ProcessorSummary"))
    memory = section(system.get("MemorySummary")).get("TotalSystemMemoryGiB")
    return positive(cpus.get("Count")) is not None or total_gib(memory, 0) is not None


def _names(body: Body) -> list[str]:
    """Not its description: a server's may speak of all that is in it."""
    return [str(body[k]) for k in ("Id", "Name", "Model") if body.get(k)]


def _of_another(chassis: Body, system_path: str, others: set[str]) -> bool:
    """True if the chassis holds another node: by its links, else by its name (a Cray's)."""
    systems = _links(chassis, "ComputerSystems")
    if systems:
        return system_path.rstrip("/") not in {p.rstrip("/") for p in systems}
    return str(chassis.get("Id")) in others
