"""`metal cluster adopt`: take a running cluster into the inventory."""

from pathlib import Path

import click

from metal.cli.complete import sites
from metal.cli.face import Face
from metal.cli.fingerprints import Sha256
from metal.cli.lazy import Verb


@click.command("adopt", cls=Verb)
@click.argument("url", metavar="https://NODE:8006")
@click.option("--name", help="What to call it here.  [default: as Proxmox does]")
@click.option("--site", shell_complete=sites, help="Where it stands.  [default: by its addresses]")
@click.option(
    "--credentials",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A file with root@pam:PASSWORD or a token, USER@REALM!ID=SECRET; only you may read it.",
)
@click.option(
    "--fingerprint",
    type=Sha256(),
    metavar="SHA256",
    help="Of the node's certificate, as read at the machine: then nobody is asked about it.",
)
@click.option("--dry-run", is_flag=True, help="Only read and show: nothing is written anywhere.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask, of its certificate either.")
@click.pass_obj
def command(
    face: Face,
    url: str,
    name: str | None,
    site: str | None,
    file: Path | None,
    fingerprint: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Take a running Proxmox cluster into the inventory, through one of its nodes.

    Reads nodes, storages, Ceph, VMs and HA rules, shows what would be written, and writes it
    after you agreed, comments kept. The cluster itself stays as it is: `metal plan` is empty
    afterwards, and plans, drains and heals it from then on. Again later it shows what changed.

    The login comes from --credentials, from METAL_PVE_TOKEN or METAL_PVE_PASSWORD (root@pam's),
    or from a prompt. With root's password metal makes itself a user, a role and a token that may
    only do what metal does, and keeps that instead of the password.
    """
    from metal.cli.asking import agreed
    from metal.cli.pve_login import another_may_use, credential, trusted
    from metal.cli.render.adopt import adopted_lines, proposed_lines
    from metal.cli.screen import width
    from metal.controller.adopting import Adopting
    from metal.model.errors import Refused

    workspace = face.open()
    adopting = Adopting(workspace, url)
    shows = adopting.shown(fingerprint)
    trusted(face, adopting.address, shows, known=bool(fingerprint) or adopting.known or yes)
    login = credential(face, file)
    face.say(f"reading the cluster through {adopting.address}")
    found = adopting.read(login)
    adoption, proposed = adopting.proposed(found, name=name, site=site)
    taken = adopting.taken(adoption.cluster, login)
    if taken:
        face.say(another_may_use(taken))
    if dry_run:
        face.show(proposed_lines(proposed, width()), proposed)
        return
    if taken:
        agreed(face, "", f"make the token {taken} anew", yes=yes)
    if not yes:
        for line in proposed_lines(proposed, width()):
            face.say(line)
        if not face.interactive:
            raise Refused(
                "nobody can be asked whether to write this",
                mend="--yes writes it, --dry-run only shows it",
            )
        answer = click.prompt("type yes to write it", default="", show_default=False, err=True)
        if answer.strip().lower() != "yes":
            raise Refused("nothing was written: consent was not given")
    done = adopting.write(found, adoption, login)
    face.show(adopted_lines(done, width()), done)
