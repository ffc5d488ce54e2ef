"""`metal tui`: the fleet full screen."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb

if TYPE_CHECKING:
    from metal.tui.source import Source


@click.command("tui", cls=Verb)
@click.option("--text", is_flag=True, help="Print the fleet screen as plain text and end.")
@click.option(
    "--screenshot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.svg",
    help="Write the fleet screen as a picture and end.",
)
@click.option(
    "--recorded",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.json",
    help="Show a recorded snapshot instead of this workspace.",
)
@click.pass_obj
def command(face: Face, text: bool, screenshot: Path | None, recorded: Path | None) -> None:
    """The fleet full screen, driven by keys; ? lists them.

    It changes nothing; but it tells a person at the rack what to press, and takes their answer.
    """
    source = _source(face, recorded)
    if screenshot is not None:
        from metal.tui.text import fleet_as_svg

        face.write(screenshot, fleet_as_svg(source.snapshot()))
        face.say(f"written to {screenshot}")
    elif text:
        from metal.cli.screen import width
        from metal.tui.text import fleet_as_text

        click.echo(fleet_as_text(source.snapshot(), width()), nl=False)
    else:
        from metal.tui.start import start

        start(source, colours=not face.no_color)


def _source(face: Face, recorded: Path | None) -> "Source":
    if recorded is not None:
        return _read(recorded)
    from metal.tui.store import StoreSource

    return StoreSource(face.open())


def _read(file: Path) -> "Source":
    from pydantic import ValidationError

    from metal.model.errors import BadInput
    from metal.tui.source import Recorded, Snapshot

    try:
        return Recorded(Snapshot.model_validate_json(file.read_bytes()))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]["msg"]
        raise BadInput(f"is no recorded snapshot: {first}", where=str(file)) from None
