"""`metal network`: what gateways, name servers and the mesh are told."""

import click

from metal.cli.lazy import LazyGroup

COMMANDS = {
    "render": ("metal.cli.verbs.network_render", "Write every engine's configuration."),
    "apply": (
        "metal.cli.verbs.network_apply",
        "Give it to gateways and VMs, proven or taken back.",
    ),
    "check": ("metal.cli.verbs.network_check", "Ask the engines whether they would take it."),
    "ipv6": ("metal.cli.verbs.network_ipv6", "Show the IPv6 plan, and changes of a prefix."),
    "key": ("metal.cli.verbs.network_key", "Make a site's key in the mesh."),
}


@click.group("network", cls=LazyGroup, lazy=COMMANDS)
def command() -> None:
    """What gateways, name servers and the mesh are told: rendered, compared, checked."""
