"""`metal bmc repin`: trust another certificate of a BMC."""

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.fingerprints import Sha256
from metal.cli.lazy import Verb


@click.command("repin", cls=Verb)
@click.argument("server", shell_complete=servers)
@click.option(
    "--fingerprint",
    type=Sha256(),
    metavar="SHA256",
    help="What it must be, as read at the machine itself: then nobody is asked.",
)
@click.pass_obj
def command(face: Face, server: str, fingerprint: str | None) -> None:
    """Trust another certificate of a BMC, after you compared it.

    A BMC whose certificate changed gets no password from metal: somebody may sit in between.
    If you know why it changed (new firmware, a new board, a factory reset), read the SHA-256
    fingerprint at the machine itself or from a network you trust, and compare.
    """
    from metal.cli.asking import compared
    from metal.controller.repinning import repin

    def agreed(old: str | None, new: str) -> bool:
        mend = "read it at the machine and give it with --fingerprint"
        return compared(face, server, old, new, fingerprint, mend)

    done = repin(face.open(), server, agreed, expected=fingerprint)
    said = "is pinned now" if done.changed else "was pinned already"
    face.show([f"{server}: {done.new} {said}"], done)
