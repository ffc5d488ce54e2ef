"""One boot of the live system, as steps of a durable operation: open the job, boot, follow, leave.

A flow makes one `LiveSession` and calls its methods in their order. Killed anywhere and run again
it goes on: a machine that took its job is never power-cycled any more, only waited for.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

from metal.drivers.ports import Bmc, PowerSwitch
from metal.live.hearing import Hearing
from metal.model.base import Frozen
from metal.model.errors import Failed, MetalError
from metal.operations.jobs import TAKEN, Job
from metal.operations.run import Run
from metal.operations.store import Store
from metal.operations.switching import Switching

AWAY = 30 * 24 * 3600.0
"""Seconds that nobody may run the operation before a wait for the machine is given up."""
BMC_TRIES = 5
SILENT = "it fell silent"
START = "its start"
"""Before the first phase: the machine has its job, and nothing was tested yet."""


@dataclass(frozen=True)
class Patience:
    """How long each part may take, in seconds, and how often it is looked at."""

    boot: float = 900
    """From power-on to the job: big servers test their memory first, and download 80 MB."""
    boots: int = 3
    """How often the machine is told to boot from the network before it is given up."""
    silence: float = 300
    """Without a sign of life, after which the machine is taken for hung."""
    phase: float = 900
    """Added to what a phase should take before it is taken for stuck."""
    poll: float = 2.0

    @classmethod
    def at_pace(cls, poll: float) -> "Patience":
        """Where a fleet is polled faster than by default, time itself runs faster (a lab)."""
        pace = min(1.0, poll / cls.poll)
        names = [f.name for f in fields(cls) if f.name not in ("boots", "poll")]
        return cls(**{name: pace * getattr(cls, name) for name in names}, poll=poll)


@dataclass(frozen=True)
class LivePorts:
    """What a session acts through."""

    store: Store
    bmc: Callable[[str], Bmc]
    """Logs in to a server's BMC; the session closes it."""
    image: Callable[[str], None]
    """Builds the live system for a server where there is none."""
    power: Callable[[str], Switching]
    """What switches a server: its BMC, a plug, a person."""
    listening: Callable[[], bool]
    """Whether a boot service hears what the machine says, now."""
    patience: Patience = Patience()


class Ended(Frozen):
    """How the job ended."""

    ok: bool
    why: str = ""
    died_in: str | None = None
    """The phase in which the machine fell silent, or stuck."""
    unheard: bool = False
    """Nobody knows how: for a time nobody listened, and it said nothing afterwards."""


