"""A VM goes from one cluster to another: a durable operation, in which it never runs twice.

The old one is out of HA and off its node's start-up before anything is sent; the new one is
started by us only while the old one is seen stopped; the old one is removed last. Where it does
not come over, HA and its rules have it back as it was, and it runs as it did.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from metal.drivers.ports import Crosses
from metal.model.base import Frozen
from metal.model.errors import Failed, MetalError, Refused
from metal.model.hypervisor import HaPlace, Holding, Landing
from metal.operations.run import CodeChanged, Run

VERSION = 2
TRIES = 4
BEFORE, PLACE = "see what it is", "see what HA has of it"
"""Steps whose results tell what it was."""
SENT = "migrate"
"""The lock of what is being sent, and of what is left of it where it was."""
Way = Literal["live", "copy"]
"""live: Proxmox sends it while it runs. copy: shut down, backed up, restored, started."""


class Crossing(Frozen):
    """Chosen beforehand, shown, and kept with the operation."""

    vm: str
    vmid: int
    source: str
    """Cluster."""
    target: str
    server: str
    """Of the target, where it comes in."""
    storage: str
    way: Way
    shared: tuple[str, str] = ("", "")
    """The storage for backups that both reach, as each calls it."""
    limit_mbit: int = 0
    """That it may take of the way; 0: all it gets."""

    @property
    def limit_kib(self) -> int:
        return self.limit_mbit * 1_000_000 // 8 // 1024


@dataclass(frozen=True)
class CrossingPorts:
    source: Crosses
    target: Crosses
    landing: Callable[[int], Landing]
    """For so many GiB: where it comes in, with a token of this moment."""
    write_down: Callable[[], None] = lambda: None
    """The inventory names the cluster where it is now. Safe to repeat."""
    every: float = 1.0
    arriving: float = 14 * 86_400.0
    """Seconds for all its disks to come over."""


def cross(run: Run, order: Crossing, ports: CrossingPorts) -> dict[str, Any]:
    return _Crossing(run, order, ports).perform()


def give_back(source: Crosses, target: Crosses, vmid: int, was: Holding, place: HaPlace) -> bool:
    """The VM is in HA of the source as it was, and runs if it ran; whether that was to be done:
    not while it is being sent, nor once the target has it whole."""
    held = source.holding(vmid)
    if held is None or held.lock or _is_whole(target, vmid):
        return False
    source.ensure_given_back(vmid, place, onboot=was.onboot)
    if was.state == "running" and held.state == "stopped":
        source.ensure_started(vmid)
    return True


def _is_whole(target: Crosses, vmid: int) -> bool:
    there = target.holding(vmid)
    return there is not None and not there.lock


class _Crossing:
    def __init__(self, run: Run, order: Crossing, ports: CrossingPorts) -> None:
        self._run, self._order, self._ports = run, order, ports
        self._source, self._target, self._vmid = ports.source, ports.target, order.vmid

    def perform(self) -> dict[str, Any]:
        order = self._order
        was = Holding.model_validate(self._step(0.0, BEFORE, self._look))
        place = self._step(0.05, PLACE, self._place)
        ran = was.state == "running"
        try:
            self._arrive(self._send if order.way == "live" else self._copy)
        except (Failed, Refused) as error:
            if isinstance(error, CodeChanged):
                raise
            self._give_back(was, HaPlace.model_validate(place))
            raise
        if ran and order.way == "copy":
            self._step(0.7, f"start it in {order.target}", self._start)
        self._step(0.8, f"see it in {order.target}", partial(self._arrived, ran))
        keep = partial(self._target.ensure_kept, self._vmid, was.ha, onboot=was.onboot, running=ran)
        self._step(0.85, f"let {order.target} keep it running", keep)
        self._step(0.9, f"remove what is left in {order.source}", partial(self._remove, ran))
        self._step(0.95, "write it down", self._ports.write_down)
        return {"vm": order.vm, "cluster": order.target, "server": order.server}

    def _step(self, fraction: float, what: str, act: Callable[[], Any]) -> Any:
        self._run.progress(fraction, f"{self._order.vm}: {what}")
        return self._run.step(what, act, tries=TRIES, backoff=self._ports.every)

    def _look(self) -> dict[str, Any]:
        held = self._source.holding(self._vmid)
        if held is None:
            raise Refused(f"there is no VM {self._vmid}", where=self._order.source)
        if held.state == "unknown":
            raise Failed("whether it runs is unknown", where=f"{self._order.vm} on {held.node}")
        if self._target.holding(self._vmid) is not None:
            raise Refused(
                f"{self._order.target} has a VM {self._vmid} already",
                where=self._order.vm,
                mend="give one of them another number, or remove it if nobody needs it",
            )
        return held.model_dump(mode="json")

    def _place(self) -> dict[str, Any]:
        return self._source.ha_place(self._vmid).model_dump(mode="json")

    def _give_back(self, was: Holding, place: HaPlace) -> None:
        """It has not come over: whoever looks into it may take days."""
        try:
            give_back(self._source, self._target, self._vmid, was, place)
        except MetalError as error:
            self._run.say(f"HA of {self._order.source} does not have it back: {error.what}")

    # ── the way over ────────────────────────────────────────────────────────────────────────

    def _arrive(self, bring: Callable[[Holding], None]) -> None:
        """Until the target has it whole; brought where nothing is on its way."""
        self._run.progress(0.2, f"{self._order.vm}: to {self._order.server}")
        self._run.wait(
            f"it is in {self._order.target}",
            partial(self._brought, bring),
            seconds=self._ports.arriving,
            every=self._ports.every,
            late="it has not come over",
        )

    def _brought(self, bring: Callable[[Holding], None]) -> bool | None:
        held = self._source.holding(self._vmid)
        if held is not None and held.lock:
            return self._sent(held)
        if self._whole():
            return True
        if held is None:
            raise Failed(f"it is in neither cluster: {self._vmid}", where=self._order.vm)
        if (there := self._target.holding(self._vmid)) is not None and there.lock:
            raise Failed(
                f"a part of it is left in {self._order.target}, locked ({there.lock}), and nothing "
                "is being sent",
                where=there.node,
                mend=f"there: qm unlock {self._vmid} && qm destroy {self._vmid}; the same command "
                f"goes on then. It is as it was in {self._order.source}",
            )
        self._source.ensure_released(self._vmid)
        bring(held)
        return True if self._whole() else None

    def _sent(self, held: Holding) -> bool | None:
        """Proxmox leaves its lock on what it has sent. While it is being sent, perhaps for us
        before we were killed, the new one has none for a moment: its task counts, and first."""
        if held.lock != SENT or self._source.is_sending(self._vmid):
            return None
        if self._whole():
            return True
        raise Failed(
            f"it is locked ({held.lock}), nothing is being sent, and {self._order.target} has it "
            "not whole",
            where=held.node,
            mend=f"there: qm unlock {self._vmid}; the same command goes on then",
        )

    def _whole(self) -> bool:
        return _is_whole(self._target, self._vmid)

    def _send(self, held: Holding) -> None:
        landing = self._ports.landing(held.disk_gib)
        self._source.send(self._vmid, landing, running=held.state == "running")

    def _copy(self, held: Holding) -> None:
        """Backed up anew each time: it may have run since the last one."""
        ours, theirs = self._order.shared
        self._run.say(f"{self._order.vm}: shut it down and back it up")
        self._source.ensure_shut_down(self._vmid)
        backup = self._source.back_up(self._vmid, ours, self._order.limit_kib)
        self._run.say(f"{self._order.vm}: restore it on {self._order.server}")
        self._target.restore(self._vmid, self._ports.landing(held.disk_gib), theirs, backup)

    def _start(self) -> None:
        """Only while the old one is seen stopped."""
        self._old_is_stopped()
        self._target.ensure_started(self._vmid)

    # ── the end ─────────────────────────────────────────────────────────────────────────────

    def _arrived(self, ran: bool) -> None:
        there = self._target.holding(self._vmid)
        if there is None or (ran and there.state != "running"):
            state = "not there" if there is None else there.state
            raise Failed(
                f"it should run in {self._order.target}, and is {state}",
                where=self._order.vm,
                mend=f"its task log there says why; what it was is still in {self._order.source}",
            )
        self._old_is_stopped()

    def _old_is_stopped(self) -> None:
        held = self._source.holding(self._vmid)
        if held is not None and held.state != "stopped":
            raise Refused(
                f"the old one is {held.state} on {held.node}",
                where=self._order.vm,
                mend="stop one of the two at once, the one with the older data; then look which",
            )

    def _remove(self, ran: bool) -> None:
        """Nothing is removed of which the target has not the whole."""
        self._arrived(ran)
        if self._order.way == "live":
            self._source.ensure_sent_removed(self._vmid)
        else:
            self._source.ensure_removed(self._vmid)
