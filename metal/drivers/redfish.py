"""A BMC that speaks Redfish: metal.drivers.ports.Bmc, each trade of it in a file of its own.

Follows links and never crawls: some BMCs need 15 s for a resource (R21). What a PATCH or a reset
did is always read back: BMCs say 200 and do nothing, or 400 and do it (R07, R08).
"""

import contextlib
import threading
from typing import TYPE_CHECKING

from metal.drivers import redfish_boot, redfish_log, redfish_media, redfish_power
from metal.drivers.polling import became
from metal.drivers.redfish_accounts import ACCOUNTS, AccountBook
from metal.drivers.redfish_exposure import ipmi_is_off, read_exposure
from metal.drivers.redfish_facts import read_facts
from metal.drivers.redfish_health import read_health
from metal.drivers.redfish_news import read_news
from metal.drivers.redfish_seldom import Seldom
from metal.drivers.redfish_session import Answer, RedfishSession
from metal.drivers.redfish_tree import Tree
from metal.drivers.redfish_watts import watts
from metal.drivers.redfish_words import power_of
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
    PasswordRules,
    Power,
)
from metal.model.findings import Exposure

if TYPE_CHECKING:
    from metal.drivers.ports import Console

FLEETING = frozenset({"R14", "R15"})
"""Quirks of BMCs whose sessions are few, or do not last."""
LATE = 3.0
"""Seconds that an iDRAC may need until a new password holds."""


