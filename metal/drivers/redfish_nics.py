"""The host's network cards as Redfish tells them: never the BMC's own, nor the link to the BMC.

Where they stand differs: EthernetInterfaces of the system, ports or functions of the adapters in
the chassis (R26), PhysicalPorts of an HPE adapter. All are read and joined by MAC: InfiniBand
cards stand in the adapters only.
"""

import re
from collections.abc import Iterator
from typing import Any

from metal.drivers.placeholders import told
from metal.drivers.redfish_session import Body, link
from metal.drivers.redfish_shape import items, objects, section
from metal.drivers.redfish_tree import Tree
from metal.drivers.redfish_words import name_of, oem_parts
from metal.model.facts import Nic

MAC = re.compile(r"[0-9a-f]{12}")
TO_BMC = re.compile(
    r"to ?-?manager|(?:host|interface|\bos) ?-?(?:to ?-?)?bmc|redfish host"
    r"|\busb|\bveth\d|\brndis\b",
    re.I,
)
"""How the inner link between host and BMC is called (R29)."""
OVER_USB = re.compile(r"usb\(", re.I)
"""In a UEFI device path: no card that a server boots from hangs on USB."""
MADE_BY_SYSTEM = re.compile(
    r"(?:bond|team|br|vmbr|virbr|vlan|docker|dummy)-?\d+(?:\.\d+)?|(?:eth|en)\w+\.\d+", re.I
)
"""How an operating system calls what it made of its cards, where its agent tells the BMC."""
WORTHLESS = {"00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"}


def own_macs(tree: Tree, system: Body, manager: Body) -> tuple[str, ...]:
    """The BMC's own, its network port first; both ends of its links to the host after it."""
    found = [m for b in tree.parts(manager, "EthernetInterfaces") for m in _macs(b)]
    for interface in tree.parts(manager, "HostInterfaces"):
        found += _macs(tree.linked(interface, "ManagerEthernetInterface"))
        # Some point at all of the host's cards instead of at the one end of the link.
        if _path(interface, "HostEthernetInterfaces") != _path(system, "EthernetInterfaces"):
            ends = tree.parts(interface, "HostEthernetInterfaces")
            found += [m for body in ends for m in _macs(body)]
    return tuple(dict.fromkeys(found))


def read_nics(
    tree: Tree, system: Body, chassis: list[Body], own: set[str]
) -> tuple[Nic, ...] | None:
    """Every card once, the system's own list first; None where no MAC is told."""
    nics: dict[str, Nic] = {}
    for body in tree.parts(system, "EthernetInterfaces"):
        if _inner(body):
            own.update(_macs(body))
            continue
        if _made_by_system(body):
            continue  # its MAC may be a card's
        for mac in list(_macs(body))[:1]:
            if mac not in own:
                nics.setdefault(mac, Nic(name=_name(body), mac=mac))
    for mac, name in _adapters(tree, system, chassis):
        if mac not in own:
            nics.setdefault(mac, Nic(name=name, mac=mac))
    return tuple(nics.values()) or None


def _inner(body: Body) -> bool:
    """Whether it is the host's end of the link to the BMC, by its name, path, link or address."""
    named = (str(body.get(key) or "") for key in ("Id", "Name", "Description"))
    return (
        any(map(TO_BMC.search, named))
        or bool(OVER_USB.search(str(body.get("UefiDevicePath"))))
        or link(section(body.get("Links")).get("HostInterface")) is not None
        or any(map(_given_by_bmc, objects(body.get("IPv4Addresses"))))
    )


def _made_by_system(body: Body) -> bool:
    """Whether it is a bond, a bridge or a VLAN, and no card."""
    virtual = str(body.get("EthernetInterfaceType")).lower() == "virtual"
    return virtual or MADE_BY_SYSTEM.fullmatch(str(body.get("Id"))) is not None


def _given_by_bmc(address: Body) -> bool:
    """169.254.x that somebody gave: who finds no DHCP takes one by itself, and not all say so."""
    local = str(address.get("Address")).startswith("169.254.")
    return local and address.get("AddressOrigin") not in (None, "", "IPv4LinkLocal")


