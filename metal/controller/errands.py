"""What people are asked to do at the rack, and their answers."""

import getpass

from metal.controller.powering import BY, power_switch
from metal.controller.workspace import Workspace
from metal.model.base import Frozen
from metal.model.errors import MetalError, Refused
from metal.model.facts import Power
from metal.operations.requests import Answer, Request
from metal.operations.words import Word


class Errand(Frozen):
    """A request that waits for somebody. `asked`: seconds since the epoch."""

    request: int
    server: str
    wanted: Power
    what: str
    why: str
    asked: float


def errands(workspace: Workspace) -> list[Errand]:
    """Those that nobody answered yet, oldest first."""
    return [_errand(request) for request in workspace.store.requests.waiting()]


def answer(workspace: Workspace, request: int, said: Answer, note: str = "") -> None:
    """Record who says so: the user of this process."""
    workspace.store.requests.answer(request, said, getpass.getuser(), note)


def answer_for(
    workspace: Workspace, server: str, wanted: Power | None, said: Answer, note: str = ""
) -> Errand:
    """Answer what is asked for `server`; Refused when that is not `wanted`, or nothing is."""
    waiting = workspace.store.requests.waiting(server)
    if not waiting:
        raise Refused(
            "nobody is asked to do anything to it", where=server, mend="metal power waiting"
        )
    first = waiting[0]
    if wanted not in (None, first.wanted):
        raise Refused(
            f"it was asked to be switched {first.wanted}, not {wanted}",
            where=server,
            mend=f"{first.what}; then metal power confirm {server} {first.wanted}",
        )
    answer(workspace, first.id, said, note)
    return _errand(first)


def say_off(workspace: Workspace, server: str, note: str = "") -> Word:
    """Record, unasked, that a person has cut its power; who waits for that is answered.

    Refused where whatever switches it can be read: then nobody's word is needed, and what reads
    on is on, so it may be another server whose plug was pulled.
    """
    read = _read(workspace, server)
    if read == "on":
        raise Refused(
            f"{BY[workspace.inventory.servers[server].power.driver]} reads power on",
            where=server,
            mend="was it the right server's plug? `metal server show` tells its rack and unit",
        )
    word = workspace.store.words.say_off(server, getpass.getuser(), note)
    for request in workspace.store.requests.waiting(server):
        if request.wanted == "off":
            answer(workspace, request.id, "done", note)
    return word


def _read(workspace: Workspace, server: str) -> Power:
    """By what switches it, or by its BMC beside a person; silence is unknown."""
    workspace.store.words.withdraw(server)  # an older one is no reading
    switch = power_switch(workspace, server, key="", why="")
    try:
        return switch.power()
    except MetalError:
        return "unknown"
    finally:
        switch.close()


def _errand(request: Request) -> Errand:
    return Errand(
        request=request.id,
        server=request.server,
        wanted=request.wanted,
        what=request.what,
        why=request.why,
        asked=request.asked,
    )
