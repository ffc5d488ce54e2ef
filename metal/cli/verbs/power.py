"""`metal power`: switch servers by whatever switches them, and answer what a person is asked."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metal.cli.complete import servers as known_servers
from metal.cli.face import Face
from metal.cli.lazy import Verb

if TYPE_CHECKING:
    from metal.controller.remote import How, Switched

SERVERS = click.argument(
    "servers", metavar="SERVER...", nargs=-1, required=True, shell_complete=known_servers
)
FORCE = click.option("--force", is_flag=True, help="Although something depends on it.")
YES = click.option("--yes", "-y", is_flag=True, help="Do not ask.")

MEANING = {
    "on": "switch on",
    "off": "switch off hard (what runs there is lost)",
    "cycle": "switch off hard and on again (what runs there is lost)",
    "soft": "ask to shut down, and wait until it is off",
}
"""What a person says yes to."""


@click.group("power")
def command() -> None:
    """Switch servers through their BMC, their plug, or a person at the rack."""


@command.command("status", cls=Verb)
@click.argument("servers", metavar="[SERVER]...", nargs=-1, shell_complete=known_servers)
@click.option("--all", "everything", is_flag=True, help="Every server of the inventory.")
@click.pass_context
def status(ctx: click.Context, servers: tuple[str, ...], everything: bool) -> None:
    """What each server's switch reads. unknown: nobody can read it."""
    from metal.controller.remote import named, read_power
    from metal.model.errors import BadInput

    face = ctx.ensure_object(Face)
    workspace = face.open()
    if bool(servers) == everything:
        raise BadInput("name servers, or give --all", mend="one of the two")
    names = list(workspace.inventory.servers) if everything else named(workspace, servers)
    with face.progress() as progress:
        results = read_power(workspace, names, progress)
    _report(ctx, face, results)


@command.command("on", cls=Verb)
@SERVERS
@click.pass_context
def on(ctx: click.Context, servers: tuple[str, ...]) -> None:
    """Switch on, and read it back."""
    _change(ctx, servers, "on", force=True, yes=True)


@command.command("off", cls=Verb)
@SERVERS
@FORCE
@YES
@click.pass_context
def off(ctx: click.Context, servers: tuple[str, ...], force: bool, yes: bool) -> None:
    """Switch off hard, and read it back: what runs there is lost.

    One that its cluster lost is switched off by `metal fence`, and where its BMC or its PDU is
    dead too, your word is taken there.
    """
    _change(ctx, servers, "off", force=force, yes=yes)


@command.command("cycle", cls=Verb)
@SERVERS
@FORCE
@YES
@click.pass_context
def cycle(ctx: click.Context, servers: tuple[str, ...], force: bool, yes: bool) -> None:
    """Switch off hard and on again, seen to be both."""
    _change(ctx, servers, "cycle", force=force, yes=yes)


@command.command("soft", cls=Verb)
@SERVERS
@FORCE
@YES
@click.pass_context
def soft(ctx: click.Context, servers: tuple[str, ...], force: bool, yes: bool) -> None:
    """Ask what runs there to shut down, and wait until it is off. A BMC alone can."""
    _change(ctx, servers, "soft", force=force, yes=yes)


@command.command("waiting", cls=Verb)
@click.pass_obj
def waiting(face: Face) -> None:
    """What somebody at the rack is asked to press."""
    from metal.cli.render.power import errand_lines
    from metal.cli.screen import width
    from metal.controller.errands import errands

    found = errands(face.open())
    face.show(errand_lines(found, width()), found)


@command.command("confirm", cls=Verb)
@click.argument("server", shell_complete=known_servers)
@click.argument("wanted", metavar="on|off", type=click.Choice(["on", "off"]))
@click.pass_obj
def confirm(face: Face, server: str, wanted: Any) -> None:
    """Say that you switched SERVER and saw it.

    VMs are restarted elsewhere on your word that it is off.
    """
    from metal.controller.errands import answer_for

    answer_for(face.open(), server, wanted, "done")
    face.say(f"recorded: {server} is {wanted}")


