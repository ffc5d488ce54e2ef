"""`metal bmc capture`: a machine as a file, for a bug report or a rehearsal."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.numbers import Finite

if TYPE_CHECKING:
    from metal.controller.workspace import Workspace
    from metal.drivers.redfish_session import RedfishSession

HTTPS = 443


@click.command("capture", cls=Verb)
@click.argument("target", metavar="SERVER|ADDRESS[:PORT]", shell_complete=servers)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to.  [default: ADDRESS.json]",
)
@click.option(
    "--anonymous",
    is_flag=True,
    help="Made-up serials, tags, MACs, WWNs, UUIDs, addresses, and names of hosts and people "
    "that a property names; a name that only a text tells stays.",
)
@click.option(
    "--minutes",
    type=Finite(min=0, min_open=True, max=120),
    default=20.0,
    help="At most; some BMCs need ten.  [default: 20]",
)
@click.option(
    "--credentials",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="user:password; only you may read it. Not needed for a server that is enrolled.",
)
@click.pass_obj
def command(
    face: Face,
    target: str,
    out: Path | None,
    anonymous: bool,
    minutes: float,
    credentials: Path | None,
) -> None:
    """Write what a BMC tells into a file, secrets taken out.

    Passwords, keys, hashes and SNMP communities are replaced before anything is written. Serve
    the file with `metal lab bmc --tree FILE`, or add it to a bug report.
    """
    from metal.drivers.pseudonyms import anonymous as renamed
    from metal.drivers.redfish_capture import capture

    session, address = _open(face, target, credentials)
    try:
        with face.progress() as progress:
            progress.begin(address, f"capture {address}")
            tree = capture(
                session,
                seconds=minutes * 60,
                seen=lambda n: progress.advance(address, min(0.95, n / 1000), f"{n} resources"),
            )
            progress.end(address, True, f"{len(tree)} resources")
    finally:
        session.logout()
    file = out or Path(f"{address.replace(':', '-')}.json")
    _write(file, json.dumps(renamed(tree) if anonymous else tree, indent=1) + "\n")
    face.show([f"{len(tree)} resources in {file}"], {"file": str(file), "resources": len(tree)})


def _open(face: Face, target: str, file: Path | None) -> "tuple[RedfishSession, str]":
    """Logged in: with the escrowed password for a server's name, else with what is given."""
    from metal.cli.credentials import credentials
    from metal.drivers.redfish_session import RedfishSession
    from metal.enroll.handover import split_address
    from metal.model.errors import BadInput, MetalError

    try:
        workspace = face.open()
        target = _known_as(workspace, target)
        server = workspace.inventory.servers.get(target)
    except BadInput:
        server = None
    if server:
        access = server.bmc
        ours = workspace.secrets.reveal(f"bmc/{target}") is not None
        address, port, pin = access.address, access.port or HTTPS, access.fingerprint
    else:
        address, told = split_address(target)
        port, pin, ours = told or HTTPS, None, False
    given = () if ours else credentials([file] if file else [], [target])[:1]
    session = RedfishSession(address, port, pin, 60)
    try:
        if ours:
            workspace.opened(target, lambda kept: session.login(access.user, kept))
        for user, password, _ in given:
            session.login(user, password)
    except MetalError:
        session.logout()
        raise
    return session, address


def _known_as(workspace: "Workspace", target: str) -> str:
    """The name of the enrolled server that has that address: only our password opens it now."""
    for name, server in workspace.inventory.servers.items():
        at = server.bmc
        named = target in (at.address, f"{at.address}:{at.port or HTTPS}")
        if named and workspace.secrets.reveal(f"bmc/{name}"):
            return name
    return target


def _write(file: Path, text: str) -> None:
    """New, whole, and nobody else's to read: even scrubbed it tells a lot of a machine."""
    from metal.model.errors import BadInput

    temp = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(text)
        temp.replace(file)
    except OSError as error:
        raise BadInput(
            f"cannot be written: {error.strerror}", where=str(file), mend="name another with --out"
        ) from None
