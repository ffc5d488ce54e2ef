"""Worlds as files: what was seen once can be planned for, and argued about, away from the racks."""

import sys
from pathlib import Path

from pydantic import ValidationError

from metal.controller.progress import Progress, silent
from metal.controller.workspace import Workspace
from metal.model.errors import BadInput
from metal.model.fleet import Inventory
from metal.model.world import World

SHOWN = 5
"""Mistakes of a file that are named; more of them are counted."""
RECORD = "`metal look -o json > FILE` records one"


def world_for(workspace: Workspace, file: Path | None, *, progress: Progress = silent) -> World:
    """The world in `file`, which asks nobody; without a file, a look at everything."""
    if file is not None:
        world = read_world(file)
        _refuse_strange(world, workspace.inventory, file)
        return world
    from metal.controller.look import look

    return look(workspace, progress=progress)


def _refuse_strange(world: World, inventory: Inventory, file: Path) -> None:
    """BadInput where VMs run in clusters that this inventory does not have."""
    strange = [
        f"  vms.{vm}.cluster: the inventory has no cluster {seen.cluster}"
        for vm, seen in world.vms.items()
        if seen.cluster not in inventory.clusters
    ]
    if strange:
        more = [f"  and {len(strange) - SHOWN} more"] if len(strange) > SHOWN else []
        lines = "\n".join(strange[:SHOWN] + more)
        raise BadInput(f"is no world of this inventory:\n{lines}", where=str(file), mend=RECORD)


def read_world(file: Path) -> World:
    """The world that `metal look -o json` recorded (`-`: stdin); BadInput names each mistake."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(file), mend=RECORD) from None
    except UnicodeDecodeError:
        raise BadInput("is not UTF-8", where=str(file), mend=RECORD) from None
    try:
        return World.model_validate_json(text)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        said = [f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in found]
        more = [f"and {len(said) - SHOWN} more"] if len(said) > SHOWN else []
        lines = "\n".join(f"  {line}" for line in said[:SHOWN] + more)
        raise BadInput(f"is no recorded world:\n{lines}", where=str(file), mend=RECORD) from None
