"""`metal media`: the image that installs a server, and what is in its virtual drives."""

from pathlib import Path

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb


class _Media(click.Group):
    """`metal media alba1` is `metal media make alba1`: the errand that everybody has."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["make", *args]
        return super().resolve_command(ctx, args)


@click.group("media", cls=_Media)
def command() -> None:
    """Make the image that installs a server; fill its virtual drive, or empty it.

    `metal media SERVER --out FILE` is short for `metal media make SERVER --out FILE`.
    """


@command.command("make", cls=Verb)
@click.argument("server", shell_complete=servers)
@click.option(
    "--out",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write it.  [default: SERVER.iso here]",
)
@click.pass_obj
def make(face: Face, server: str, file: Path | None) -> None:
    """Write the disc and stick image that installs SERVER.

    Its address and the token of its open install are in it, and the authority of this
    workspace's boot service: it trusts no other. It boots by BIOS and UEFI, and without DHCP.
    """
    from metal.controller.media import make_image
    from metal.controller.remote import named

    workspace = face.open()
    named(workspace, (server,))
    out = file or Path(f"{server}.iso")
    made = make_image(workspace, server, out)
    lines = [
        f"{out}: {made.bytes / 2**20:.0f} MiB; installs {server} at {made.address} from {made.url}",
        f"on a stick: dd if={out} of=/dev/STICK bs=4M conv=fsync",
    ]
    face.show(lines, made.model_dump(mode="json"))


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
