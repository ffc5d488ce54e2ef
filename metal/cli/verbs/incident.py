"""`metal incident`: what happened, from the first signal to the last VM."""

from pathlib import Path

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.group("incident")
def command() -> None:
    """What happened: each incident from its first signal to its last VM."""


@command.command("list", cls=Verb)
@click.option("--all", "everything", is_flag=True, help="Those that are over, too.")
@click.pass_obj
def list_(face: Face, everything: bool) -> None:
    """The incidents that are open, oldest first."""
    from metal.cli.render.incident import incident_lines
    from metal.cli.screen import width
    from metal.controller.incidents import list_incidents

    found = list_incidents(face.open(), everything=everything)
    face.show(incident_lines(found, width()), found)


@command.command("show", cls=Verb)
@click.argument("number", type=int)
@click.option(
    "--picture", type=click.Path(path_type=Path), metavar="FILE", help="Also draw it, as SVG."
)
@click.pass_obj
def show(face: Face, number: int, picture: Path | None) -> None:
    """One incident as a timeline: what was seen, decided, done, and who was told."""
    from metal.cli.render.incident import timeline_lines
    from metal.cli.render.incident_picture import draw
    from metal.cli.screen import width
    from metal.controller.incidents import show_incident

    story = show_incident(face.open(), number)
    if picture:
        picture.write_text(draw(story), encoding="utf-8")
        face.say(f"drawn into {picture}")
    face.show(timeline_lines(story, width()), story)
