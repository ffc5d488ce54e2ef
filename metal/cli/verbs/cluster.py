"""`metal cluster`: what concerns a Proxmox cluster as a whole."""

import click

from metal.cli.lazy import LazyGroup

COMMANDS = {
    "form": ("metal.cli.verbs.cluster_form", "Make installed servers one cluster."),
    "adopt": ("metal.cli.verbs.cluster_adopt", "Take a running cluster into the inventory."),
}


@click.group("cluster", cls=LazyGroup, lazy=COMMANDS)
def command() -> None:
    """Proxmox clusters as a whole: form one, or take over one that runs."""
