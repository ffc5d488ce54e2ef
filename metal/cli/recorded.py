"""`--world FILE`: every command that plans can do so for a recorded world, without a network."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from metal.cli.face import Face
    from metal.controller.workspace import Workspace
    from metal.model.world import World

F = TypeVar("F", bound=Callable[..., Any])


def world_option(command: F) -> F:
    return click.option(
        "--world",
        "recorded",
        type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
        metavar="FILE",
        help="Plan for the world that `metal look -o json` recorded; nobody is asked.",
    )(command)


def only_planned(recorded: Path | None, *, acts: bool, mend: str) -> None:
    """BadInput where a recorded world would be acted on: what is done is done to what is there."""
    from metal.model.errors import BadInput

    if recorded is not None and acts:
        raise BadInput("a recorded world is only planned for", mend=mend)


def see(face: "Face", workspace: "Workspace", recorded: Path | None) -> "World":
    """The recorded world, or a look now, with progress."""
    from metal.controller.worlds import world_for

    with face.progress() as progress:
        return world_for(workspace, recorded, progress=progress)
