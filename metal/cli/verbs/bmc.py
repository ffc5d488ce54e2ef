"""`metal bmc`: what concerns the controllers themselves and not the servers behind them."""

import click

from metal.cli.lazy import LazyGroup

COMMANDS = {
    "capture": ("metal.cli.verbs.bmc_capture", "Write what a BMC tells into a file."),
}


@click.group("bmc", cls=LazyGroup, lazy=COMMANDS)
def command() -> None:
    """The controllers themselves: capture what they tell, audit how they are set up."""