@command.command("cannot", cls=Verb)
@click.argument("server", shell_complete=known_servers)
@click.option("--why", default="", metavar="TEXT", help="For whoever asked.")
@click.pass_obj
def cannot(face: Face, server: str, why: str) -> None:
    """Say that SERVER cannot be switched.

    What waits for it ends as failed.
    """
    from metal.controller.errands import answer_for

    answer_for(face.open(), server, None, "cannot", why)
    face.say(f"recorded: {server} cannot be switched")


@command.command("password", cls=Verb)
@click.argument("server", shell_complete=known_servers)
@click.option(
    "--from",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Its first line, instead of asking.",
)
@click.option("--outlet", type=int, metavar="N", help="Of the N-th of its outlets alone.")
@click.pass_obj
def password(face: Face, server: str, file: Path | None, outlet: int | None) -> None:
    """Keep the password of SERVER's plug.

    Or its SNMP community: in escrow as power/SERVER, for every administrator.
    """
    from metal.controller.remote import named
    from metal.model.errors import BadInput

    workspace = face.open()
    named(workspace, (server,))
    if file is not None:
        secret = (file.read_text(encoding="utf-8").splitlines() or [""])[0]
    elif face.interactive:
        secret = click.prompt("password or community", hide_input=True, err=True)
    else:
        raise BadInput("nobody can be asked for the password", mend="--from FILE")
    if not secret:
        raise BadInput("the password is empty", where=str(file or server))
    name = f"power/{server}"
    if outlet is not None:
        have = len(workspace.inventory.servers[server].power.outlets)
        if not 1 <= outlet <= have:
            raise BadInput(f"{server} has {have} outlets", where="--outlet")
        name += f"/{outlet}"
    workspace.secrets.escrow(name, secret, controller=True)
    face.say(f"kept in secrets/{name}.age; `metal power status {server}` tries it")


def _change(
    ctx: click.Context, servers: tuple[str, ...], how: "How", *, force: bool, yes: bool
) -> None:
    from metal.controller.rehearsing import refuse_unreturning
    from metal.controller.remote import change_power, named, refuse_in_use

    face = ctx.ensure_object(Face)
    workspace = face.open()
    names = named(workspace, servers)
    if not force:
        refuse_in_use(workspace, names)
        for line in refuse_unreturning(workspace, names):
            face.say(line)
    consent(face, f"{MEANING[how]}: {', '.join(names)}", yes=yes)
    _tell_errands(face, [n for n in names if _by_hand(workspace, n)])
    with face.progress() as progress:
        results = change_power(workspace, names, how, progress)
    _report(ctx, face, results)


def consent(face: Face, what: str, *, yes: bool) -> None:
    """Return when a person wants it; Refused otherwise."""
    from metal.model.errors import Refused

    if yes:
        return
    if not face.interactive:
        raise Refused(
            f"nobody can be asked whether to go on: {what}", mend="--yes goes on without asking"
        )
    typed = click.prompt(f"{what}. Type yes to go on", default="", show_default=False, err=True)
    if typed.strip().lower() != "yes":
        raise Refused("nothing was done: consent was not given")


def _by_hand(workspace: Any, server: str) -> bool:
    return bool(workspace.inventory.servers[server].power.driver == "manual")


def _tell_errands(face: Face, names: list[str]) -> None:
    if names:
        face.say(f"a person must switch {', '.join(names)}: `metal power waiting` or `metal tui`")
        face.say("tells them what to press; this waits for their answer")


def _report(ctx: click.Context, face: Face, results: "list[Switched]") -> None:
    from metal.cli.complaints import complain
    from metal.cli.render.power import power_lines
    from metal.cli.screen import width

    face.show(power_lines(results, width()), results)
    complain(face, results)
    ctx.exit(max((r.exit_code for r in results), default=0))
