"""Install one server: a durable operation. Killed anywhere and run again it ends the same.

The wipe is authorised by the install record and used up when the boot service hands the preseed
out, exactly once. From then on nothing here touches the machine's power: it only waits. What
fails after that needs a new operation, with a new key, for a new wipe.
"""

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields

from metal.drivers.ports import Bmc, HostKeys, PowerSwitch, Secrets
from metal.install.derived import hash_of, token_of
from metal.model.errors import Failed, MetalError, Refused
from metal.model.life import Life, Status
from metal.model.plan import InstallServer
from metal.operations.installs import PHASES, Install
from metal.operations.lease import LeaseLost
from metal.operations.run import Run
from metal.operations.store import Store
from metal.operations.switching import Switching

ALPHABET = "abcdefghjkmnpqrstuvwx23456789"
"""Told apart on paper, and where they are on most keyboards: somebody may have to type it."""
AWAY = 30 * 24 * 3600.0
"""Seconds that nobody may run the operation before a wait for a boot is given up."""
INSTALLABLE = (Life.ENROLLED, Life.TESTED)
BMC_TRIES = 5


@dataclass(frozen=True)
class Patience:
    """How long each phase may take, in seconds, and how often it is looked at."""

    boot: float = 900
    """From power-on to the boot script: big servers test their memory first."""
    preseed: float = 300
    """From the boot script to the preseed: the installer downloads itself and starts."""
    boots: int = 3
    """How often the machine is told to boot from the network before it is given up."""
    partitioned: float = 1800
    base: float = 3 * 3600
    finished: float = 6 * 3600
    up: float = 24 * 3600
    """The first boot may wait until somebody gives the disk its key."""
    poll: float = 2.0

    @classmethod
    def at_pace(cls, poll: float) -> "Patience":
        """For a fleet that is polled every `poll` seconds: where that is faster than the
        default, time itself runs faster (a lab), and every phase gets as much less."""
        pace = min(1.0, poll / cls.poll)
        scaled = {
            f.name: pace * getattr(cls, f.name) for f in fields(cls) if f.name not in _UNPACED
        }
        return cls(**scaled, poll=poll)


_UNPACED = ("boots", "poll")


@dataclass(frozen=True)
class InstallPorts:
    """What the flow acts through."""

    store: Store
    secrets: Secrets
    host_keys: HostKeys
    bmc: Callable[[str], Bmc]
    """Logs in to a server's BMC; the flow closes it."""
    power: Switching
    """What switches the server: its BMC, a plug, a person."""
    fetch: Callable[[], None]
    """Fetches the installer of the action's release from its site's mirror."""
    patience: Patience = Patience()


def install(run: Run, action: InstallServer, ports: InstallPorts) -> None:
    """Take an enrolled server to `installed`; its record says how it went."""
    name = action.server
    try:
        run.step("check", lambda: _check(action, ports))
        ports.store.servers.mark(name, Status.RUNNING, run=run)
        _Install(run, action, ports).perform()
        ports.store.servers.mark(name, Status.DONE, run=run)
    except LeaseLost:
        raise
    except MetalError as error:
        ports.store.servers.mark(name, Status.FAILED, f"install: {error.what}", run=run)
        raise


def _check(action: InstallServer, ports: InstallPorts) -> None:
    record = ports.store.servers.get(action.server)
    if record.life not in INSTALLABLE:
        raise Refused(
            f"it is {record.life}, and only an enrolled or tested server is installed",
            where=action.server,
            mend="make a new plan: `metal plan`",
        )


