"""`metal cluster upgrade`: all packages of a cluster's servers, one server after the other."""

import click

from metal.cli.complete import clusters
from metal.cli.face import Face
from metal.cli.lazy import Verb

RECIPE = """\
Each of its servers in turn: see that all others are well, let HA and metal empty it, tell Ceph
that it comes back, upgrade its packages, restart it, wait until it is back and Ceph is healthy,
and take it in again. At the first doubt it stops there and touches no other server."""


@click.command("upgrade", cls=Verb)
@click.argument("cluster", shell_complete=clusters)
@click.option("--check", is_flag=True, help="Only run Proxmox's own pve8to9 on each server.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(face: Face, cluster: str, check: bool, yes: bool) -> None:
    """Upgrade the packages of CLUSTER's servers, one server after the other, VMs running on.

    Stops at the first doubt: a server that does not come back, a Ceph that is not healthy again.
    The same command goes on from there. A server whose disk must be unlocked waits for that.

    With --check the list of what stands in the way from Proxmox 8 to 9: nothing is changed.
    """
    from metal.cli.asking import agreed
    from metal.cli.render.ageing import checklist_lines, versions_lines
    from metal.cli.screen import width
    from metal.controller.ageing import checklist, may_upgrade, upgrade_cluster
    from metal.model.errors import Failed

    workspace = face.open()
    if check:
        told = checklist(workspace, cluster)
        face.show(checklist_lines(told, width()), told)
        if any(found.fail for found in told.values()):
            raise Failed("something stands in the way", where=cluster, mend="mend what FAIL says")
        return
    may_upgrade(workspace, cluster)
    agreed(face, RECIPE, f"upgrade {cluster}", yes=yes)
    face.resumable = f"`metal cluster upgrade {cluster}` goes on where it stopped"
    with face.progress() as progress:
        done = upgrade_cluster(workspace, cluster, progress)
    face.show(versions_lines(done["versions"]), done)
