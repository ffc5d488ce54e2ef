"""`metal alarm`: who is called when something is wrong, and whether that gets through."""

from typing import TextIO

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb


@click.group("alarm")
def command() -> None:
    """Where alarms go: the hooks [alarms.NAME] of the inventory."""


@command.command("test", cls=Verb)
@click.argument("names", metavar="[NAME...]", nargs=-1)
@click.pass_context
def test(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Send a test through each hook, or through those that are named, now."""
    from metal.controller.alarming import try_hooks

    face = ctx.ensure_object(Face)
    results = try_hooks(face.open(), names)
    face.show([f"{name}: {why or 'taken'}" for name, why in results.items()], results)
    ctx.exit(1 if any(results.values()) else 0)


@command.command("secret", cls=Verb)
@click.argument("name")
@click.option(
    "--from", "file", type=click.File(), metavar="FILE", help="Read it from there; - is stdin."
)
@click.pass_obj
def secret(face: Face, name: str, file: TextIO | None) -> None:
    """Keep a webhook's URL or a Matrix token in escrow. It is asked for, never an argument."""
    from metal.controller.alarming import keep_secret
    from metal.model.errors import BadInput

    workspace = face.open()
    if file is not None:
        text = file.read(LARGEST)
    elif face.interactive:
        text = click.prompt("URL or token", hide_input=True, err=True)
    else:
        raise BadInput("nobody can be asked for the secret", mend="--from FILE")
    keep_secret(workspace, name, text.strip())
    face.say(f"kept in escrow for {name}; `metal alarm test {name}` tries it")


@command.command("rules", cls=Verb)
@click.pass_obj
def rules(face: Face) -> None:
    """Print alert rules for Prometheus.

    They carry the paces and limits of this inventory's [watch], and belong to `rule_files:` of
    prometheus.yml. `metal watch --metrics 9464` is what it scrapes.
    """
    from metal.heal.rules import rules as made
    from metal.heal.rules import rules_text

    inventory = face.open().inventory
    found = [rule.model_dump() for rule in made(inventory.watch)]
    text = rules_text(inventory.fleet.name, inventory.watch)
    face.show(text.splitlines(), found, found)


LARGEST = 65536