class _Install:
    """The steps, in their order. What is decided rests on the steps' results."""

    def __init__(self, run: Run, action: InstallServer, ports: InstallPorts) -> None:
        self.run, self.action, self.ports = run, action, ports
        self.name, self.patience = action.server, ports.patience

    def perform(self) -> None:
        run = self.run
        run.progress(0.0, "fetching the installer")
        run.step("fetch the installer", self.ports.fetch, tries=3, backoff=2)
        run.step("forget its old certificate and keys", self._unpin)
        run.step("escrow the keys", self._escrow)
        run.step("open the install", self._open)
        self._boot()
        self._follow()
        run.progress(0.95, "up; putting things away")
        run.step("pin the node", self._pin)
        run.step("forget the disk key", lambda: self.ports.secrets.forget(f"disk/{self.name}"))
        run.step("close the install", lambda: self.ports.store.installs.close(run.id))
        run.step("installed", self._move)

    # ── before anything can be handed out ───────────────────────────────────────────────────

    def _unpin(self) -> None:
        self.ports.store.servers.unpin(self.name, run=self.run)
        self.ports.host_keys.forget(self.name)

    def _escrow(self) -> None:
        """Both secrets are the administrators' before anything on the server depends on them.

        A step killed in here runs again and escrows anew: the install is not open yet, so
        nobody used the first ones.
        """
        for kind in ("disk", "root"):
            self.ports.secrets.escrow(f"{kind}/{self.name}", _new_secret(), controller=True)

    def _open(self) -> None:
        key = self.ports.secrets.reveal(f"disk/{self.name}")
        if key is None:
            raise Failed(
                "the disk key that was escrowed is not held here any more",
                where=self.name,
                mend=f"metal run cancel {self.run.id}, then plan the install anew",
            )
        action = self.action
        self.ports.store.installs.open(
            self.name, action.mac, action.uuid, hash_of(token_of(key)), self.run.id
        )

    # ── making it boot from the network ─────────────────────────────────────────────────────

    def _boot(self) -> None:
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

    # ── waiting for its phases ──────────────────────────────────────────────────────────────

    def _follow(self) -> None:
        for phase, seconds, fraction, saying, late in (
            ("partitioned", self.patience.partitioned, 0.2, "partitioning", "partition its disk"),
            ("base", self.patience.base, 0.3, "installing the base system", "install Debian"),
            ("finished", self.patience.finished, 0.5, "installing packages", "finish"),
        ):
            self._wait_for(phase, seconds, fraction, saying, late)
        self.run.step("pin its SSH keys", self._pin_ssh)
        key = f"come up: was its disk unlocked with the key in secrets/disk/{self.name}.age?"
        self._wait_for("up", self.patience.up, 0.85, "booting from its disk", key)

    def _wait_for(
        self, phase: str, seconds: float, fraction: float, saying: str, late: str
    ) -> None:
        self.run.progress(fraction, saying)
        self.run.wait(
            f"wait for {phase}",
            lambda: phase if self._reached(phase) else None,
            seconds=seconds,
            every=self.patience.poll,
            late=f"after {seconds:g} s it did not {late}",
        )

    def _reached(self, phase: str) -> bool:
        install = self._record()
        return install is not None and PHASES.index(install.phase) >= PHASES.index(phase)

    def _record(self) -> Install | None:
        """This operation's install; an older one of the server does not count."""
        install = self.ports.store.installs.latest(self.name)
        return install if install and install.operation == self.run.id else None

    # ── putting things away ─────────────────────────────────────────────────────────────────

    def _pin_ssh(self) -> None:
        """What the installer told, with a proof, of the keys it made: nothing else is trusted."""
        install = self._record()
        if install is None or "host_key" not in install.details:
            raise Failed(
                "its installer told no SSH host key",
                where=self.name,
                mend="does the workspace have a preseed/ of its own? Compare late.sh.j2 and "
                "metal-up.sh.j2 with the packaged ones",
            )
        self.ports.host_keys.pin(self.name, "system", [install.details["host_key"]])
        self.ports.host_keys.pin(self.name, "initramfs", [install.details["initramfs_key"]])

    def _pin(self) -> None:
        """Trust the certificate that the machine told when it came up: its first contact."""
        install = self._record()
        if install is None or "fingerprint" not in install.details:
            raise Failed(
                "it is up but told no fingerprint of its certificate",
                where=self.name,
                mend="look at /etc/pve/local/pve-ssl.pem on it",
            )
        self.ports.store.servers.pin(self.name, install.details["fingerprint"])

    def _move(self) -> None:
        self.ports.store.servers.move(self.name, Life.INSTALLED, run=self.run)


def _new_secret() -> str:
    """32 characters, some 155 bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(32))
