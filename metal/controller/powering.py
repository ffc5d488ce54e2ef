"""Each server's power switch, whatever it is: its BMC, a plug, or a person at the rack."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from metal.controller.workspace import Workspace
from metal.drivers.ports import PowerSwitch
from metal.drivers.power.manual import Said
from metal.drivers.power.testified import Testified, Testimony
from metal.model.errors import MetalError, Unreachable
from metal.model.facts import Power
from metal.operations.requests import Requests
from metal.operations.switching import Switching

PRESS = {
    "off": "press the power button of {place} until its light is off "
    "(if it stays on, pull its power cords)",
    "on": "press the power button of {place} once, and see that its light comes on",
}


BY = {"bmc": "its BMC", "fence": "its plug", "manual": "a person at the rack"}


def power_switch(workspace: Workspace, server: str, *, key: str, why: str) -> PowerSwitch:
    """The switch that the inventory names, opened when it is first used; the caller closes it.

    `key` and `why` are of the request to a person, where the switch is one.
    """
    by = BY[workspace.inventory.servers[server].power.driver]
    return Testified(
        lambda: _named_switch(workspace, server, key, why), by, _Witness(workspace, server)
    )


def _named_switch(workspace: Workspace, server: str, key: str, why: str) -> PowerSwitch:
    found, pace = workspace.inventory.servers[server], workspace.pace
    if found.power.driver == "fence":
        return pace.minded(found.bmc, _plugs(workspace, server))
    if found.power.driver == "manual":
        from metal.drivers.power.manual import Manual

        asker = _Asker(workspace, server, key, why)
        by_hand = Manual(asker, lambda: read_by_bmc(workspace, server), server)
        return pace.minded(found.bmc, by_hand)
    from metal.drivers.power.by_bmc import BmcSwitch

    return BmcSwitch(workspace.bmc(server))


def _plugs(workspace: Workspace, server: str) -> PowerSwitch:
    """One plug, or all outlets as one. An outlet may have a password of its own."""
    from metal.drivers.power.fence import Fence
    from metal.drivers.power.outlets import Outlets

    common = workspace.secrets.reveal(f"power/{server}")
    plugs = [
        Fence(access, workspace.secrets.reveal(f"power/{server}/{number}") or common)
        for number, access in enumerate(workspace.inventory.servers[server].power.each(), 1)
    ]
    return plugs[0] if len(plugs) == 1 else Outlets(plugs)


def switching(workspace: Workspace, server: str) -> Switching:
    """The same for a flow."""
    return Switching(
        open=lambda key, why: power_switch(workspace, server, key=key, why=why),
        driver=workspace.inventory.servers[server].power.driver,
        every=workspace.inventory.fleet.poll_seconds,
    )


def switch(
    workspace: Workspace,
    server: str,
    wanted: Power,
    why: str,
    stop: threading.Event | None = None,
) -> PowerSwitch:
    """Switch it outside of any operation, and wait for a person as long as it takes.

    Ctrl-C (or `stop`) withdraws the request. Returns the switch that did it, closed.
    """
    pause = stop or threading.Event()
    key = f"metal power {wanted} {server}"
    by_hand = workspace.inventory.servers[server].power.driver == "manual"
    try:
        while True:
            found = power_switch(workspace, server, key=key, why=why)
            try:
                found.ensure_power(wanted)
                return found
            except Unreachable:
                if not by_hand:
                    raise
            finally:
                found.close()
            if pause.wait(workspace.inventory.fleet.poll_seconds):
                raise Unreachable("nobody waited for the answer", where=server)
    finally:
        if by_hand:
            workspace.store.requests.close(key)


def read_by_bmc(workspace: Workspace, server: str) -> Power:
    """What its BMC reads; unknown where it has none that answers."""
    try:
        bmc = workspace.bmc(server)
        try:
            return bmc.power()
        finally:
            bmc.close()
    except MetalError:
        return "unknown"


def read_by_plug(workspace: Workspace, server: str) -> Power:
    """What its plugs read, whatever anybody says; Unreachable where one is silent."""
    plugs = _plugs(workspace, server)
    try:
        return plugs.power()
    finally:
        plugs.close()


def place(workspace: Workspace, server: str) -> str:
    """ "alba1 (rack L2, U10)": what somebody looks for."""
    found = workspace.inventory.servers[server]
    return f"{server} (rack {found.rack}{f', U{found.unit}' if found.unit else ''})"


@dataclass(frozen=True)
class _Witness:
    """metal.drivers.power.testified.Witness through the store."""

    workspace: Workspace
    server: str

    def off(self) -> Testimony | None:
        word = self.workspace.store.words.off(self.server)
        return Testimony(word.by, moment(word.at)) if word else None

    def withdraw(self) -> None:
        self.workspace.store.words.withdraw(self.server)


def moment(seconds: float) -> str:
    """ "2026-11-25 19:01 UTC"."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


@dataclass(frozen=True)
class _Asker:
    """metal.drivers.power.manual.Person through the store."""

    workspace: Workspace
    server: str
    key: str
    why: str

    @property
    def _requests(self) -> Requests:
        return self.workspace.store.requests

    def asked(self) -> bool:
        found = self._requests.find(self.key)
        return found is not None and found.answer is None

    def ask(self, wanted: Power) -> Said | None:
        """A word that was given unasked is an answer, too."""
        if wanted == "off" and (word := self.workspace.store.words.off(self.server)):
            return Said(True, word.by, word.note)
        what = PRESS[wanted].format(place=place(self.workspace, self.server))
        asked = self._requests.ask(self.key, self.server, wanted, what, self.why)
        if asked.answer is None:
            return None
        return Said(asked.answer == "done", asked.answered_by or "somebody", asked.note)

    def ask_anew(self) -> None:
        self._requests.close(self.key)
