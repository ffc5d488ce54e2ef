"""How metal logs in to a Proxmox cluster that somebody else made."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metal.cli.credentials import private_lines
from metal.cli.face import Face
from metal.model.errors import BadInput, Refused

if TYPE_CHECKING:
    from metal.controller.adopting import Credential

ROOT, TOKEN, PASSWORD = "root@pam", "METAL_PVE_TOKEN", "METAL_PVE_PASSWORD"
WANTED = f"{ROOT}:PASSWORD, or a token USER@REALM!ID=SECRET"


def trusted(face: Face, where: str, fingerprint: str, *, known: bool) -> None:
    """Show the certificate; ask about it unless it is known. Refused without consent: root's
    password goes to nobody else."""
    face.say(f"its certificate is {fingerprint}")
    if known:
        return
    if not face.interactive:
        raise Refused(
            "nobody can be asked whether that is the right certificate: no credential was sent",
            where=where,
            mend="compare it on the node itself (pvenode cert info) and give it: --fingerprint "
            "SHA256",
        )
    face.say("compare it: pvenode cert info, on the node itself")
    answer = click.prompt("type yes if it is the right one", default="", err=True)
    if answer.strip().lower() != "yes":
        raise Refused("no credential was sent: the certificate was not agreed to")


def another_may_use(token: str) -> str:
    return (
        f"there is a token {token} already, and it is not kept here: another workspace may log in "
        "with it, and could not any more. If so, give this fleet another name below [fleet] in "
        "inventory.toml, and adopt again"
    )


def credential(face: Face, file: Path | None) -> "Credential":
    """From the file, the environment or a prompt, never from the arguments."""
    from metal.controller.adopting import Credential

    if file is not None:
        lines = private_lines(file)
        if len(lines) != 1:
            raise BadInput("must hold one line", where=str(file), mend=WANTED)
        return _parsed(lines[0][1].strip(), f"{file}:{lines[0][0]}")
    if token := os.environ.get(TOKEN):
        return _parsed(token, TOKEN)
    if password := os.environ.get(PASSWORD):
        return Credential(password=password)
    if not face.interactive:
        raise BadInput(
            "no login for the cluster",
            mend=f"--credentials FILE holding {WANTED}; or set {TOKEN} or {PASSWORD}",
        )
    text = click.prompt(f"password of {ROOT}, or a token", hide_input=True, err=True)
    return _parsed(text, "prompt") if _is_token(text) else Credential(password=text)


def _is_token(text: str) -> bool:
    ident, equals, secret = text.partition("=")
    user, mark, name = ident.partition("!")
    return bool(equals and secret and mark and name and "@" in user and ":" not in ident)


def _parsed(text: str, where: str) -> "Credential":
    from metal.controller.adopting import Credential

    if _is_token(text):
        return Credential(token=text)
    user, colon, password = text.partition(":")
    if not (colon and password):
        raise BadInput("is no login", where=where, mend=WANTED)  # the text may be the secret
    if user != ROOT:
        raise BadInput(
            f"only {ROOT} can make metal a token",
            where=where,
            mend=f"give {ROOT}'s password, or a token that is there already",
        )
    return Credential(password=password)
