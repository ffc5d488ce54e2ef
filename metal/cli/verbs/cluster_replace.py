"""`metal cluster replace`: another server in a dead one's place."""

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.command("replace", cls=Verb)
@click.argument("old", shell_complete=servers)
@click.argument("new", required=False, shell_complete=servers)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(face: Face, old: str, new: str | None, yes: bool) -> None:
    """Put NEW in the place of OLD, a dead server of a cluster; the first one of it included.

    Without NEW it is a new machine under the old one's name: it is enrolled and installed like
    any other, and `metal apply` lets it join. Refused while its cluster sees OLD online, and
    while guests wait for it that HA does not restart. Shows the recipe for this cluster first;
    OLD is proven off before anything is forgotten.
    """
    from metal.cli.asking import agreed
    from metal.cli.render.ageing import recipe_lines
    from metal.cli.screen import width
    from metal.controller.ageing import may_replace, replace_server
    from metal.controller.recipe import recipe

    workspace, heir = face.open(), new or old
    cluster = may_replace(workspace, old, heir)
    steps = recipe(workspace, cluster, old, heir)
    by = heir if heir != old else "a new machine of its name"
    agreed(face, "\n".join(recipe_lines(steps, width())), f"replace {old} by {by}", yes=yes)
    face.resumable = f"`metal cluster replace {old} {heir}` goes on where it stopped"
    with face.progress() as progress:
        done = replace_server(workspace, old, heir, progress)
    then = "`metal plan` and `metal apply` let it join"
    if heir == old:
        then = f"`metal enroll {old}`, then {then}"
    face.show([f"{cluster} has forgotten {old}; {heir} has its place: {then}"], done)
