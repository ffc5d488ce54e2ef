"""One IPMI command and its answer as bytes, over pyghmi's untyped commands."""

from typing import Any

from pyghmi.exceptions import IpmiException

from metal.model.errors import Failed

NO_PRIVILEGE = 0xD4


def ask(command: Any, netfn: int, number: int, *data: int) -> bytes:
    """The answer's data. Raises pyghmi's IpmiException with its completion code (5.2)."""
    answer = command.xraw_command(netfn=netfn, command=number, data=data)
    return bytes(answer["data"])


def ask_if_known(command: Any, netfn: int, number: int, *data: int) -> bytes | None:
    """None where the BMC does not know the command, or not to this user."""
    try:
        return ask(command, netfn, number, *data)
    except IpmiException:
        return None


def still_there(command: Any) -> None:
    """Raises Silent unless it answers Get Device ID, which every BMC does (20.1): one that leaves
    out a single command is not gone."""
    ask(command, 6, 1)


def refusal(error: IpmiException, where: str) -> Failed:
    """What a completion code other than 0 means to a person."""
    if error.ipmicode == NO_PRIVILEGE:
        return Failed(
            "the account may not do that",
            where=where,
            mend="give the account the administrator's privilege in the BMC's web page",
        )
    return Failed(f"the BMC refused it: {error}", where=where)
