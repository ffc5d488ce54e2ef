"""Make a server boot from the network until it takes its preseed; from then on hands off it."""

from collections.abc import Callable
from contextlib import suppress

from metal.drivers.ports import PowerSwitch
from metal.install.ports import InstallPorts, has_reached
from metal.model.errors import Failed, MetalError
from metal.model.plan import InstallServer
from metal.operations.run import Run

AWAY = 30 * 24 * 3600.0
"""Seconds that nobody may run the operation before a wait for a boot is given up."""
BMC_TRIES = 5


class NetworkBoot:
    """The steps, in their order. What is decided rests on the steps' results."""

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
            self.run.progress(0.05, "booting from the network" + again)
            self._switch("power off" + again, self._off)
            network = self._unless_begun(self._from_network)
            self.run.step("boot from the network once" + again, network, tries=BMC_TRIES)
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
            mend=f"does it boot from the network, through the card {self.action.mac}, and does it "
            f"reach the boot service? Then metal run cancel {self.run.id}, and plan it anew",
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
            if self._reached("preseed"):
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
        why = (
            "Debian is installed on it: it must boot from the network, by its boot menu if need be"
        )
        begun = lambda: self._reached("preseed")  # noqa: E731
        self.ports.power.step(self.run, name, act, why=why, unless=begun, tries=BMC_TRIES)

    def _off(self, switch: PowerSwitch) -> None:
        """A plug takes the BMC's power, too: what to boot from is told before."""
        if self.ports.power.driver == "fence":
            with suppress(MetalError):
                self._tell_network()
        switch.ensure_power("off")

    def _from_network(self) -> None:
        """Where there is no BMC to tell, the firmware's own order (or a person) decides."""
        driver = self.ports.power.driver
        if driver == "bmc":
            self._tell_network()
        elif driver == "manual":
            with suppress(MetalError):
                self._tell_network()

    def _tell_network(self) -> None:
        bmc = self.ports.bmc(self.name)
        try:
            bmc.ensure_boot_once("network")
        finally:
            bmc.close()

    def _unless_begun(self, act: Callable[[], None]) -> Callable[[], None]:
        def guarded() -> None:
            if not self._reached("preseed"):
                act()

        return guarded

    def _reached(self, phase: str) -> bool:
        return has_reached(self.ports.store, self.name, self.run.id, phase)