def _adapters(tree: Tree, system: Body, chassis: list[Body]) -> Iterator[tuple[str, str]]:
    """(MAC, name) of the adapters' ports. What an adapter's functions tell, its ports repeat."""
    for adapter in _all_adapters(tree, system, chassis):
        if _inner(adapter):
            continue
        told_here = False
        for name in ("NetworkDeviceFunctions", "Ports", "NetworkPorts"):
            for port in () if told_here else _ports(tree, adapter, name):
                for mac in [] if _inner(port) else list(_port_macs(port))[:1]:
                    told_here = True
                    yield mac, name_of(port, "Id")
        for port in objects(adapter.get("PhysicalPorts")):
            burnt_in = _mac(port.get("MacAddress") or port.get("MACAddress"))
            if burnt_in:
                yield burnt_in, told(port.get("Name")) or name_of(adapter, "Id")


def _ports(tree: Tree, adapter: Body, name: str) -> Iterator[Body]:
    """Of the adapter, else of its controllers, where Cisco alone links to them."""
    if link(adapter.get(name)):
        return tree.parts(adapter, name)
    links = [section(c.get("Links") or c.get("Link")) for c in objects(adapter.get("Controllers"))]
    return tree.bodies(iter([p for held in links for p in map(link, items(held.get(name))) if p]))


def _all_adapters(tree: Tree, system: Body, chassis: list[Body]) -> Iterator[Body]:
    """Of chassis and system, HPE's own list, and those that the system's interfaces stand for."""
    seen: set[str] = set()
    hpe = [section(o.get(name)) for o in oem_parts(system) for name in ("Links", "links")]
    for owner in (*chassis, system, *hpe):
        yield from _unseen(tree, list(tree.members_of(owner, "NetworkAdapters")), seen)
    if not seen:
        for interface in tree.parts(system, "NetworkInterfaces"):
            stands_for = items(section(interface.get("Links")).get("NetworkAdapter"))
            adapters = list(_unseen(tree, [p for p in map(link, stands_for) if p], seen))
            yield from adapters or [interface]


def _unseen(tree: Tree, paths: list[str], seen: set[str]) -> Iterator[Body]:
    for path in paths:
        if path.rstrip("/") not in seen:
            seen.add(path.rstrip("/"))
            yield from tree.bodies(iter([path]))


def _path(owner: Body, name: str) -> str:
    return (link(owner.get(name)) or "").rstrip("/")


def _name(body: Body) -> str:
    """Makers call all of them the same; then the id tells them apart."""
    name = told(body.get("Name"))
    generic = not name or "interface" in name.lower()
    return name_of(body, "Id") if generic else str(name)


def _mac(text: Any) -> str | None:
    """Written with colons, hyphens, dots, blanks or nothing between."""
    bare = re.sub(r"^0x|[:.\s-]", "", text.strip().lower()) if isinstance(text, str) else ""
    mac = ":".join(bare[i : i + 2] for i in range(0, 12, 2)) if MAC.fullmatch(bare) else ""
    return mac if mac and mac not in WORTHLESS else None


def _macs(body: Body) -> Iterator[str]:
    """The burnt-in one first: the other may be changed by whoever runs the host (R27)."""
    for key in ("PermanentMACAddress", "MACAddress", "MacAddress"):
        if mac := _mac(body.get(key)):
            yield mac


def _port_macs(port: Body) -> Iterator[str]:
    ethernet = section(port.get("Ethernet"))
    told_macs = [
        ethernet.get("PermanentMACAddress"),
        ethernet.get("MACAddress"),
        *_texts(ethernet.get("AssociatedMACAddresses")),
        *_texts(port.get("AssociatedNetworkAddresses")),
        *(port.get(key) for key in ("PermanentMACAddress", "MACAddress", "MacAddress")),
    ]
    yield from (mac for text in told_macs if (mac := _mac(text)))


def _texts(value: Any) -> list[Any]:
    return [value] if isinstance(value, str) else items(value)