class Redfish:
    """metal.drivers.ports.Bmc over Redfish. Every method may be called from any thread."""

    protocol = "redfish"
    cipher_suite: int | None = None

    def __init__(
        self,
        address: str,
        user: str,
        password: str,
        *,
        port: int = 443,
        fingerprint: str | None = None,
        timeout: float = 30,
        settle: float = 60,
        node: str | None = None,
        legacy_tls: bool = False,
        session: RedfishSession | None = None,
    ) -> None:
        """Logs in: one try. `timeout` s for an answer, `settle` s for a state to be reached.

        `node`: the System's id, where the BMC has several. `legacy_tls`: see BmcAccess.tls.
        `session`: of who asked that BMC before, for its service root.
        """
        self._address, self._settle, self._node = address, settle, node
        self._lock = threading.RLock()
        self._user, self._password = user, password
        self._session = session or RedfishSession(
            address, port, fingerprint, timeout, legacy_tls=legacy_tls, settle=settle
        )
        self._found: Tree | None = None
        self._seldom = Seldom()
        try:
            self._session.login(user, password)
        except MetalError:
            self._session.logout()
            raise
        self.fingerprint: str | None = self._session.fingerprint

    @property
    def _tree(self) -> Tree:
        if self._found is None:
            self._wait_for_the_root()
            self._found = Tree(self._session, self._node)
        return self._found

    def _wait_for_the_root(self) -> None:
        """A Cisco shows a root without systems to some sessions: a new one sees them (R54)."""
        if "Systems" in self._session.root or self._session.must_change is not None:
            return
        if "Systems" not in self._session.service_root():
            self._session.login(self._user, self._password)
            if "Systems" in self._session.service_root():
                self._session.met("R54")

    def nodes(self) -> tuple[str, ...]:
        with self._lock, self._session.look():
            return self._tree.nodes()

    def close(self) -> None:
        with self._lock:
            self._session.logout()

    # ── Staying logged in between two looks ──────────────────────────────────────────────────

    @property
    def session(self) -> str:
        """The path of this session; "" where none can be kept: it goes by Basic auth, the BMC
        let one vanish, or hands out resources without paths."""
        with self._lock:
            return "" if self._session.quirks & FLEETING else self._session.kept_at

    def end(self, session: str) -> None:
        """End one that this account was left with, of whom nobody holds the token any more."""
        with self._lock:
            self._session.end_left(session)

    def leave(self) -> None:
        """Close the connection and say nothing: the BMC is silent."""
        with self._lock:
            self._session.leave()

    # ── What was met on the way, for the passport ────────────────────────────────────────────

    @property
    def version(self) -> str | None:
        """RedfishVersion of the service root."""
        version = self._session.root.get("RedfishVersion")
        return version if isinstance(version, str) else None

    @property
    def quirks(self) -> frozenset[str]:
        """Numbers of docs/bmc-quirks.md."""
        return frozenset(self._session.quirks)

    @property
    def slowest_call(self) -> float:
        """Seconds."""
        return self._session.slowest_call

    @property
    def tls_version(self) -> str | None:
        """Such as "TLSv1.3"."""
        return self._session.tls_version

    # ── Seeing ───────────────────────────────────────────────────────────────────────────────

    def facts(self) -> Facts:
        with self._lock, self._session.look(remember=True):
            return read_facts(self._tree, self._address)

    def power(self) -> Power:
        with self._lock:
            return power_of(self._tree.system())

    def health(self) -> HealthReport:
        """System, power supplies, temperatures, fans, drives; memory only when it is not ok."""
        with self._lock, self._session.look(remember=True):
            tree = self._tree
            tree.lost.clear()  # of the looks before
            return read_health(tree, self._seldom)

    def watts(self) -> float | None:
        """PowerMeter: what it draws now."""
        with self._lock:
            return watts(self._tree, self._tree.system())

    # ── Power and boot ───────────────────────────────────────────────────────────────────────

    def ensure_power(self, wanted: Power) -> None:
        with self._lock:
            redfish_power.ensure_power(self._tree, wanted, self._settle)

    def ensure_shut_down(self) -> None:
        with self._lock:
            redfish_power.ensure_shut_down(self._tree, self._settle)

    def cycle(self) -> None:
        with self._lock:
            redfish_power.cycle(self._tree, self._settle)

    def boot_once(self) -> BootOnce | None:
        with self._lock:
            return redfish_boot.boot_once(self._tree)

    def ensure_boot_once(self, device: BootDevice, mode: BootMode | None = None) -> BootOnce:
        with self._lock:
            return redfish_boot.ensure_boot_once(self._tree, device, mode, self._settle)

    def ensure_usual_boot(self) -> None:
        """What `ensure_boot_once` set is taken back."""
        with self._lock:
            redfish_boot.ensure_usual_boot(self._tree, self._settle)

    def ensure_media(self, url: str) -> str:
        with self._lock:
            return redfish_media.ensure_media(self._tree, url, self._settle)

    def ensure_no_media(self) -> None:
        with self._lock:
            redfish_media.ensure_no_media(self._tree, self._settle)

    # ── Log, exposure, console ───────────────────────────────────────────────────────────────

    def log(self) -> tuple[LogEntry, ...]:
        with self._lock, self._session.look():
            return redfish_log.read_log(self._tree)

    def log_news(self, mark: LogMark | None) -> LogNews:
        with self._lock, self._session.look():
            return read_news(self._tree, mark)

    def ensure_log_empty(self) -> None:
        with self._lock:
            redfish_log.ensure_log_empty(self._tree)

    def exposure(self) -> Exposure:
        with self._lock, self._session.look():
            return read_exposure(self._tree)

    def console(self) -> "Console":
        """Refused: Redfish only says where a console is, never is one."""
        with self._lock:
            off = ipmi_is_off(self._tree)
        raise Refused(
            "Redfish has no serial console of its own",
            where=self._session.where,
            mend="IPMI's serial over LAN may be there: IPMI over LAN is switched off, switch it on "
            "in the BMC's network settings first"
            if off
            else "IPMI's serial over LAN may be there",
        )

    # ── Accounts ─────────────────────────────────────────────────────────────────────────────

    def accounts(self) -> tuple[Account, ...]:
        with self._lock, self._session.look():
            return AccountBook(self._tree).accounts()

    @property
    def must_change(self) -> bool:
        """It shows nothing before the password of this session is changed (R49)."""
        with self._lock:
            if self._session.must_change is None and self._found is None:
                with contextlib.suppress(MetalError):  # whoever reads next is told what is wrong
                    _ = self._tree
            return self._session.must_change is not None

    @property
    def password_rules(self) -> PasswordRules:
        """Those of the account service, none before the first password is changed (R49).
        Unreachable: it could not be asked now."""
        with self._lock:
            return PasswordRules() if self.must_change else AccountBook.to_write(self._tree).rules

    def ensure_account(self, user: str, password: str) -> None:
        """Also proves it by a new log-in, which the session goes on with (R50)."""
        with self._lock:
            if (user, password) == (self._user, self._password):
                return  # this session is the proof
            if self._session.must_change is not None:
                self._change_own(password)
                if user == self._user:
                    return
            answer = AccountBook.to_write(self._tree).write(user, password)
            self._log_in(user, password, answer)
            if not AccountBook(self._tree).is_administrator(user):
                raise Failed(
                    f"the account {user!r} has its password, but is no administrator",
                    where=self._session.where,
                    mend="give it the role in the BMC's web page",
                )

    def _change_own(self, password: str) -> None:
        """What it was delivered with lets nobody do anything else than change it (R49).

        So the account that was delivered gets the new password too: that one is escrowed.
        """
        # Who does not name the account has it below its name, as OpenBMC does.
        path = self._session.must_change or f"{ACCOUNTS}/{self._user}"
        answer = self._session.patch_blindly(path, {"Password": password})
        self._log_in(self._user, password, answer)
        self._found = None

    def _log_in(self, user: str, password: str, answer: Answer) -> None:
        """The proof. A BMC that said yes gets a second chance: some need a moment."""
        pauses = [0.0, min(LATE, self._settle)] if answer.ok else [0.0]
        for pause in pauses:
            became(lambda: False, pause)
            try:
                self._session.login(user, password)
            except WrongPassword as error:
                refusal = error
                continue
            if not answer.ok:
                self._session.met("R08")
            self._user, self._password = user, password
            return
        why = "it said yes, and lets nobody in with it" if answer.ok else answer.complaint
        not_taken = NotTaken(
            f"the BMC did not take the account {user!r} ({why})",
            where=self._session.where,
            mend="its password rules may be stricter; the escrowed password is not in use",
        )
        not_taken.tries = len(pauses)
        raise not_taken from refusal

    def ensure_locked_out(self, user: str) -> None:
        """`user` can no longer log in: disabled, or else given a password nobody knows."""
        with self._lock:
            if user == self._user:
                raise Refused(
                    f"{user!r} is the account of this very session", where=self._session.where
                )
            AccountBook.to_write(self._tree).lock_out(user)
