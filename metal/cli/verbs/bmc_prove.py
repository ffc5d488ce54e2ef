"""`metal bmc prove`: try out anew what BMCs can do."""

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.command("prove", cls=Verb)
@click.argument("names", nargs=-1, metavar="[SERVER]...", shell_complete=servers)
@click.option("--all", "everything", is_flag=True, help="Every server that is enrolled.")
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...], everything: bool) -> None:
    """Try out what BMCs can really do, as enrolment did once: after new firmware, say.

    Each way to boot is set, read back and set back; nothing is switched on or off. Of a server
    that runs a system of ours only what needs no change is asked.
    """
    from metal.cli.complaints import complain
    from metal.cli.render.bmc import proven_lines
    from metal.cli.screen import width
    from metal.controller.auditing import prove_all
    from metal.controller.bmcs import chosen, left_out

    face = ctx.ensure_object(Face)
    workspace = face.open()
    groups = chosen(workspace, names, everything=everything)
    face.resumable = "the same command sets back what was tried out"
    with face.progress() as progress:
        proven = prove_all(workspace, groups, progress)
    face.show(proven_lines(proven, width()), proven)
    if everything and (left := left_out(workspace)):
        face.say(left)
    complain(face, proven)
    ctx.exit(max((one.exit_code for one in proven), default=0))
