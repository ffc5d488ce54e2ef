"""`metal keys pin`: trust a host key that a person read where nobody can stand in between."""

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.command("pin", cls=Verb)
@click.argument("server", shell_complete=servers)
@click.argument("key", metavar="KEY")
@click.option(
    "--initramfs", is_flag=True, help="Of the dropbear that waits for the disk's key at boot."
)
@click.pass_context
def command(ctx: click.Context, server: str, key: str, initramfs: bool) -> None:
    """Pin KEY ("ssh-ed25519 AAAA…") as the SSH host key by which SERVER is known.

    Read it at the server's console, never over the network: `cat
    /etc/ssh/ssh_host_ed25519_key.pub`, or for --initramfs `dropbearkey -y -f
    /etc/dropbear/initramfs/dropbear_ed25519_host_key`. Keys are sent to whoever has it.
    A gateway is called SITE-gateway1 or SITE-gateway2, a name server as its VM.
    """
    from metal.controller.routing import gateway_names
    from metal.drivers.host_keys import Door
    from metal.inventory.mistakes import refuse_unknown
    from metal.network.zones import name_servers

    face = ctx.ensure_object(Face)
    workspace = face.open()
    inventory = workspace.inventory
    known = [*inventory.servers, *gateway_names(inventory), *name_servers(inventory)]
    refuse_unknown(server, known, "server, gateway or name server")
    door: Door = "initramfs" if initramfs else "system"
    plain = " ".join(key.split()[:2])
    before = workspace.host_keys.of(server, door)
    workspace.host_keys.pin(server, door, [plain])
    face.say(f"{server}: {'; '.join(before) or 'none'} was pinned before")
    face.show([f"{server} {door} {plain}"], {"server": server, "door": door, "key": plain})
