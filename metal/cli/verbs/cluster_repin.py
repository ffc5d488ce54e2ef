"""`metal cluster repin`: trust another certificate of a node's API."""

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
    """Trust another certificate of a Proxmox node, vouched for by its cluster or by you.

    After a renewal (pvenode acme, pvecm updatecerts) the other nodes of its cluster say which one
    it is now: that needs nobody. Where none of them does, compare it yourself: pvenode cert info.
    """
    from metal.cli.asking import compared
    from metal.controller.node_pins import repin

    def agreed(old: str | None, new: str) -> bool:
        mend = "read it at the machine (pvenode cert info), give it with --fingerprint"
        return compared(face, server, old, new, fingerprint, mend)

    done = repin(face.open(), server, agreed, expected=fingerprint)
    by = f", vouched for by {done.by}" if done.by else ""
    said = f"is pinned now{by}" if done.changed else "was pinned already"
    face.show([f"{server}: {done.new} {said}"], done)
