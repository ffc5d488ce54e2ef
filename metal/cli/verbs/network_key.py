"""`metal network key`: a site's key in the mesh."""

from pathlib import Path

import click

from metal.cli.complete import sites
from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.command("key", cls=Verb)
@click.argument("site", shell_complete=sites)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    required=True,
    help="Where the private key goes, to be carried to the site's gateways.",
)
@click.option("--anew", is_flag=True, help="Make another, although the site has one.")
@click.pass_obj
def command(face: Face, site: str, out: Path, anew: bool) -> None:
    """Make a site's key in the mesh, and print the public half for the inventory.

    The private half is escrowed for all administrators and written to FILE (0600): copy it to
    /etc/wireguard/mesh.key of both gateways, then remove it. It is in no file that metal renders.
    An administrator's own key is made where it stays: wg genkey | tee mesh.key | wg pubkey
    """
    from metal.controller.mesh_keys import make_site_key

    public = make_site_key(face.open(), site, out, anew=anew)
    face.say(f"the private key is in {out}: for /etc/wireguard/mesh.key of the gateways")
    face.show([f'sites.{site}.gateways: wireguard = "{public}"'], {"site": site, "public": public})