class LiveSession:
    def __init__(self, run: Run, server: str, ports: LivePorts) -> None:
        self.run, self.name, self.ports = run, server, ports
        self.patience, self.power = ports.patience, ports.power(server)

    def start(self, macs: tuple[str, ...], uuid: str | None, body: dict[str, Any]) -> str:
        """The machine has taken its job; the power it had before. Failed when it does not."""
        run, jobs = self.run, self.ports.store.jobs
        before = self._switch("power before", lambda switch: switch.power())
        run.progress(0.0, "looking for the live system")
        run.step("have the live system", lambda: self.ports.image(self.name), tries=3, backoff=2)
        run.step("open the job", lambda: jobs.open(self.name, macs, uuid, body, run.id))
        self._hearing = Hearing(self._job(), self.ports.listening)
        for attempt in range(1, self.patience.boots + 1):
            again = f" ({attempt})" if attempt > 1 else ""
            run.progress(0.01, "booting from the network" + again)
            self._boot(again)
            said = run.wait(
                "wait for the live system" + again,
                self._taken_or_silence(),
                seconds=AWAY,
                every=self.patience.poll,
            )
            if said == "taken":
                return str(before)
        raise Failed(
            f"it was booted {self.patience.boots} times and did not fetch its job",
            where=self.name,
            mend="does it boot from the network, through a card of "
            f"{', '.join(macs)}, and does it reach the boot service? Then "
            f"metal run cancel {run.id}, and the same command again",
        )

    def follow(
        self, name: str, *, until: str | None, limit: Callable[[str], float]
    ) -> Ended | None:
        """How the job ended; None once it came to the phase `until`, or past it.

        `limit`: phase → seconds that it may take, apart from the patience.
        """
        said = self.run.wait(
            name, self._ended_or_silence(until, limit), seconds=AWAY, every=self.patience.poll
        )
        return None if said == "there" else Ended.model_validate(said)

    def leave(self, before: str) -> None:
        """The power as it was before; a machine that was on boots its disk."""
        self.run.step("close the job", lambda: self.ports.store.jobs.close(self.run.id))
        self._switch("power off afterwards", lambda switch: switch.ensure_power("off"))
        if before == "on":
            self._switch("power on again", lambda switch: switch.ensure_power("on"))

    # ── power ───────────────────────────────────────────────────────────────────────────────

    def _switch(
        self, name: str, act: Callable[[PowerSwitch], Any], unless: Callable[[], bool] | None = None
    ) -> Any:
        why = "a system from the network works on it: it must boot that, by its boot menu if "
        why += "need be"
        unless = unless or (lambda: False)
        return self.power.step(self.run, name, act, why=why, unless=unless, tries=BMC_TRIES)

    def _boot(self, again: str) -> None:
        """Hands off a machine that took its job: it is at work."""
        self._switch("power off" + again, self._off, self._taken)
        network = "boot from the network once" + again
        self.run.step(network, self._from_network, tries=BMC_TRIES)
        self._switch("power on" + again, lambda switch: switch.ensure_power("on"), self._taken)

    def _taken(self) -> bool:
        return self._job().taken

    def _off(self, switch: PowerSwitch) -> None:
        """A plug takes the BMC's power, too: what to boot from is told before."""
        if self.power.driver == "fence":
            with suppress(MetalError):
                self._tell_network()
        switch.ensure_power("off")

    def _from_network(self) -> None:
        """Where there is no BMC to tell, the firmware's own order (or a person) decides."""
        if self._taken():
            return
        if self.power.driver == "bmc":
            self._tell_network()
        elif self.power.driver == "manual":
            with suppress(MetalError):
                self._tell_network()

    def _tell_network(self) -> None:
        bmc = self.ports.bmc(self.name)
        try:
            bmc.ensure_boot_once("network")
        finally:
            bmc.close()

    # ── looking ─────────────────────────────────────────────────────────────────────────────

    def _job(self) -> Job:
        job = self.ports.store.jobs.of(self.run.id)
        assert job is not None, "the job was opened"
        return job

    def _taken_or_silence(self) -> Callable[[], str | None]:
        """Counted in looks, so that time in which nobody ran this does not count."""
        quiet, last = 0, -1

        def ready() -> str | None:
            nonlocal quiet, last
            job = self._job()
            self._hearing.look(job)
            if job.taken:
                return "taken"
            quiet, last = (quiet + 1 if job.beats == last else 0), job.beats
            return "silence" if quiet * self.patience.poll > self.patience.boot else None

        return ready

    def _ended_or_silence(
        self, until: str | None, limit: Callable[[str], float]
    ) -> Callable[[], Any]:
        def ready() -> Any:
            job, hearing = self._job(), self._hearing
            if job.ended is not None:
                why = str(job.ended.get("why", ""))
                return Ended(ok=job.ended.get("ok") is True, why=why).model_dump()
            if until == job.phase:
                return "there"
            if hearing.look(job):
                self.run.progress(0.02 + 0.95 * job.fraction, f"{job.phase} {job.text}".strip())
            ended = self._given_up(job, limit(job.phase))
            return ended and ended.model_dump()

        return ready

    def _given_up(self, job: Job, limit: float) -> Ended | None:
        """None as long as there is hope. `limit`: seconds that its phase may take."""
        hearing, poll, patience = self._hearing, self.patience.poll, self.patience
        where = START if job.phase == TAKEN else job.phase
        if hearing.quiet * poll > patience.silence:
            if not hearing.heard:
                return Ended(ok=False, why=hearing.gap(job), unheard=True)
            return Ended(ok=False, why=SILENT, died_in=where)
        if hearing.heard and hearing.stuck * poll > limit + patience.phase:
            return Ended(ok=False, why="it came no further", died_in=where)
        return None
