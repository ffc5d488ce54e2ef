"""`metal cluster`: what concerns a Proxmox cluster as a whole."""

import click

from metal.cli.lazy import LazyGroup

COMMANDS = {
    "form": ("metal.cli.verbs.cluster_form", "Make installed servers one cluster."),
    "adopt": ("metal.cli.verbs.cluster_adopt", "Take a running cluster into the inventory."),
    "upgrade": ("metal.cli.verbs.cluster_upgrade", "Upgrade packages, server after server."),
    "replace": ("metal.cli.verbs.cluster_replace", "Put another server in a dead one's place."),
    "leave": ("metal.cli.verbs.cluster_leave", "Take a server out of its cluster for good."),
    "repin": ("metal.cli.verbs.cluster_repin", "Trust another certificate of a node."),
}


@click.group("cluster", cls=LazyGroup, lazy=COMMANDS)
def command() -> None:
    """Proxmox clusters as a whole: form, adopt, upgrade, mend."""
