"""inventory.toml and profiles/ → Inventory, or every mistake in them at once."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from metal.inventory.administrators import check_administrators
from metal.inventory.affinity import check_affinity
from metal.inventory.alarms import check_alarms
from metal.inventory.defaults import defaults, own_or_default
from metal.inventory.draft import NAME, Draft
from metal.inventory.fleet import check_fleet
from metal.inventory.links import check_links
from metal.inventory.mistakes import InventoryErrors, Mistake, meant, suggest
from metal.inventory.networks import check_networks
from metal.inventory.positions import Positions
from metal.inventory.power import check_power
from metal.inventory.reading import Source, parse, read
from metal.inventory.references import check_references
from metal.inventory.terms import check_terms
from metal.inventory.unlocking import check_unlocking
from metal.inventory.vms import check_vms
from metal.inventory.words import translate, without
from metal.model.balance import BalancePolicy
from metal.model.fleet import (
    Administrator,
    Cluster,
    Fleet,
    Inventory,
    Server,
    ServerProfile,
    Site,
    Tang,
    Vm,
    VmSize,
)
from metal.model.watch import Hook, WatchPolicy

SECTIONS: dict[str, type[BaseModel]] = {
    "administrators": Administrator,
    "sites": Site,
    "servers": Server,
    "clusters": Cluster,
    "vms": Vm,
    "tang": Tang,
    "alarms": Hook,
}
"""Sections of named tables; [fleet], [watch] and [balance] stand alone."""

CHECKS = (
    check_fleet,
    check_administrators,
    check_references,
    check_networks,
    check_terms,
    check_links,
    check_vms,
    check_affinity,
    check_unlocking,
    check_power,
    check_alarms,
)
EMPTY = Source(Path("inventory.toml"), {}, Positions(""))
_Model = TypeVar("_Model", bound=BaseModel)


def load(workspace: Path, text: str | None = None) -> Inventory:
    """The workspace's inventory. Raises InventoryErrors with every mistake at once.

    `text` stands for what is in inventory.toml: an edit is tried before it is written.
    """
    workspace = nearby(workspace)
    file = workspace / "inventory.toml"
    source = read(file) if text is None else parse(file, text)
    unread = isinstance(source, Mistake)
    draft = Draft(source if isinstance(source, Source) else EMPTY)
    if isinstance(source, Mistake):
        draft.mistakes.append(source)
    else:
        _sections(draft)
    _profiles(draft, workspace)
    for check in () if unread else CHECKS:
        check(draft)
    if draft.mistakes or draft.fleet is None:
        raise InventoryErrors(draft.mistakes)
    return Inventory(
        fleet=draft.fleet,
        administrators=draft.administrators,
        sites=draft.sites,
        servers=draft.servers,
        clusters=draft.clusters,
        vms=draft.vms,
        profiles=draft.profiles,
        sizes=draft.sizes,
        tang=draft.tang,
        watch=draft.watch,
        balance=draft.balance,
        alarms=draft.alarms,
        written={vm: f"inventory.toml:{_line(draft, ('vms', vm))}" for vm in draft.vms},
    )


def _line(draft: Draft, path: tuple[str, ...]) -> int:
    return draft.source.positions.key(path)[0]


def _sections(draft: Draft) -> None:
    data = draft.data = _top_level(draft)
    if "fleet" in data:
        draft.fleet = _model(draft, draft.source, Fleet, data["fleet"], ("fleet",))
    else:
        draft.at_key(("fleet",), "[fleet] is missing", "add [fleet] with `name` and `domain`")
    if "watch" in data:
        policy = _model(draft, draft.source, WatchPolicy, data["watch"], ("watch",))
        draft.watch = policy or draft.watch
    if "balance" in data:
        spread = _model(draft, draft.source, BalancePolicy, data["balance"], ("balance",))
        draft.balance = spread or draft.balance
    for section, model in SECTIONS.items():
        items = data.get(section, {})
        if not isinstance(items, dict):
            what = f"`{section}` must be named tables"
            draft.at_value((section,), what, f"write them as [{section}.NAME]")
            items = {}
        draft.declared[section] = list(items)
        for name, item in items.items():
            path = (section, name)
            good = _well_named(draft, draft.source, path, name)
            found = _model(draft, draft.source, model, item, path)
            if good and found is not None:
                draft.add(section, name, found)


def _top_level(draft: Draft) -> dict[str, Any]:
    """The sections; one with a misspelt name is read as what was meant."""
    known = ("fleet", "watch", "balance", *SECTIONS)
    data = dict(draft.source.data)
    for wrong in [key for key in data if key not in known]:
        draft.at_key((wrong,), f"unknown section `{wrong}`", suggest(wrong, known, "section"))
        item, right = data.pop(wrong), meant(wrong, known)
        if right and right not in data:
            data[right] = item
            draft.source.positions.rename(wrong, right)
    return data


def _well_named(draft: Draft, source: Source, path: tuple[str, ...], name: str) -> bool:
    if NAME.match(name):
        return True
    mend = "lower-case letters, digits and hyphens, a letter first, 40 at most"
    draft.mistakes.append(source.at_key(path, f"{name!r} is no name", mend))
    return False


def _model(
    draft: Draft, source: Source, model: type[_Model], data: Any, path: tuple[str, ...]
) -> _Model | None:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        draft.mistakes += translate(error, model, source, path)
        # What is wrong was said. Without it the rest may still tell of other mistakes.
        try:
            return model.model_validate(without(error, model, data))
        except ValidationError:
            return None


def _profiles(draft: Draft, workspace: Path) -> None:
    """Server profiles and VM sizes; a workspace's own file wins over the packaged one."""
    files = {
        file.stem: file
        for folder in (defaults(), workspace)
        for file in sorted((folder / "profiles" / "servers").glob("*.toml"))
    }
    draft.declared["profiles"] = list(files)
    for name, file in files.items():
        source = read(file)
        if isinstance(source, Mistake):
            draft.mistakes.append(source)
            continue
        found = _model(draft, source, ServerProfile, source.data, ())
        if _well_named(draft, source, (), name) and found is not None:
            draft.profiles[name] = found
    _sizes(draft, own_or_default(workspace, "profiles/vms.toml"))


def _sizes(draft: Draft, file: Path) -> None:
    source = read(file)
    if isinstance(source, Mistake):
        draft.mistakes.append(source)
        return
    draft.declared["sizes"] = list(source.data)
    for name, item in source.data.items():
        found = _model(draft, source, VmSize, item, (name,))
        if _well_named(draft, source, (name,), name) and found is not None:
            draft.sizes[name] = found


def nearby(folder: Path) -> Path:
    """Relative to the current folder where it is below: what a person would type."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
