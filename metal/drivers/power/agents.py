"""Debian's fence agents: which are installed, what each understands, what their words mean.

They are programs /usr/sbin/fence_NAME of ClusterLabs' fence-agents, one for each make of switched
PDU. Interface: FenceAgentAPI.md there; exit codes and texts: its lib/fencing.py.py.
"""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from metal.drivers.commands import Here, Result
from metal.inventory.mistakes import suggest
from metal.model.errors import Failed, MetalError, Refused, Unreachable, WrongPassword

FOLDER = Path("/usr/sbin")
_PARAMETER = re.compile(r'<parameter name="([a-z0-9_]+)"')
_STAMP = re.compile(r"^(?:[0-9-]+ [0-9:,]+ )?(?:ERROR|WARNING)(?::root)?: ?")
_USAGE = "Please use '-h' for usage"


def program(agent: str) -> str:
    """The agent's path; Refused, with what was meant, where it is not installed."""
    path = FOLDER / agent
    if path.exists():
        return str(path)
    here = installed()
    raise Refused(
        f"the fence agent {agent} is not installed",
        where="this machine",
        mend=suggest(agent, here, "fence agent") if here else "apt-get install fence-agents",
    )


def installed() -> list[str]:
    return sorted(path.name for path in FOLDER.glob("fence_*"))


@cache
def parameters(agent: str) -> frozenset[str]:
    """What the agent understands, as its own metadata say."""
    said = Here().run([program(agent), "-o", "metadata"])
    found = frozenset(_PARAMETER.findall(said.out.decode(errors="replace")))
    if not found:
        raise Failed(f"{agent} does not tell its parameters: {complaint(said)}")
    return found


def complaint(result: Result) -> str:
    """Why it did not: the first line it complained with, without time and level."""
    lines = [_STAMP.sub("", line).strip() for line in result.err.splitlines()]
    told = [x for x in lines if x and x != _USAGE and not x.startswith(("Parse error", "Created"))]
    # SNMP's own words come below "Returned 1:".
    told = [x for x in told if not x.startswith("Returned ") or len(told) == 1] or told
    return told[0] if told else f"it ended with {result.code} and said nothing"


def as_error(result: Result, where: str) -> MetalError:
    """What an agent that failed means. Its exit code is 1 whatever happened: the words decide."""
    said = complaint(result)
    for kind, words, mend in _MEANINGS:
        if any(word in said.lower() for word in words):
            return kind(said, where=where, mend=mend)
    return Failed(
        said, where=where, mend="try the agent by hand: its manual page names its options"
    )


_MEANINGS: tuple[tuple[Callable[..., MetalError], tuple[str, ...], str], ...] = (
    (
        WrongPassword,
        ("privileges", "authentication failure", "authorization", "login failed", "access denied"),
        "`metal power password SERVER` keeps the right one",
    ),
    (
        # fence-agents cannot tell a wrong password from a device that is away.
        Unreachable,
        ("unable to connect/login", "timeout", "connection lost", "timed out: ", "no response"),
        "is it there, and are its user, password (or community) and port right?",
    ),
    (Unreachable, ("connection timed out", "unknown host", "no route", "refused"), ""),
    (
        Refused,
        ("you have to", "parse error", "not a valid", "invalid"),
        "correct its `power` in inventory.toml",
    ),
)
