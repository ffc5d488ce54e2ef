"""Virtual drives over Redfish: put an image in, take it out, each read back.

Where the drives are and how they are filled differs: below managers or systems (R47), by an
action, by PATCH (R45), by Supermicro's own IsoConfig (R43), or not at all (R44).
Sources: DSP2046, VirtualMedia; Supermicro's Redfish reference for X10/X11 (VM1/CfgCD).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from metal.drivers.polling import became
from metal.drivers.redfish_answer import Answer, Body, link
from metal.drivers.redfish_session import Missing
from metal.drivers.redfish_shape import section
from metal.drivers.redfish_tree import Tree
from metal.drivers.redfish_words import oem_parts
from metal.model.errors import Failed, Refused

INSERT, EJECT = "#VirtualMedia.InsertMedia", "#VirtualMedia.EjectMedia"
OLDER = {INSERT: "InsertVirtualMedia", EJECT: "EjectVirtualMedia"}
"""How iLO 4 and the first iLO 5 end the names of theirs, below Oem."""
MOUNT, UNMOUNT = "#IsoConfig.Mount", "#IsoConfig.UnMount"
NOTHING = ("", "none", "null", "n/a")
"""What makers write where there is no image (AMI: "None")."""
OPTICAL = {"CD", "DVD"}
LICENCE = ("license", "licence", "SFT-OOB", "SFT-DCMS", "not licensed", "activation key")
OTHER_WAY = "boot it over the network instead"


@dataclass(frozen=True)
class Slot:
    """One virtual drive."""

    path: str
    body: Body
    way: Literal["action", "patch", "iso-config", "none"]
    config: str = ""
    """Path of Supermicro's IsoConfig."""

    @property
    def id(self) -> str:
        return str(self.body.get("Id") or self.path.rstrip("/").rsplit("/", 1)[1])

    @property
    def image(self) -> str:
        """What is in it; "" if it is empty, whatever else it still shows (R46)."""
        image = str(self.body.get("Image") or self.body.get("ImageName") or "")
        if image.lower() in NOTHING or self.body.get("Inserted") is False:
            return ""
        return "" if self.body.get("ConnectedVia") == "NotConnected" else image

    @property
    def leftover(self) -> bool:
        """It is empty and still names an image: inserting says "in use" there (R46)."""
        return not self.image and str(self.body.get("Image") or "").lower() not in NOTHING

    @property
    def optical(self) -> bool:
        types = self.body.get("MediaTypes")
        if isinstance(types, list) and types:
            return bool(OPTICAL & set(map(str, types)))
        return "cd" in self.id.lower() or "ext" in self.id.lower()


def ensure_media(tree: Tree, url: str, settle: float) -> str:
    """The image is in a virtual drive; its slot. Refused where there is none that can."""
    slots = list(_slots(tree))
    for slot in slots:
        if _holds(slot, url):
            return slot.id
    complaint = ""
    for slot in _suitable(tree, slots):
        answer = _insert(tree, slot, url)
        if became(lambda: _holds(_again(tree, slot), url), _patience(answer, settle)):  # noqa: B023
            if not answer.ok:
                tree.session.met("R08")
            return slot.id
        complaint = f"{slot.id}: {answer.complaint}"
        if answer.names(*LICENCE):
            raise _needs_licence(tree, answer)
    raise Failed(
        f"no virtual drive took the image {_shown(url)} ({complaint})",
        where=tree.session.where,
        mend=f"can the BMC reach that address? Or {OTHER_WAY}",
    )


def ensure_no_media(tree: Tree, settle: float) -> None:
    """Every virtual drive that can be emptied is empty."""
    for slot in _slots(tree):
        if slot.way == "none" or not slot.image:
            continue
        answer = _eject(tree, slot)
        if not became(lambda: not _again(tree, slot).image, _patience(answer, settle)):  # noqa: B023
            raise Failed(
                f"the virtual drive {slot.id} still holds {_shown(slot.image)} "
                f"({answer.complaint})",
                where=tree.session.where,
                mend="take it out in the BMC's web page, or restart the BMC",
            )


# ── Finding drives ───────────────────────────────────────────────────────────────────────────


def _slots(tree: Tree) -> Iterator[Slot]:
    """Of the system first: where both list them, the manager's are the old ones (R47)."""
    system = tree.system()
    seen: set[str] = set()
    for owner in (system, tree.manager(system)):
        config = _iso_config(tree, owner)
        for path in tree.members_of(owner, "VirtualMedia"):
            if path not in seen:
                seen.add(path)
                yield _slot(tree, path, config)
        if config and not seen:  # X10: the collection has no drives while none is filled
            yield Slot(config, {"Id": "CD1"}, "iso-config", config)


def _slot(tree: Tree, path: str, config: str) -> Slot:
    answer = tree.session.fetch(path)
    if INSERT in _actions(answer.body):
        return Slot(path, answer.body, "action")
    if config:
        return Slot(path, answer.body, "iso-config", config)
    allow = answer.headers.get("allow", "")
    writable = "PATCH" in allow.upper() if allow else "Image" in answer.body
    return Slot(path, answer.body, "patch" if writable else "none")


