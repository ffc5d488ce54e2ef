"""`metal unlock`: servers that wait for their disk's key at boot get it."""

from pathlib import Path

import click

from metal.cli.complete import servers, sites
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.numbers import Finite
from metal.cli.opening import identity_option, opener, shares_option


@click.command("unlock", cls=Verb)
@click.argument("names", nargs=-1, metavar="[SERVER]...", shell_complete=servers)
@click.option("--site", metavar="NAME", shell_complete=sites, help="Every server of a site.")
@identity_option
@shares_option
@click.option(
    "--patience",
    type=Finite(min=1),
    default=600,
    show_default=True,
    help="Seconds for a server to come up once it was unlocked.",
)
@click.option(
    "--grace",
    type=Finite(min=0),
    default=180,
    show_default=True,
    help="Seconds that one which should open itself is waited for.",
)
@click.pass_context
def command(
    ctx: click.Context,
    names: tuple[str, ...],
    site: str | None,
    identity: Path | None,
    shares: Path | None,
    patience: float,
    grace: float,
) -> None:
    """Give servers that wait in their initramfs the key of their disk, and see them come up.

    Each is known by its pinned host key. Your passphrase is asked for once at most, however many
    servers there are; those whose key the controller holds need none. --site goes in dependency
    order: what serves keys to others first, as `metal keys graph` prints it.
    """
    from metal.cli.render.keys import verdict_lines
    from metal.cli.screen import width
    from metal.controller.disk_keys import agent_of
    from metal.controller.keyring import chosen_here
    from metal.controller.unlocking import Unlocking
    from metal.inventory.mistakes import suggest
    from metal.model.errors import BadInput

    face = ctx.ensure_object(Face)
    workspace = face.open()
    inventory = workspace.inventory
    if bool(names) == bool(site):
        raise BadInput("name servers, or a site with --site", mend="metal keys graph")
    if site and site not in inventory.sites:
        mend = suggest(site, inventory.sites, "site")
        raise BadInput(f"there is no site {site}", where="inventory.toml", mend=mend)
    mine = [n for n, s in inventory.servers.items() if s.site == site]
    wanted = mine if site else chosen_here(workspace.secrets, inventory, names)[0]
    held = all(workspace.secrets.holds(f"disk/{name}") for name in wanted)
    key = None if held and not (identity or shares) else opener(face, identity, shares)
    with agent_of(key) as agent, face.progress() as progress:
        unlocking = Unlocking(workspace, key, agent, progress, patience=patience, grace=grace)
        told = unlocking.site(site) if site else unlocking.servers(wanted)
    face.show(verdict_lines(told, width()), told)
    ctx.exit(max((one.exit_code for one in told), default=0))
