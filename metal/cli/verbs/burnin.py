"""`metal burnin`: test servers hard before they are trusted."""

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.numbers import Finite


@click.command("burnin", cls=Verb)
@click.argument("words", metavar="SERVER...", nargs=-1, required=True, shell_complete=servers)
@click.option(
    "--minutes",
    type=Finite(min=0.5, max=7 * 24 * 60),
    default=60.0,
    metavar="N",
    help="How long: 0.4 memory, 0.25 processors, 0.35 disks.  [default: 60]",
)
@click.option(
    "--overwrite-blank-disks",
    is_flag=True,
    help="Write and read back disks that hold nothing but zeros, and are known by serial number.",
)
@click.pass_context
def command(
    ctx: click.Context, words: tuple[str, ...], minutes: float, overwrite_blank_disks: bool
) -> None:
    """Test servers hard, all side by side, and grade them A to F.

    Boots each once from the network into a small system that runs from memory: memory,
    processors, disks (what they say, a self-test, reading; writing only if allowed), network
    cards, fans and heat. The evidence is kept: `metal server show SERVER`. One that is accepted
    is "tested" from then on. Ends with 1 if one was not.
    """
    from metal.burnin.flow import Wishes
    from metal.cli.complaints import complain
    from metal.cli.render.burnin import worked_lines
    from metal.cli.screen import width
    from metal.controller.live_work import burn_in

    face = ctx.ensure_object(Face)
    face.resumable = "the machines go on alone; the same command follows them again"
    with face.progress() as progress:
        results = burn_in(
            face.open(),
            tuple(dict.fromkeys(words)),
            Wishes(minutes, overwrite_blank_disks),
            progress=progress,
        )
    face.show(worked_lines(results, width()), results)
    complain(face, results)
    ctx.exit(max(r.exit_code for r in results))
