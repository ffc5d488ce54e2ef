"""`metal media`: images in a server's virtual drives."""

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.group("media")
def command() -> None:
    """Put an image into a server's virtual drive, or take it out."""


@command.command("insert", cls=Verb)
@click.argument("server", shell_complete=servers)
@click.argument("url")
@click.pass_obj
def insert(face: Face, server: str, url: str) -> None:
    """Put the image at URL into a virtual drive.

    SERVER's BMC fetches it itself; it is read back.
    """
    from metal.controller.remote import insert_media, named

    workspace = face.open()
    named(workspace, (server,))
    slot = insert_media(workspace, server, url)
    document = {"server": server, "slot": slot, "url": url}
    face.show([f"{server} has it in {slot}; `metal boot {server} --from media` boots it"], document)


@command.command("eject", cls=Verb)
@click.argument("server", shell_complete=servers)
@click.pass_obj
def eject(face: Face, server: str) -> None:
    """Empty SERVER's virtual drives; read back."""
    from metal.controller.remote import eject_media, named

    workspace = face.open()
    named(workspace, (server,))
    eject_media(workspace, server)
    face.show([f"the virtual drives of {server} are empty"], {"server": server, "slot": None})
