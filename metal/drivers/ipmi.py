"""A BMC that speaks IPMI 2.0: power, boot flags, users, facts, health.

IPMI tells neither drives nor memory nor network cards: those stay unknown, never zero.
"""

import contextlib
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from pyghmi.exceptions import IpmiException

from metal.drivers.ipmi_facts import read_facts, read_health
from metal.drivers.ipmi_session import Command, Silent, log_in, silence
from metal.model.errors import Failed, MetalError, Refused, WrongPassword
from metal.model.facts import Facts, HealthReport, Power

T = TypeVar("T")
STALE = 25.0
"""Seconds of rest after which a session is opened anew: BMCs drop it after 60."""
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

    # ── Power and boot ───────────────────────────────────────────────────────────────────────

    def ensure_power(self, wanted: Power) -> None:
        """Chassis control 0 (down) and 1 (up): hard, and harmless when repeated (28.3)."""
        if wanted not in ("on", "off"):
            raise Refused(f"a machine cannot be switched to {wanted}", where=self.where)
        with self._lock:
            if self.power() == wanted:
                return
            self._raw(0, 2, [1 if wanted == "on" else 0])
            deadline, pause = time.monotonic() + self._settle, 0.05
            while self.power() != wanted:
                if time.monotonic() > deadline:
                    raise Failed(
                        f"the machine did not go {wanted}, though the BMC said yes",
                        where=self.where,
                        mend="look at its console; a BMC that ignores this often needs a restart",
                    )
                time.sleep(pause)
                pause = min(pause * 2, 2)

    def ensure_boot_once(self, device: str) -> None:
        """Boot flags, table 28-14: valid, once, EFI, force PXE; read back (I08, I09)."""
        with self._lock:
            if self._run(_boots_from_network):
                return
            # Else some BMCs drop the flags after 60 s; not all know how not to (I07).
            with contextlib.suppress(Failed):
                self._raw(0, 8, [3, 0x08])
            self._raw(0, 8, [5, 0xA0, 0x04, 0, 0, 0])
            if not self._run(_boots_from_network):
                raise Failed(
                    "the BMC did not take the network for the next boot, though it said yes",
                    where=self.where,
                    mend="set the boot order in the firmware's setup by hand",
                )

    # ── Accounts ─────────────────────────────────────────────────────────────────────────────

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
            self._run(lambda c: _write_account(c, user, password))
            try:
                fresh = self._log_in(user, password)
            except WrongPassword as error:
                raise Failed(
                    f"the BMC did not take the account {user!r}",
                    where=self.where,
                    mend="its password rules may be stricter; the escrowed password is not in use",
                ) from error
            self._leave()
            self._command, self._user, self._password = fresh, user, password

    def ensure_locked_out(self, user: str) -> None:
        """`user` can no longer log in: given a password nobody knows, and disabled."""
        with self._lock:
            if user == self._user:
                raise Refused(f"{user!r} is the account of this very session", where=self.where)
            self._run(lambda c: _lock_out(c, user))

    # ── Session ──────────────────────────────────────────────────────────────────────────────

    def _raw(self, netfn: int, command: int, data: list[int]) -> None:
        self._run(lambda c: c.xraw_command(netfn=netfn, command=command, data=data))

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
                raise Failed(f"the BMC refused it: {error}", where=self.where) from error
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
    state = command.xraw_command(netfn=0, command=1)["data"][0]
    return "on" if state & 1 else "off"


def _boots_from_network(command: Command) -> bool:
    """Boot flags as the BMC has them: valid, for one boot, device 1 (PXE)."""
    data = command.xraw_command(netfn=0, command=9, data=(5, 0, 0))["data"]
    once = data[2] & 0xC0 == 0x80
    return bool(once and not data[1] & 0x80 and (data[3] >> 2) & 0x0F == 1)


def _write_account(command: Command, user: str, password: str) -> None:
    slots = _users(command)
    slot = next((n for n, name in slots.items() if name == user), None)
    if slot is None:
        # Slot 1 is the anonymous user (6.9.1).
        slot = next((n for n, name in slots.items() if not name and n > 1), None)
        if slot is None:
            raise Failed("all its user slots are taken", mend="remove an account in its web page")
        command.set_user_name(slot, user)
    command.set_user_password(slot, mode="set_password", password=password)
    command.set_user_password(slot, mode="enable", password=password)
    command.set_user_access(slot, privilege_level="administrator")


def _lock_out(command: Command, user: str) -> None:
    for slot, name in _users(command).items():
        if name == user:
            unknown = secrets.token_hex(6) + "Aa1-"
            command.set_user_password(slot, mode="set_password", password=unknown)
            with contextlib.suppress(IpmiException):  # not every account can be disabled
                command.set_user_password(slot, mode="disable", password=unknown)


def _users(command: Command) -> dict[int, str]:
    """Slot → name, "" for a free one. Slots that cannot be read are left out."""
    count = command.get_channel_max_user_count()
    slots: dict[int, str] = {}
    for slot in range(1, count + 1):
        answer: Any = command.raw_command(netfn=6, command=0x46, data=(slot,))
        if not answer.get("error"):
            slots[slot] = bytes(answer["data"]).split(b"\0")[0].decode("latin-1")
    return slots
