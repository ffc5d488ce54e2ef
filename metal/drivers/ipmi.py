"""A BMC that speaks IPMI 2.0: the door to everything it can do.

IPMI tells neither drives nor memory nor network cards: those stay unknown, never zero.
"""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pyghmi.exceptions import IpmiException

from metal.drivers import ipmi_boot, ipmi_news, ipmi_sel, ipmi_users
from metal.drivers.ipmi_ask import ask, refusal
from metal.drivers.ipmi_console import IpmiConsole
from metal.drivers.ipmi_exposure import read_exposure
from metal.drivers.ipmi_facts import read_facts, read_health
from metal.drivers.ipmi_login import Command, log_in, silence
from metal.drivers.ipmi_session import Silent
from metal.drivers.polling import became
from metal.model.errors import Failed, MetalError, NotTaken, Refused, WrongPassword
from metal.model.facts import (
    Account,
    BootDevice,
    BootMode,
    BootOnce,
    Facts,
    HealthReport,
    LogEntry,
    LogMark,
    LogNews,
    Power,
)
from metal.model.findings import Exposure

if TYPE_CHECKING:
    from metal.drivers.ports import Console

T = TypeVar("T")
STALE = 25.0
"""Seconds of rest after which a session is opened anew: BMCs drop it after 60."""
DOWN, UP, SOFT = 0, 1, 5
"""Chassis control, table 28-4."""
PATIENT = 5
"""Times settle: a system needs longer to shut down than a power supply to switch."""
LONGEST = 16
"""Bytes of a password that every BMC keeps; longer ones some cut without a word (I05)."""


