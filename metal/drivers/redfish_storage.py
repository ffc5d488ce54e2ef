"""Drives and their controllers as Redfish tells them, in whichever of four places they stand.

Storage is read first, HPE's SmartStorage (R23) and the chassis' drives beside it, SimpleStorage
where none of them has any (R25). One drive is listed once: by its path, its serial number where
two places or two controllers tell it. What the BMC itself pretends to be, for virtual media, is
no drive.
"""

import re
from collections.abc import Iterator
from typing import Any

from metal.drivers.placeholders import told
from metal.drivers.redfish_session import Body, link
from metal.drivers.redfish_shape import number, objects, positive, section, words
from metal.drivers.redfish_tree import Tree
from metal.drivers.redfish_units import disk_bytes
from metal.drivers.redfish_words import holders, name_of, present
from metal.model.facts import Controller, Drive, Media

RAID = re.compile(r"raid|perc|smart ?array|megaraid", re.IGNORECASE)
PRETENDED = re.compile(r"virtual ?(?:cd-?rom|cd|dvd|floppy|hdisk|hdd|disk|media)", re.IGNORECASE)
NO_DRIVE = re.compile(r"backplane|expander|enclosure", re.IGNORECASE)
"""Older iDRACs list these among the devices of SimpleStorage, without a size."""
MEDIA_KEYS = ("MediaType", "DriveMediaType", "DriveType")
MEDIA: tuple[tuple[Media, re.Pattern[str]], ...] = (
    ("nvme", re.compile("nvme", re.IGNORECASE)),
    ("ssd", re.compile(r"ssd|solid ?state|flash", re.IGNORECASE)),
    ("hdd", re.compile(r"hdd|\bsmr\b|hard ?dis[ck]|rotat|magnetic", re.IGNORECASE)),
)
PREDICTED = re.compile(r"predict|smart ?alert ?present", re.IGNORECASE)


def read_drives(tree: Tree, system: Body, chassis: list[Body]) -> tuple[Drive, ...] | None:
    """Every drive once; None where the BMC lists none: it may not see them."""
    seen: set[str] = set()
    drives = _once(_drive(b) for b in _storage(tree, system, seen) if real(b))
    drives += _unknown(drives, (_smart(b) for b in _smart_storage(tree, system) if present(b)))
    if not drives or tree.nodes() == ("",):  # what several nodes sit in holds others' drives too
        beside = (b for c in chassis for b in _chassis_drives(tree, c, seen) if real(b))
        drives += _unknown(drives, map(_drive, beside))
    if not drives:
        for simple in tree.parts(system, "SimpleStorage"):
            drives += [_drive(d) for d in objects(simple.get("Devices")) if _simple(d)]
    if not drives and tree.nodes() == ("",):  # in a backplane that the system does not link to
        for board in tree.all_chassis(system):
            drives += map(_drive, filter(real, _chassis_drives(tree, board, seen)))
    return tuple(drives) or None


def _once(found: Iterator[Drive]) -> list[Drive]:
    """Without those that a second controller reaches as well. Of the same serial and another size
    are two: some write the enclosure's."""
    drives: dict[object, Drive] = {}
    for place, drive in enumerate(found):
        key = (drive.serial, drive.size_bytes) if drive.serial else place
        drives.setdefault(key, drive)
    return list(drives.values())


def _unknown(known: list[Drive], more: Iterator[Drive]) -> list[Drive]:
    """Those not told yet; beside others, one without a serial number may be any of them."""
    serials = {d.serial for d in known if d.serial}
    return [d for d in more if not known or (d.serial and d.serial not in serials)]


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


def _storage(tree: Tree, system: Body, seen: set[str]) -> Iterator[Body]:
    """Bodies of the drives below Storage. Counts are not trusted (R24)."""
    for storage in tree.parts(system, "Storage"):
        yield from _listed(tree, storage, "Drives", seen)


