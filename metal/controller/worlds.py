"""Worlds as files: what was seen once can be planned for, and argued about, away from the racks."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from metal.controller.progress import Progress, silent
from metal.controller.workspace import Workspace
from metal.model.errors import BadInput
from metal.model.fleet import Inventory
from metal.model.world import World

SHOWN = 5
"""Mistakes of a file that are named; more of them are counted."""
RECORD = "`metal look -o json > FILE` records one"
MEMORY_MIB = 64 << 20
"""64 TiB: no server takes more. What a hypervisor really tells is never refused, a file may be."""


def world_for(workspace: Workspace, file: Path | None, *, progress: Progress = silent) -> World:
    """The world in `file`, which asks nobody; without a file, a look at everything."""
    if file is not None:
        world = read_world(file)
        _refuse_strange(world, workspace.inventory, file)
        return world
    from metal.controller.look import look

    return look(workspace, progress=progress)


def _refuse_strange(world: World, inventory: Inventory, file: Path) -> None:
    """BadInput, naming each place, where no look at this inventory's fleet could have seen it."""
    homeless = [
        f"vms.{vm}.cluster: the inventory has no cluster {seen.cluster}"
        for vm, seen in world.vms.items()
        if seen.cluster not in inventory.clusters
    ]
    if homeless:
        raise _no_world("is no world of this inventory", homeless, file)
    impossible = [*_vast(world), *_one_number(world, inventory), *_doubled_nodes(world)]
    if impossible:
        raise _no_world("says what cannot be", impossible, file)


def _vast(world: World) -> Iterator[str]:
    for vm, seen in world.vms.items():
        if (seen.memory_mib or 0) > MEMORY_MIB:
            told = f"{seen.memory_mib} MiB is more than any server has ({MEMORY_MIB} at most)"
            yield f"vms.{vm}.memory_mib: {told}"


def _one_number(world: World, inventory: Inventory) -> Iterator[str]:
    """Proxmox gives a number once in a cluster. libvirt's VMs may lack one, or run twice."""
    owners: dict[tuple[str, int], str] = {}
    for vm, seen in world.vms.items():
        if not inventory.clusters[seen.cluster].has_ha:
            continue
        owner = owners.setdefault((seen.cluster, seen.vmid), vm)
        if owner != vm:
            yield f"vms.{vm}.vmid: {seen.vmid} is the number of {owner} in {seen.cluster} too"


def _doubled_nodes(world: World) -> Iterator[str]:
    for name, seen in world.clusters.items():
        for node, times in Counter(seen.nodes).items():
            if times > 1:
                yield f"clusters.{name}.nodes: {node} stands there {times} times"


def _no_world(what: str, said: list[str], file: Path) -> BadInput:
    more = [f"and {len(said) - SHOWN} more"] if len(said) > SHOWN else []
    lines = "\n".join(f"  {line}" for line in said[:SHOWN] + more)
    return BadInput(f"{what}:\n{lines}", where=str(file), mend=RECORD)


def read_world(file: Path) -> World:
    """The world that `metal look -o json` recorded (`-`: stdin); BadInput names each mistake."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(file), mend=RECORD) from None
    except UnicodeDecodeError:
        raise BadInput("is not UTF-8", where=str(file), mend=RECORD) from None
    try:
        world = World.model_validate_json(text)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        said = [f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in found]
        raise _no_world("is no recorded world", said, file) from None
    if twice := _names_twice(text):
        raise _no_world("is no recorded world", twice, file)
    return world


def _names_twice(text: str) -> list[str]:
    """Of two values under one name the first would be dropped, and nobody told."""
    found: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        names = Counter(name for name, _ in pairs)
        found.extend(f"{name} stands there {n} times" for name, n in names.items() if n > 1)

    json.loads(text, object_pairs_hook=note)
    return found
