"""`metal cluster leave`: a server that runs is taken out of its cluster."""

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb

RECIPE = """\
Its Ceph data moves to the others (which takes as long as it takes), its OSDs, monitor and manager
are removed, it is shut down and proven off, the others forget it, and their firewall lets its
addresses in no more. It stands alone in the inventory afterwards; before it is used again it is
installed anew."""


@click.command("leave", cls=Verb)
@click.argument("server", shell_complete=servers)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(face: Face, server: str, yes: bool) -> None:
    """Take SERVER, which runs and is empty, out of its cluster for good.

    Refused while it has guests, while the cluster is not well, and where Ceph or the quorum could
    not do without it.
    """
    from metal.cli.asking import agreed
    from metal.controller.ageing import leave_cluster, may_leave

    workspace = face.open()
    may_leave(workspace, server)
    agreed(face, RECIPE, f"take {server} out of its cluster", yes=yes)
    face.resumable = f"`metal cluster leave {server}` goes on where it stopped"
    with face.progress() as progress:
        done = leave_cluster(workspace, server, progress)
    face.show([f"{server} is out of its cluster and off"], done)