class Ipmi:
    """metal.drivers.ports.Bmc over IPMI. Every method may be called from any thread."""

    protocol = "ipmi"
    fingerprint: str | None = None

    def __init__(
        self,
        address: str,
        user: str,
        password: str,
        *,
        port: int = 623,
        cipher_suite: int | None = None,
        timeout: float = 8,
        settle: float = 60,
    ) -> None:
        """Logs in: one try. `timeout` s for an answer, `settle` s for a state to be reached."""
        self.where = f"BMC {address}"
        self._address, self._port = address, port
        self._timeout, self._settle = timeout, settle
        self._lock = threading.RLock()
        self._user, self._password = user, password
        self.cipher_suite = cipher_suite
        self._used = time.monotonic()
        self._command: Command | None = self._log_in(user, password)

    def _log_in(self, user: str, password: str) -> Command:
        command, self.cipher_suite = log_in(
            self.where,
            self._address,
            self._port,
            user,
            password,
            suite=self.cipher_suite,
            timeout=self._timeout,
        )
        return command

    def close(self) -> None:
        with self._lock:
            self._leave()

    def _leave(self) -> None:
        command, self._command = self._command, None
        if command:
            command.ipmi_session.logout()

    # ── Seeing ───────────────────────────────────────────────────────────────────────────────

    def facts(self) -> Facts:
        return self._run(lambda c: read_facts(c, self._address))

    def power(self) -> Power:
        return self._run(_power)

    def health(self) -> HealthReport:
        return self._run(read_health)

    def nodes(self) -> tuple[str, ...]:
        """Always one: IPMI has a BMC for each server."""
        return ("",)

    # ── Power and boot ───────────────────────────────────────────────────────────────────────

    def ensure_power(self, wanted: Power) -> None:
        """Chassis control 0 (down) and 1 (up): hard, and harmless when repeated (28.3)."""
        if wanted not in ("on", "off"):
            raise Refused(f"a machine cannot be switched to {wanted}", where=self.where)
        with self._lock:
            if self.power() == wanted:
                return
            self._raw(0, 2, UP if wanted == "on" else DOWN)
            if not became(lambda: self.power() == wanted, self._settle):
                raise Failed(
                    f"the machine did not go {wanted}, though the BMC said yes",
                    where=self.where,
                    mend="look at its console; a BMC that ignores this often needs a restart",
                )

    def ensure_shut_down(self) -> None:
        """Chassis control 5: as if somebody pressed the button; the system may take its time."""
        with self._lock:
            if self.power() == "off":
                return
            self._raw(0, 2, SOFT)
            if not became(lambda: self.power() == "off", self._settle * PATIENT):
                raise Failed(
                    "the machine did not shut down",
                    where=self.where,
                    mend="what runs on it may ignore the request: look at its console, or switch "
                    "it off hard",
                )

    def cycle(self) -> None:
        """Off and on as two steps: chassis control 2 tells nobody whether it happened."""
        with self._lock:
            self.ensure_power("off")
            self.ensure_power("on")

    def boot_once(self) -> BootOnce | None:
        return self._run(ipmi_boot.boot_once)

    def ensure_boot_once(self, device: BootDevice, mode: BootMode | None = None) -> BootOnce:
        return self._run(lambda c: ipmi_boot.ensure_boot_once(c, self.where, device, mode))

    def ensure_usual_boot(self) -> None:
        """What `ensure_boot_once` set is taken back."""
        self._run(lambda c: ipmi_boot.ensure_usual_boot(c, self.where))

    def ensure_media(self, url: str) -> str:
        raise Refused(
            "IPMI has no virtual drive",
            where=self.where,
            mend="boot it over the network, or from a stick",
        )

    def ensure_no_media(self) -> None:
        """IPMI has no virtual drive that could hold anything."""

    # ── Log, exposure, console ───────────────────────────────────────────────────────────────

    def log(self) -> tuple[LogEntry, ...]:
        return self._run(ipmi_sel.read_log)

    def log_news(self, mark: LogMark | None) -> LogNews:
        return self._run(lambda c: ipmi_news.read_news(c, mark))

    def ensure_log_empty(self) -> None:
        self._run(lambda c: ipmi_sel.ensure_log_empty(c, self.where, self._settle))

    def exposure(self) -> Exposure:
        return self._run(read_exposure)

    def console(self) -> "Console":
        """In a session of its own, so that power and sensors go on meanwhile."""

        def open_() -> Command:
            with self._lock:
                return self._log_in(self._user, self._password)

        return IpmiConsole(self.where, open_)

    # ── Accounts ─────────────────────────────────────────────────────────────────────────────

    def accounts(self) -> tuple[Account, ...]:
        return self._run(ipmi_users.accounts)

    def ensure_account(self, user: str, password: str) -> None:
        """Also proves it by a new log-in, which the session goes on with."""
        if len(password.encode()) > LONGEST:
            raise Refused(
                f"the password is longer than {LONGEST} bytes: some BMCs cut it without a word",
                where=self.where,
                mend="take a shorter one",
            )
        with self._lock:
            if (user, password) == (self._user, self._password):
                return  # this session is the proof
            self._run(lambda c: ipmi_users.write_account(c, user, password))
            try:
                fresh = self._log_in(user, password)
            except WrongPassword as error:
                not_taken = NotTaken(
                    f"the BMC did not take the account {user!r}",
                    where=self.where,
                    mend="its password rules may be stricter; the escrowed password is not in use",
                )
                not_taken.tries = 1
                raise not_taken from error
            self._leave()
            self._command, self._user, self._password = fresh, user, password

    def ensure_locked_out(self, user: str) -> None:
        """`user` can no longer log in: given a password nobody knows, and disabled."""
        with self._lock:
            if user == self._user:
                raise Refused(f"{user!r} is the account of this very session", where=self.where)
            self._run(lambda c: ipmi_users.lock_out(c, user))

    # ── Session ──────────────────────────────────────────────────────────────────────────────

    def _raw(self, netfn: int, command: int, *data: int) -> None:
        self._run(lambda c: ask(c, netfn, command, *data))

    def _run(self, act: Callable[[Command], T]) -> T:
        """`act` in a live session. Everything pyghmi raises becomes an error with a mend."""
        with self._lock:
            command = self._live()
            try:
                result = act(command)
            except MetalError:
                raise
            except (Silent, OSError) as error:
                self._drop()
                raise silence(self.where, error) from error
            except IpmiException as error:
                raise refusal(error, self.where) from error
            except Exception as error:  # pyghmi raises bare ones, and IndexError on odd bytes
                self._drop()
                raise Failed(f"odd answer: {error!r}", where=self.where) from error
            self._used = time.monotonic()
            return result

    def _live(self) -> Command:
        if self._command and time.monotonic() - self._used > STALE:
            self._leave()
        if self._command is None:
            self._command = self._log_in(self._user, self._password)
        return self._command

    def _drop(self) -> None:
        if self._command:
            self._command.ipmi_session.drop()
        self._command = None


def _power(command: Command) -> Power:
    """Chassis status (28.2)."""
    return "on" if ask(command, 0, 1)[0] & 1 else "off"
