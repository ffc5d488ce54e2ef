"""The network of the fleet as files: rendered for the world that is seen, compared, judged."""

import difflib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metal.controller.addressing import chosen_sites
from metal.controller.planning import plan_fleet
from metal.controller.progress import Progress, silent
from metal.model.addresses import Addressing
from metal.model.base import Frozen
from metal.model.errors import BadInput, Refused
from metal.model.fleet import Inventory
from metal.model.plan import PlaceVm
from metal.model.world import World
from metal.network.addresses import plan_addresses
from metal.network.renumber import Renumbering, renumbering
from metal.network.tree import Tree, render_tree
from metal.network.view import View, views

MARK = "rendered by metal"
"""Stands in the first lines of all that metal writes: only that may be removed."""
State = Literal["new", "changed", "same", "gone"]


class Verdict(Frozen):
    """What an engine says of one file."""

    path: str
    engine: str
    wrong: str = ""
    unjudged: str = ""
    """Why nobody could tell."""


@dataclass(frozen=True)
class Change:
    """What becomes of one file of the folder."""

    path: str
    state: State
    diff: tuple[str, ...] = ()


def network(inventory: Inventory, world: World) -> tuple[dict[str, View], tuple[str, ...]]:
    """(every site as its gateways see it, remarks).

    VMs that run or are planned have the addresses of the plan. Those that are only pinned to a
    cluster follow, so that a fleet that is not installed yet can be read too; they take nothing
    from the others.
    """
    placed = {a.vm: a for a in plan_fleet(inventory, world).actions if isinstance(a, PlaceVm)}
    homes = {vm: action.cluster for vm, action in placed.items()}
    homes |= {vm: s.cluster for vm, s in world.vms.items() if vm in inventory.vms}
    ids = {vm: action.vmid for vm, action in placed.items()}
    ids |= {vm: seen.vmid for vm, seen in world.vms.items()}
    current = {vm: seen.addresses for vm, seen in world.vms.items()}
    shared = {vm: seen.shared for vm, seen in world.vms.items() if seen.shared}
    plan = plan_addresses(inventory, homes, current, shared=shared)
    pinned = {
        vm: wanted.cluster
        for vm, wanted in inventory.vms.items()
        if vm not in homes and wanted.cluster in inventory.clusters
    }
    if pinned:
        current |= {vm: _own(has) for vm, has in plan.given.items()}
        shared |= {vm: has.shared for vm, has in plan.given.items() if has.shared}
        homes |= {vm: cluster for vm, cluster in pinned.items() if cluster}
        plan = plan_addresses(inventory, homes, current, shared=shared)
    remarks = [str(shortage) for shortage in plan.shortages]
    nowhere = [vm for vm in inventory.vms if vm not in homes]
    if nowhere:
        remarks.append(f"no home yet, so in no file: {', '.join(nowhere)}")
    return views(inventory, homes, plan, ids), tuple(remarks)


def rendered(inventory: Inventory, world: World, site: str | None, folder: Path) -> Tree:
    """The tree for this world. `folder` is where it lies already, for its zones' serials."""
    chosen_sites(inventory, site)
    seen, remarks = network(inventory, world)
    tree = render_tree(seen, site, _there(folder))
    return Tree(tree.files, (*remarks, *tree.notes))


def compare(tree: Tree, folder: Path, site: str | None) -> list[Change]:
    """What writing the tree into `folder` would change."""
    there = _there(folder)
    changes = [
        _change(path, there.get(path), file.text) for path, file in sorted(tree.files.items())
    ]
    for path, text in sorted(there.items()):
        ours = MARK in "\n".join(text.splitlines()[:3])
        if path not in tree.files and ours and (site is None or path.startswith(f"{site}/")):
            changes.append(_change(path, text, None))
    return changes


def write(tree: Tree, folder: Path, changes: list[Change]) -> None:
    """Make `folder` so; nothing that metal did not write is touched."""
    try:
        for change in changes:
            file = folder / change.path
            if change.state == "gone":
                file.unlink(missing_ok=True)
            elif change.state != "same":
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(tree.files[change.path].text, encoding="utf-8")
    except OSError as error:
        raise BadInput(
            f"cannot be written: {error.strerror}",
            where=str(error.filename),
            mend="name a folder that is yours to write in: --into DIR",
        ) from None


def judge(tree: Tree, *, progress: Progress = silent) -> list[Verdict]:
    """Every file that has an engine, judged by its own tool; equal texts once."""
    verdicts: dict[tuple[str, str, str], tuple[str, str]] = {}
    found: list[Verdict] = []
    progress.begin("check", "ask the engines")
    with tempfile.TemporaryDirectory(prefix="metal-") as place:
        for path, file in sorted(tree.files.items()):
            if not _has_checker(file.engine):
                continue
            key = (file.engine, file.zone, file.judged)
            if key not in verdicts:
                verdicts[key] = _judge(Path(place) / path, *key)
            wrong, unjudged = verdicts[key]
            found.append(Verdict(path=path, engine=file.engine, wrong=wrong, unjudged=unjudged))
    bad = sum(bool(v.wrong) for v in found)
    progress.end("check", not bad, f"{bad} of {len(found)} files are wrong" if bad else "")
    return found


def changes_of_prefix(inventory: Inventory, world: World, site: str | None) -> list[Renumbering]:
    """The sites that change their IPv6 prefix, and what is left to do."""
    chosen = chosen_sites(inventory, site)
    seen, _ = network(inventory, world)
    has = {vm: known.addresses for vm, known in world.vms.items()}
    found = (renumbering(seen[name], has) for name in chosen)
    return [one for one in found if one is not None]


def _own(has: Addressing) -> tuple[str, ...]:
    return tuple(a for a in (has.private_ipv4, has.public_ipv4, has.ipv6) if a)


def _has_checker(engine: str) -> bool:
    from metal.drivers.engine_checks import CHECKERS

    return engine in CHECKERS


def _judge(file: Path, engine: str, zone: str, text: str) -> tuple[str, str]:
    from metal.drivers.engine_checks import check

    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    try:
        return check(engine, file, zone), ""
    except Refused as error:
        return "", str(error)


def _there(folder: Path) -> dict[str, str]:
    """Path → text of what lies there; what is no text is nobody's of ours."""
    return dict(_texts(folder))


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            try:
                yield str(file.relative_to(folder)), file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue


def _change(path: str, before: str | None, after: str | None) -> Change:
    if before == after:
        return Change(path, "same")
    state: State = "new" if before is None else "gone" if after is None else "changed"
    old, new = (before or "").splitlines(), (after or "").splitlines()
    names = ("/dev/null" if before is None else path, "/dev/null" if after is None else path)
    return Change(path, state, tuple(difflib.unified_diff(old, new, *names, lineterm="")))
