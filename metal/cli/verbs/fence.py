"""`metal fence`: prove a lost server off, by its switch or by a person's word."""

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.verbs.power import consent


@click.command("fence", cls=Verb)
@click.argument("server", shell_complete=servers)
@click.option(
    "--i-have-pulled-the-plug",
    "pulled",
    is_flag=True,
    help="Switch nothing: record your word that you cut its power with your own hands. It counts "
    "for an hour, and only while what switches it is silent.",
)
@click.option("--force", is_flag=True, help="Although its cluster does not say that it is lost.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(face: Face, server: str, pulled: bool, force: bool, yes: bool) -> None:
    """Switch SERVER off and read it back three times; then what it held restarts elsewhere.

    Refused while its cluster sees it online. Where its BMC or its PDU is dead too, nothing can
    prove it off but you: pull its plugs, then say so with --i-have-pulled-the-plug.
    """
    from metal.controller.remote import named

    workspace = face.open()
    named(workspace, (server,))
    said = _take_word(face, server, yes=yes) if pulled else _fence(face, server, force, yes=yes)
    face.say(said)
    face.say("`metal watch --act` restarts elsewhere what it held; `metal release` ends it")


def _fence(face: Face, server: str, force: bool, *, yes: bool) -> str:
    from metal.controller.fencing import fence, refuse_healthy

    workspace = face.open()
    if not force:
        refuse_healthy(workspace, server)
    consent(face, f"{server} is switched off hard", yes=yes)
    proof = fence(workspace, server)
    return f"{server} is off: {', '.join(proof.readings)} read back from {proof.by}"


def _take_word(face: Face, server: str, *, yes: bool) -> str:
    from metal.controller.errands import say_off
    from metal.controller.powering import moment, place

    workspace = face.open()
    where = place(workspace, server)
    consent(face, f"all power cords of {where} are pulled, and you saw it go dark", yes=yes)
    word = say_off(workspace, server)
    return f"recorded: {word.by} cut the power of {server} at {moment(word.at)}"
