"""What opens the escrow: an administrator's own private key, or the recovery shares on paper."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metal.cli.face import Face
from metal.model.errors import BadInput, Refused

if TYPE_CHECKING:
    from metal.drivers.identities import Identity

Command = Callable[..., Any]


def identity_option(command: Command) -> Command:
    return click.option(
        "-i",
        "--identity",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Your private key: SSH (ed25519, RSA) or of age-keygen.  [default: ~/.ssh/id_ed25519]",
    )(command)


def shares_option(command: Command) -> Command:
    return click.option(
        "--shares",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Shares of the recovery key, one a line; - asks for them, or reads stdin.",
    )(command)


def say_left(face: Face, servers: Sequence[str]) -> None:
    """Whose keys are kept, and who is not looked at."""
    for server in servers:
        face.say(f"{server}: no server of the inventory any more; its key stays in escrow")


def opener(face: Face, identity: Path | None, shares: Path | None = None) -> "Identity":
    """The key that was named, else the usual one. Its passphrase is asked for once."""
    from metal.drivers import identities

    if shares is not None and identity is not None:
        raise BadInput("--identity and --shares are two ways to open the same", mend="give one")
    if shares is not None:
        return _from_shares(face, shares)
    file = identity or identities.usual()
    if file is None:
        raise BadInput(
            "no private key to open the escrow with",
            where="~/.ssh",
            mend="--identity FILE names yours; --shares - asks for the shares on paper",
        )
    return identities.load(file, lambda what: _passphrase(face, what))


def _passphrase(face: Face, what: str) -> str:
    if not face.interactive:
        raise Refused(
            "its passphrase cannot be asked for without a terminal",
            where=what,
            mend="run the command in a terminal",
        )
    answer: str = click.prompt(f"Passphrase of {what}", hide_input=True, err=True)
    return answer


def _from_shares(face: Face, file: Path) -> "Identity":
    from metal.controller.keyring import from_shares

    if str(file) == "-":
        return from_shares(lambda number: _typed(face, number))
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise BadInput("cannot be read as text", where=str(file)) from None
    left = iter([line for line in lines if line.strip() and not line.startswith("#")])
    return from_shares(lambda _number: next(left, None))


def _typed(face: Face, number: int) -> str | None:
    """The next share; an empty line or the end of stdin says that there is no other."""
    if face.interactive:
        face.say(f"Share {number}, all its words on one line:")
    return sys.stdin.readline().strip() or None
