"""`metal evacuate`: a donor withdraws."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import only_planned, see, world_option

if TYPE_CHECKING:
    from metal.controller.workspace import Workspace
    from metal.schedule.evacuate import Evacuation
    from metal.schedule.missing import Missing

DAY = click.DateTime(["%Y-%m-%d"])


@click.command("evacuate", cls=Verb)
@click.argument("name", metavar="SITE|CLUSTER")
@click.option("--from", "begin", type=DAY, metavar="DAY", help="When it begins; now when absent.")
@click.option(
    "--by", type=DAY, metavar="DAY", help="The last day; that of the donor's terms when absent."
)
@click.option(
    "--mbit",
    type=click.IntRange(1),
    metavar="N",
    help="What the uplinks carry, Mbit/s, instead of what the donors' terms say.",
)
@click.option("--act", is_flag=True, help="Carry it out, after asking: over days, as planned.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@world_option
@click.pass_context
def command(
    ctx: click.Context,
    name: str,
    begin: datetime | None,
    by: datetime | None,
    mbit: int | None,
    act: bool,
    yes: bool,
    recorded: Path | None,
) -> None:
    """Plan how to leave a site or a cluster: what goes where, on which day, and what goes back.

    Says what cannot go and the smallest room that is missing, and lists the servers with their
    serial numbers and the disks that are to be erased. Ends with 1 when a VM has no place, or
    arrives too late.

    Nothing is moved without --act. With it each VM goes on its day, after a look whether every
    server may still die with it in its new place; who cannot go is passed over. Killed anywhere,
    the same command goes on as it was agreed; `metal run cancel` gives it up.
    """
    from metal.cli.render.evacuate import evacuate_lines
    from metal.cli.screen import width
    from metal.controller.evacuating import document, evacuation, unwiped

    only_planned(recorded, acts=act, mend="leave --act, or --world")
    face = ctx.ensure_object(Face)
    workspace = face.open()
    days = {"begin": begin and begin.date(), "by": by and by.date()}

    def planned() -> "tuple[Evacuation, tuple[Missing, ...]]":
        return evacuation(workspace, see(face, workspace, recorded), name, **days, mbit=mbit)

    moved = _act(face, workspace, name, planned, yes=yes) if act else None
    found, short = planned()
    owed = unwiped(workspace, found.hand_back)
    told = document(found, short, owed) | ({} if moved is None else {"moved": moved})
    face.show(evacuate_lines(found, short, owed, width()), told)
    stays = found.relocation.stranded or found.relocation.unmanaged
    ctx.exit(1 if stays or found.late else 0)


def _act(
    face: Face,
    workspace: "Workspace",
    name: str,
    planned: "Callable[[], tuple[Evacuation, tuple[Missing, ...]]]",
    *,
    yes: bool,
) -> "dict[str, Any]":
    """Carry it out, or go on with it: VM → what became of it."""
    from metal.cli.asking import agreed
    from metal.cli.render.evacuate import evacuate_lines
    from metal.cli.screen import width
    from metal.controller.evacuating import unwiped
    from metal.controller.leaving import begun, carry_out, order_to_leave

    face.resumable = f"`metal evacuate --act {name}` goes on where it stopped"
    opened = begun(workspace, name)
    if opened is not None:
        order, operation = opened
        face.say(f"going on with operation {operation.id}, as it was agreed")
    else:
        found, short = planned()
        order = order_to_leave(workspace, found)
        if not order.legs:
            return {}
        lines = evacuate_lines(found, short, unwiped(workspace, found.hand_back), width())
        face.say("\n".join(lines))
        agreed(face, "", f"move {len(order.legs)} VMs away from {name}", yes=yes)
    with face.progress() as progress:
        done = carry_out(workspace, order, progress)
    moved: dict[str, Any] = done["vms"]
    for vm in moved.values():
        face.say(vm["todo"])
    return moved
