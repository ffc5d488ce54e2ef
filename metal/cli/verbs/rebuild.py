"""`metal rebuild`: a site or a cluster is gone for good."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.recorded import only_planned, see, world_option

if TYPE_CHECKING:
    from metal.controller.workspace import Workspace
    from metal.model.world import World
    from metal.schedule.rebuild import Rebuilt


@click.command("rebuild", cls=Verb)
@click.argument("name", metavar="SITE|CLUSTER")
@click.option("--act", is_flag=True, help="Carry it out, after asking.")
@click.option(
    "--i-know-it-is-gone", "gone", is_flag=True,
    help="You say that none of its servers runs or ever will by itself.",
)  # fmt: skip
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@world_option
@click.pass_context
def command(
    ctx: click.Context, name: str, act: bool, gone: bool, yes: bool, recorded: Path | None
) -> None:
    """After a fire: bring back elsewhere what was at a site or in a cluster, from backups.

    What was there is what was last seen there, and every VM of the inventory that nobody shows.
    Shows its new place and its backup for each, the most important first, and names what is
    missing: room, a backup, the escrowed key of a server's disk. Ends with 1 when a VM cannot
    be brought back. A backup is found by the VM's name in its note, as Proxmox's jobs write it.
    A recorded world tells of backups if `metal look --backups` made it.

    Nothing is changed without --act. With it the servers are set aside, and each VM is restored,
    started and given to HA; refused while anything there is seen to live, or nobody says that
    it does not. Killed anywhere, the same command goes on as it was agreed.
    """
    from metal.cli.render.rebuild import rebuild_lines
    from metal.cli.screen import width
    from metal.controller.rebuilding import keys_of, planned

    face = ctx.ensure_object(Face)
    only_planned(recorded, acts=act, mend="leave --act, or --world")
    workspace = face.open()
    world = see(face, workspace, recorded)
    if act and (done := _go_on(face, workspace, name)) is not None:
        face.show(_lines(done), done)
        ctx.exit(0)
    found, silent = planned(workspace, world, name, ask=recorded is None)
    keys = keys_of(workspace, found.lost.servers)
    lines = rebuild_lines(found, silent, keys, width())
    missing = bool(found.lacks or found.lost.untold)
    if not act:
        face.show(lines, _document(found, silent, keys))
        ctx.exit(1 if missing else 0)
    face.say("\n".join(lines))
    done = _act(face, workspace, world, found, gone=gone, yes=yes)
    face.show(_lines(done), done)
    ctx.exit(1 if missing else 0)


def _go_on(face: Face, workspace: "Workspace", name: str) -> dict[str, Any] | None:
    """What came of a rebuilding that was begun; None where there is none."""
    from metal.controller.rebuilding import begun, carry_out

    opened = begun(workspace, name)
    if opened is None:
        return None
    order, operation = opened
    face.say(f"going on with operation {operation.id}, as it was agreed")
    with face.progress() as progress:
        return carry_out(workspace, order, progress)


def _act(
    face: Face,
    workspace: "Workspace",
    world: "World",
    found: "Rebuilt",
    *,
    gone: bool,
    yes: bool,
) -> dict[str, Any]:
    from getpass import getuser

    from metal.cli.asking import agreed
    from metal.controller.rebuilding import carry_out, order_of, proof

    why = proof(workspace, world, found.name, getuser() if gone else "")
    order = order_of(workspace, found, why)
    agreed(face, "", f"bring {len(order.pieces)} VMs back without {found.name}", yes=yes)
    face.resumable = f"`metal rebuild --act {found.name}` goes on where it stopped"
    with face.progress() as progress:
        return carry_out(workspace, order, progress)


def _lines(done: dict[str, Any]) -> list[str]:
    return [vm["todo"] for vm in done["vms"].values()] or ["Nothing was to be brought back."]


def _document(found: "Rebuilt", silent: dict[str, str], keys: dict[str, bool]) -> dict[str, Any]:
    """`metal rebuild -o json`."""
    return {
        "name": found.name,
        "servers": [{"server": s, "key_escrowed": keys[s]} for s in found.lost.servers],
        "back": [
            {"vm": vm, "cluster": cluster, "server": server, "backup": backup}
            for vm, (cluster, server, backup) in found.homes.items()
        ],
        "lacks": found.lacks,
        "untold": found.lost.untold,
        "silent_storages": silent,
    }
