"""Make a server boot from the network until it takes its preseed; from then on hands off it."""

from collections.abc import Callable
from contextlib import suppress

from metal.drivers.ports import Bmc, PowerSwitch
from metal.install.ports import InstallPorts, has_reached
from metal.model.errors import Failed, MetalError
from metal.model.plan import InstallServer
from metal.operations.run import Run

AWAY = 30 * 24 * 3600.0
"""Seconds that nobody may run the operation before a wait for a boot is given up."""
BMC_TRIES = 5


class NetworkBoot:
    """The steps, in their order. What is decided rests on the steps' results."""

    source = "the network"
    """What it boots from, in the names of the steps and to people."""
    doubt = "does it boot from the network, through the card {mac}, and does it"
    """The first half of a question to whoever looks after a machine that did not."""

    def __init__(self, run: Run, action: InstallServer, ports: InstallPorts) -> None:
        self.run, self.action, self.ports = run, action, ports
        self.name, self.patience = action.server, ports.patience

    def perform(self) -> None:
        """Boot from the network until the machine takes its preseed, at most `boots` times.

        Firmware forgets its boot order, and an installer that finds the boot service away stops
        at a prompt. As long as the preseed was not taken, booting once more is safe.
        """
        for attempt in range(1, self.patience.boots + 1):
            again = f" ({attempt})" if attempt > 1 else ""
            self.run.progress(0.05, f"booting from {self.source}{again}")
            self._switch("power off" + again, self._off)
            told = self._unless_begun(self._told)
            self.run.step(f"boot from {self.source} once{again}", told, tries=BMC_TRIES)
            self._switch("power on" + again, lambda switch: switch.ensure_power("on"))
            said = self.run.wait(
                "wait for preseed" + again,
                self._preseed_or_silence(attempt),
                seconds=AWAY,
                every=self.patience.poll,
            )
            if said == "preseed":
                return
        raise Failed(
            f"it was booted {self.patience.boots} times and did not take its preseed",
            where=self.name,
            mend=f"{self.doubt.format(mac=self.action.mac)} reach the boot service? "
            f"Then metal run cancel {self.run.id}, and plan it anew",
        )

    def _preseed_or_silence(self, attempt: int) -> Callable[[], str | None]:
        """Answers "preseed" once it was taken, "silence" when it should be booted once more.

        Counted in looks since the last new phase, so that time in which nobody ran this (nor,
        it may be, the boot service) does not count against the machine.
        """
        quiet = 0
        last = ""

        def ready() -> str | None:
            nonlocal quiet, last
            if self.taken():
                return "preseed"
            phase = "script" if self._reached("script") else "opened"
            quiet, last = (quiet + 1 if phase == last else 0), phase
            limit = self.patience.preseed if (phase, attempt) == ("script", 1) else self._whole()
            return "silence" if quiet * self.patience.poll > limit else None

        return ready

    def _whole(self) -> float:
        return self.patience.boot + self.patience.preseed

    def _switch(self, name: str, act: Callable[[PowerSwitch], None]) -> None:
        """Hands off a machine that has its answers: it may be wiping."""
        why = f"Debian is installed on it: it must boot from {self.source}, by its boot menu if "
        why += "need be"
        self.ports.power.step(self.run, name, act, why=why, unless=self.taken, tries=BMC_TRIES)

    def _off(self, switch: PowerSwitch) -> None:
        """A plug takes the BMC's power, too: what to boot from is told before."""
        if self.ports.power.driver == "fence":
            with suppress(MetalError):
                self._tell()
        switch.ensure_power("off")

    def _told(self) -> None:
        """Where there is no BMC to tell, the firmware's own order (or a person) decides."""
        driver = self.ports.power.driver
        if driver == "bmc":
            self._tell()
        elif driver == "manual":
            with suppress(MetalError):
                self._tell()

    def _tell(self) -> None:
        bmc = self.ports.bmc(self.name)
        try:
            self.aim(bmc)
        finally:
            bmc.close()

    def aim(self, bmc: Bmc) -> None:
        bmc.ensure_boot_once("network")

    def _unless_begun(self, act: Callable[[], None]) -> Callable[[], None]:
        def guarded() -> None:
            if not self.taken():
                act()

        return guarded

    def taken(self) -> bool:
        """The preseed was handed out: the wipe is used up."""
        return self._reached("preseed")

    def _reached(self, phase: str) -> bool:
        return has_reached(self.ports.store, self.name, self.run.id, phase)
