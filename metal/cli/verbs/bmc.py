"""`metal bmc`: what concerns the controllers themselves and not the servers behind them."""

import click

from metal.cli.lazy import LazyGroup

COMMANDS = {
    "audit": ("metal.cli.verbs.bmc_audit", "Find what is wrong with how BMCs are set up."),
    "prove": ("metal.cli.verbs.bmc_prove", "Try out what BMCs can really do."),
    "rotate": ("metal.cli.verbs.bmc_rotate", "Give BMCs new passwords."),
    "repin": ("metal.cli.verbs.bmc_repin", "Trust another certificate of a BMC."),
    "capture": ("metal.cli.verbs.bmc_capture", "Write what a BMC tells into a file."),
    "read": ("metal.cli.verbs.bmc_read", "Say what outputs of ipmitool tell."),
}


@click.group("bmc", cls=LazyGroup, lazy=COMMANDS)
def command() -> None:
    """The controllers themselves: how they are set up, what they can do, their passwords."""
