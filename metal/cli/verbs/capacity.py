"""`metal capacity`: how many more VMs fit, and survive."""

from pathlib import Path

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import see, world_option


@click.command("capacity", cls=Verb)
@click.option("--size", metavar="SIZE", help="Of profiles/vms.toml; every size when absent.")
@world_option
@click.pass_obj
def command(face: Face, size: str | None, recorded: Path | None) -> None:
    """Show how many more VMs of a size fit with every single server free to die.

    Where the count is below its bound, the bound says what nobody can exceed.
    """
    from metal.controller.proving import capacity_of

    workspace = face.open()
    world = see(face, workspace, recorded)
    found = capacity_of(workspace.inventory, world, size)
    lines: list[str] = []
    for name, lefts in found.items():
        total, bound = sum(x.count for x in lefts), sum(x.bound for x in lefts)
        gap = f" (at most {bound})" if bound > total else ""
        lines.append(f"{name}: {total} more{gap}")
        for left in lefts:
            gap = f" of at most {left.bound}" if left.bound > left.count else ""
            lines.append(f"  {left.cluster}: {left.count}{gap}; the limit is: {left.why}")
    rows = [{"size": name, **vars(left)} for name, lefts in found.items() for left in lefts]
    face.show(lines, rows)
