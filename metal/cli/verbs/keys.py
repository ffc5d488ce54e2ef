"""`metal keys`: the keys of disks, who can open them, and what if they are lost."""

import click

from metal.cli.lazy import LazyGroup

COMMANDS = {
    "show": ("metal.cli.verbs.keys_show", "Who can open each server's key, and what is kept."),
    "verify": ("metal.cli.verbs.keys_verify", "Open the escrow and try the keys on the disks."),
    "rotate": ("metal.cli.verbs.keys_rotate", "Give disks new keys."),
    "recover": ("metal.cli.verbs.keys_recover", "Print a disk's key, with no controller at hand."),
    "drill": ("metal.cli.verbs.keys_drill", "Rehearse recovery on copies of the headers."),
    "rehearse": ("metal.cli.verbs.keys_rehearse", "Whether servers would come back from a reboot."),
    "graph": (
        "metal.cli.verbs.keys_graph",
        "Who opens whose disk, and the order after a blackout.",
    ),
    "reseal": ("metal.cli.verbs.keys_reseal", "Encrypt every secret to today's administrators."),
    "pin": ("metal.cli.verbs.keys_pin", "Pin a server's SSH host key as read at its console."),
    "shares": ("metal.cli.verbs.keys_shares", "The recovery key in shares on paper."),
}


@click.group("keys", cls=LazyGroup, lazy=COMMANDS)
def command() -> None:
    """The keys of disks: escrowed to every administrator, tried, replaced, recovered."""
