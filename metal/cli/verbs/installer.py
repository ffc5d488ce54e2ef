"""`metal installer`: the Debian installer that servers boot."""

from typing import TYPE_CHECKING, Any

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb

if TYPE_CHECKING:
    from metal.controller.installers import Shown


@click.group("installer")
def command() -> None:
    """The Debian installer that servers boot: checked against Debian's signatures, and pinned."""


@command.command("show", cls=Verb)
@click.pass_obj
def show(face: Face) -> None:
    """Which one is pinned, and whether it is kept here."""
    from metal.controller.installers import installers

    _show(face, installers(face.open()))


@command.command("pin", cls=Verb)
@click.argument("release", nargs=-1, type=click.Choice(["bookworm", "trixie"]))
@click.option("--site", metavar="NAME", help="Whose mirror to ask first.  [default: the first]")
@click.pass_obj
def pin(face: Face, release: tuple[str, ...], site: str | None) -> None:
    """Pin what the mirror has now, by default for the releases that are in use.

    Kernel, initrd and all components that an install needs are checked against Debian's
    signatures, fetched, and written down in installer.lock: commit it. An install pins by itself
    where nothing is pinned, and otherwise uses what is, whatever became of the mirror.
    """
    from metal.controller.installers import pin as pin_them

    with face.progress() as progress:
        progress.begin("installer", "pin the installer")
        shown = pin_them(face.open(), release, site)
        progress.end("installer", True, "")
    _show(face, shown)


def _show(face: Face, shown: "list[Shown]") -> None:
    lines = [line for one in shown for line in _lines(one)]
    rows = [_row(one) for one in shown]
    face.show(lines or ["none is pinned yet: `metal installer pin`"], rows, rows)


def _lines(one: "Shown") -> list[str]:
    pinned = one.pinned
    size = sum(udeb.size for udeb in pinned.udebs) / 1e6
    kept = "kept here" if one.kept else "not kept here: fetched again when it is needed"
    return [
        f"{one.suite}  Debian {pinned.debian} of {pinned.released:%Y-%m-%d}, "
        f"Linux {pinned.kernel}, {len(pinned.udebs)} components ({size:.1f} MB), {kept}",
        *(f"  {note}" for note in pinned.notes),
    ]


def _row(one: "Shown") -> dict[str, Any]:
    return {"release": one.suite, "kept": one.kept, **one.pinned.model_dump(mode="json")}
