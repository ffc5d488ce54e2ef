"""`metal boot`: what a server boots from next, once."""

from typing import Any

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.command("boot", cls=Verb)
@click.argument("server", shell_complete=servers)
@click.option(
    "--from",
    "device",
    type=click.Choice(["network", "http", "media", "disk"]),
    required=True,
    help="PXE, UEFI HTTP boot, virtual media, or its disk.",
)
@click.option("--mode", type=click.Choice(["bios", "uefi"]), help="As it is, when not given.")
@click.option("--now", is_flag=True, help="Restart it hard, so that it boots from there at once.")
@click.option("--force", is_flag=True, help="With --now, although something depends on it.")
@click.option("--yes", "-y", is_flag=True, help="With --now: do not ask.")
@click.pass_obj
def command(
    face: Face, server: str, device: Any, mode: Any, now: bool, force: bool, yes: bool
) -> None:
    """Let SERVER's next boot alone be from there; read back from its BMC."""
    from metal.cli.verbs.power import consent
    from metal.controller.remote import boot_once, named, refuse_in_use, restart

    workspace = face.open()
    (name,) = named(workspace, (server,))
    if now and not force:
        refuse_in_use(workspace, [name])
    if now:
        consent(
            face, f"restart {name} hard (what runs there is lost), to boot from {device}", yes=yes
        )
    taken = boot_once(workspace, name, device, mode)
    if now:
        restart(workspace, name)
    how = "is booting" if now else "boots next"
    said = f"{name} {how} from {taken.device}"
    face.show(
        [f"{said} ({taken.mode or 'mode not told'}), as its BMC read back"],
        {"server": name, "device": taken.device, "mode": taken.mode, "restarted": now},
    )