def _listed(tree: Tree, owner: Body, name: str, seen: set[str]) -> Iterator[Body]:
    """What a list of links, or a link to a collection, leads to, if it was not `seen`."""
    if path := link(owner.get(name)):  # to a collection, or to the only one
        paths = list(tree.members_of(owner, name)) or [path]
    else:
        paths = tree.listed(owner, name)
    for path in paths:
        if path.rstrip("/") not in seen:
            seen.add(path.rstrip("/"))
            yield from (b for b in tree.bodies(iter([path])) if "Members" not in b)


def _chassis_drives(tree: Tree, chassis: Body, seen: set[str]) -> Iterator[Body]:
    """Some list only what a controller holds below Storage, and the rest here."""
    links = section(chassis.get("Links"))
    yield from _listed(tree, links if links.get("Drives") else chassis, "Drives", seen)


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


def real(body: Body) -> bool:
    """Whether it is a drive, and not an empty bay or one that the BMC pretends to be."""
    return present(body) and _says(body) and not _pretended(body)


def _simple(device: Body) -> bool:
    sized = disk_bytes(holders(device))
    return real(device) and (sized is not None or not NO_DRIVE.search(str(device.get("Name"))))


def _pretended(body: Body) -> bool:
    names = (body.get("Model"), body.get("Name"))
    return any(PRETENDED.search(name) for name in names if isinstance(name, str))


def _says(body: Body) -> bool:
    """Empty bays are listed as drives too, without a word about what would be in them."""
    texts = (body.get("SerialNumber"), body.get("Model"))
    return disk_bytes(holders(body)) is not None or any(map(told, texts))


def _drive(body: Body) -> Drive:
    protocol = told(body.get("Protocol"))
    left = number(body.get("PredictedMediaLifeLeftPercent"))
    media = _media(protocol, body)
    return Drive(
        name=name_of(body),
        size_bytes=disk_bytes(holders(body)),
        media=media,
        protocol=protocol,
        serial=told(body.get("SerialNumber")),
        failing=_failing(body),
        model=told(body.get("Model")),
        slot=_slot(body),
        wear_percent=_wear(media, None if left is None else 100 - left),
    )


def _smart(body: Body) -> Drive:
    """A drive in HPE's own words."""
    protocol = told(body.get("InterfaceType"))
    media = _media(protocol, body)
    return Drive(
        name=name_of(body),
        size_bytes=disk_bytes(holders(body)),
        media=media,
        protocol=protocol,
        serial=told(body.get("SerialNumber")),
        failing=_failing(body),
        model=told(body.get("Model")),
        slot=told(body.get("Location")),
        wear_percent=_wear(media, number(body.get("SSDEnduranceUtilizationPercentage"))),
    )


def _failing(body: Body) -> bool | None:
    """What it says itself, else what its maker's part or its list of reasons says."""
    said = body.get("FailurePredicted")
    if isinstance(said, str) and said.lower() in ("true", "false"):
        return said.lower() == "true"
    if isinstance(said, bool):
        return said
    own: list[Any] = list(words(body.get("DiskDriveStatusReasons")) or ())
    own += [holder.get("PredictiveFailureState") for holder in holders(body)]
    return True if any(PREDICTED.search(w) for w in own if isinstance(w, str)) else None


def _media(protocol: str | None, body: Body) -> Media | None:
    said = [protocol, *(h.get(key) for h in holders(body) for key in MEDIA_KEYS)]
    for kind, word in MEDIA:
        if any(word.search(text) for text in said if isinstance(text, str)):
            return kind
    turns = (positive(body.get(key)) for key in ("RotationSpeedRPM", "RotationalSpeedRpm"))
    return "hdd" if any(turns) else None  # 0 may mean that it is not known


def _wear(media: Media | None, used: float | None) -> float | None:
    """Of flash: the platters of a hard disk are not used up by writing."""
    told_here = used is not None and media != "hdd" and 0 <= used <= 255
    return used if told_here else None


def _slot(body: Body) -> str | None:
    """Where a person finds it: the label on the bay, in the older and the newer places."""
    places = (*objects(body.get("PhysicalLocation")), *objects(body.get("Location")))
    for place in places:
        if label := told(section(place.get("PartLocation")).get("ServiceLabel")):
            return label
    return next((info for place in places if (info := told(place.get("Info")))), None)
