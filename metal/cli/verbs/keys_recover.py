"""`metal keys recover`: the keys themselves, when everything else is gone."""

from pathlib import Path

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.opening import identity_option, opener, shares_option


@click.command("recover", cls=Verb)
@click.argument("server", shell_complete=servers)
@identity_option
@shares_option
@click.option(
    "--headers",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write the escrowed headers of its disks there, as DIR/UUID.",
)
@click.option(
    "--root", is_flag=True, help="Instead print its root's password, root@pam in Proxmox."
)
@click.pass_context
def command(
    ctx: click.Context,
    server: str,
    identity: Path | None,
    shares: Path | None,
    headers: Path | None,
    root: bool,
) -> None:
    """Print every key of SERVER's disk that is escrowed, the likeliest first.

    Needs secrets/ and one administrator's private key, or enough of the recovery shares; neither
    the controller nor the inventory. A header is put back with
    `cryptsetup luksHeaderRestore DEVICE --header-backup-file DIR/UUID`.
    """
    from metal.cli.render.keys import found_lines
    from metal.controller.keyring import escrow_in, find, headers_of, root_of, workspace_folder

    face = ctx.ensure_object(Face)
    escrow = escrow_in(workspace_folder(face.folder))
    key = opener(face, identity, shares)
    found = (root_of if root else find)(escrow, server, key)
    written = headers_of(escrow, server, key) if headers else {}
    for uuid, image in written.items():
        assert headers is not None
        face.write_secret(headers / uuid, image)
        face.say(f"the header of disk {uuid} is in {headers / uuid}")
    rows = [{"what": one.what, "file": str(one.file), "key": one.key} for one in found]
    face.show(found_lines(found), rows)
    ctx.exit(0 if any(one.key for one in found) else 3)
