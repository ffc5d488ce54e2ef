"""`metal bmc audit`: what is wrong with how BMCs are set up."""

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.command("audit", cls=Verb)
@click.argument("names", nargs=-1, metavar="[SERVER]...", shell_complete=servers)
@click.option("--all", "everything", is_flag=True, help="Every server that is enrolled.")
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...], everything: bool) -> None:
    """Find what is wrong with how BMCs are set up; changes nothing, tries no password.

    Ends with 0 when nothing is high or critical, with 1 when something is; else with 4 (or 3)
    when a BMC did not answer (or was refused), as nothing is known of it.
    """
    from metal.cli.complaints import complain
    from metal.cli.render.bmc import audit_lines
    from metal.cli.screen import width
    from metal.controller.auditing import audit_all
    from metal.controller.bmcs import chosen, left_out
    from metal.model.findings import at_least

    face = ctx.ensure_object(Face)
    workspace = face.open()
    groups = chosen(workspace, names, everything=everything)
    with face.progress() as progress:
        audited = audit_all(workspace, groups, progress)
    face.show(audit_lines(audited, width()), audited)
    if everything and (left := left_out(workspace)):
        face.say(left)
    complain(face, audited)
    bad = any(at_least(f.severity, "high") for one in audited for f in one.findings)
    ctx.exit(1 if bad else max((one.exit_code for one in audited), default=0))
