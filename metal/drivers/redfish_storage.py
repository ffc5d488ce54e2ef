"""Drives and their controllers as Redfish tells them, in whichever of four places they stand.

Storage is read first; SimpleStorage where that has none (R25), HPE's SmartStorage beside it
(R23), the chassis' drives where nothing else has any. One drive is listed once: by its path, its
serial number where two places tell it.
"""

import re
from collections.abc import Iterator

from metal.drivers.placeholders import told
from metal.drivers.redfish_session import Body, link
from metal.drivers.redfish_shape import items, number, objects, positive, section
from metal.drivers.redfish_tree import Tree
from metal.drivers.redfish_words import name_of, present
from metal.model.facts import Controller, Drive, Media

MIB = 2**20
RAID = re.compile(r"raid|perc|smart ?array|megaraid", re.IGNORECASE)


def read_drives(tree: Tree, system: Body, chassis: list[Body]) -> tuple[Drive, ...] | None:
    """Every drive once; None where the BMC lists none: it may not see them."""
    drives = [_drive(b) for b in _storage(tree, system) if _real(b)]
    known = {d.serial for d in drives if d.serial}
    smart = (_smart(b) for b in _smart_storage(tree, system) if present(b))
    drives += [d for d in smart if d.serial not in known]
    if not drives:
        drives = [_drive(b) for c in chassis for b in _chassis_drives(tree, c) if _real(b)]
    if not drives:
        for simple in tree.parts(system, "SimpleStorage"):
            drives += [_drive(d) for d in objects(simple.get("Devices")) if _real(d)]
    return tuple(drives) or None


def read_controllers(tree: Tree, system: Body) -> tuple[Controller, ...] | None:
    found: dict[str, Controller] = {}
    for storage in tree.parts(system, "Storage"):
        inline = objects(storage.get("StorageControllers"))
        for body in inline or tree.parts(storage, "Controllers"):
            name = told(body.get("Name")) or told(body.get("Model")) or name_of(storage)
            texts = f"{name} {body.get('Model')}"
            raid = True if RAID.search(texts) or body.get("SupportedRAIDTypes") else None
            found[f"{storage.get('@odata.id')} {body.get('MemberId')} {name}"] = Controller(
                name=name, model=told(body.get("Model")), raid=raid
            )
    return tuple(found.values()) or None


def _storage(tree: Tree, system: Body) -> Iterator[Body]:
    """Bodies of the drives below Storage. Counts are not trusted (R24)."""
    seen: set[str] = set()
    for storage in tree.parts(system, "Storage"):
        drives = storage.get("Drives")
        listed = (
            tree.members_of(storage, "Drives")
            if link(drives)
            else iter([p for p in map(link, items(drives)) if p])
        )
        for path in listed:
            if path.rstrip("/") not in seen:
                seen.add(path.rstrip("/"))
                yield from tree.bodies(iter([path]))


def _chassis_drives(tree: Tree, chassis: Body) -> Iterator[Body]:
    listed = section(chassis.get("Links")).get("Drives")
    paths = [p for p in map(link, items(listed)) if p]
    yield from tree.bodies(iter(paths)) if paths else tree.parts(chassis, "Drives")


def _smart_storage(tree: Tree, system: Body) -> Iterator[Body]:
    """HPE's own tree: Oem → SmartStorage → ArrayControllers → PhysicalDrives."""
    oem = section(system.get("Oem"))
    for maker in ("Hpe", "Hp"):
        extra = section(oem.get(maker))
        top = tree.linked(section(extra.get("Links") or extra.get("links")), "SmartStorage")
        for name in ("ArrayControllers", "HostBusAdapters"):
            for controller in _linked_members(tree, top, name):
                yield from _linked_members(tree, controller, "PhysicalDrives")


def _linked_members(tree: Tree, owner: Body, name: str) -> Iterator[Body]:
    links = section(owner.get("Links") or owner.get("links"))
    holder = links if name in links else owner
    return tree.parts(holder, name)


def _real(body: Body) -> bool:
    return present(body) and _says(body)


def _says(body: Body) -> bool:
    """Empty bays are listed as drives too, without a word about what would be in them."""
    return bool(body.get("CapacityBytes") or told(body.get("SerialNumber"))) or bool(
        told(body.get("Model"))
    )


def _drive(body: Body) -> Drive:
    protocol = told(body.get("Protocol"))
    failing, left = body.get("FailurePredicted"), number(body.get("PredictedMediaLifeLeftPercent"))
    return Drive(
        name=told(body.get("Name")) or str(body.get("Id")),
        size_bytes=positive(body.get("CapacityBytes")),
        media=_media(protocol, told(body.get("MediaType"))),
        protocol=protocol,
        serial=told(body.get("SerialNumber")),
        failing=failing if isinstance(failing, bool) else None,
        model=told(body.get("Model")),
        slot=_slot(body),
        wear_percent=_wear(None if left is None else 100 - left),
    )


def _smart(body: Body) -> Drive:
    """A drive in HPE's own words."""
    size = number(body.get("CapacityMiB"))
    protocol = told(body.get("InterfaceType"))
    return Drive(
        name=told(body.get("Name")) or str(body.get("Id")),
        size_bytes=positive(size * MIB) if size else None,
        media=_media(protocol, told(body.get("MediaType"))),
        protocol=protocol,
        serial=told(body.get("SerialNumber")),
        failing=None,
        model=told(body.get("Model")),
        slot=told(body.get("Location")),
        wear_percent=_wear(number(body.get("SSDEnduranceUtilizationPercentage"))),
    )


def _media(protocol: str | None, kind: str | None) -> Media | None:
    if protocol and "nvme" in protocol.lower():
        return "nvme"
    kinds: dict[str | None, Media] = {"SSD": "ssd", "HDD": "hdd"}
    return kinds.get(kind)


def _wear(used: float | None) -> float | None:
    return used if used is not None and 0 <= used <= 255 else None


def _slot(body: Body) -> str | None:
    """Where a person finds it: the label on the bay, in the older and the newer place."""
    for place in (*objects(body.get("PhysicalLocation")), *objects(body.get("Location"))):
        if label := told(section(place.get("PartLocation")).get("ServiceLabel")):
            return label
    return None