def _iso_config(tree: Tree, owner: Body) -> str:
    """Supermicro X10/X11: VirtualMedia links to VM1, its Oem part to the configuration."""
    collection = tree.linked(owner, "VirtualMedia")
    oem = collection.get("Oem")
    maker = oem.get("Supermicro") if isinstance(oem, dict) else None
    if isinstance(maker, dict):
        for value in maker.values():
            path = link(value)
            if path and MOUNT in _actions(next(tree.bodies(iter([path])), {})):
                return path
    return ""


def _suitable(tree: Tree, slots: list[Slot]) -> list[Slot]:
    """Those that can be filled, empty ones first, drives for discs before sticks."""
    able = [s for s in slots if s.way != "none"]
    if not able:
        if slots:
            tree.session.met("R44")
        raise Refused(
            "its virtual drives can only be looked at over Redfish, not filled"
            if slots
            else "it has no virtual drives that Redfish tells of",
            where=tree.session.where,
            mend=f"newer BMC firmware may have them; {OTHER_WAY}, or use a stick",
        )
    return sorted(able, key=lambda s: (bool(s.image), not s.optical))


def _again(tree: Tree, slot: Slot) -> Slot:
    if slot.path == slot.config:
        drives = [s for s in _slots(tree) if s.path != s.config]
        return drives[0] if drives else slot
    try:
        body = tree.session.get(slot.path)
    except Missing:  # an X10 lists a drive only while an image is in it (R43)
        body = {"Id": slot.id}
    return Slot(slot.path, body, slot.way, slot.config)


def _holds(slot: Slot, url: str) -> bool:
    """Some show the whole address, some its path, some only the file's name."""
    if not slot.image:
        return False
    path = urlsplit(url).path
    return slot.image == url or slot.image.endswith((path, path.rsplit("/", 1)[1] or path))


# ── Filling and emptying them ────────────────────────────────────────────────────────────────


def _insert(tree: Tree, slot: Slot, url: str) -> Answer:
    if slot.image or slot.leftover:
        if slot.leftover:
            tree.session.met("R46")
        _eject(tree, slot)
    if url.startswith("https:") and slot.body.get("VerifyCertificate") is True:
        # It has no authority to check against: the image is checked by its own hash (R48).
        tree.session.met("R48")
        tree.session.patch(slot.path, {"VerifyCertificate": False})
    if slot.way == "patch":
        tree.session.met("R45")
        return tree.session.patch(slot.path, {"Image": url, "Inserted": True})
    if slot.way == "iso-config":
        return _mount(tree, slot, url)
    whole = {"Image": url, "Inserted": True, "WriteProtected": True}
    answer = tree.session.post(_target(slot, INSERT), whole)
    if answer.status == 400 and not answer.names(*LICENCE, "in use"):
        return tree.session.post(_target(slot, INSERT), {"Image": url})
    return answer


def _mount(tree: Tree, slot: Slot, url: str) -> Answer:
    """Supermicro X10/X11: host and path are written first, then mounted (R43)."""
    tree.session.met("R43")
    parts = urlsplit(url)
    wanted = {"Host": f"{parts.scheme}://{parts.netloc}", "Path": parts.path}
    answer = tree.session.patch(slot.config, wanted | {"Username": "", "Password": ""})
    if not answer.ok:
        return answer
    return tree.session.post(_config_target(tree, slot, MOUNT), {})


def _eject(tree: Tree, slot: Slot) -> Answer:
    if slot.way == "iso-config":
        return tree.session.post(_config_target(tree, slot, UNMOUNT), {})
    if EJECT in _actions(slot.body):
        return tree.session.post(_target(slot, EJECT), {})
    return tree.session.patch(slot.path, {"Image": None, "Inserted": False})


def _config_target(tree: Tree, slot: Slot, action: str) -> str:
    actions = _actions(tree.session.get(slot.config))
    return _path(actions.get(action)) or f"{slot.config}/Actions/{action[1:]}"


def _target(slot: Slot, action: str) -> str:
    return _path(_actions(slot.body).get(action)) or f"{slot.path}/Actions/{action[1:]}"


def _path(action: object) -> str:
    return str(action.get("target") or "") if isinstance(action, dict) else ""


def can_insert(drive: Body) -> bool:
    return INSERT in _actions(drive)


def _actions(body: Body) -> Body:
    """With the makers' own, under the names that DMTF gave them later."""
    actions = {k: v for k, v in section(body.get("Actions")).items() if v is not None}
    for extra in (*oem_parts(body), *oem_parts(actions)):
        for own in (section(extra.get("Actions")), extra):
            for name, ending in OLDER.items():
                found = [own[k] for k in own if k.startswith("#") and k.endswith(f".{ending}")]
                if found:
                    actions.setdefault(name, found[0])
    return actions


def _patience(answer: Answer, settle: float) -> float:
    return settle if answer.ok else 0.0


def _needs_licence(tree: Tree, answer: Answer) -> Refused:
    tree.session.met("R42")
    return Refused(
        f"its virtual drives need a licence key of the maker's ({answer.complaint})",
        where=tree.session.where,
        mend=f"{OTHER_WAY}, or put the licence key into the BMC",
    )


def _shown(url: str) -> str:
    """Without the user and password that an address may carry."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
