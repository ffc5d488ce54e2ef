"""A BMC that speaks Redfish: power, boot, accounts, facts, health.

Follows links and never crawls: some BMCs need 15 s for a resource (R21). What a PATCH or a reset
did is always read back: BMCs say 200 and do nothing, or 400 and do it (R07, R08).
"""

import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

from metal.drivers.redfish_facts import (
    Tree,
    complaint_of,
    conditions_of,
    health_of,
    power_of,
    read_facts,
)
from metal.drivers.redfish_session import Answer, Body, RedfishSession, link
from metal.model.errors import Failed, MetalError, Refused, WrongPassword
from metal.model.facts import Facts, HealthReport, Power

RESETS: dict[str, tuple[str, ...]] = {"on": ("On", "ForceOn"), "off": ("ForceOff",)}
"""By preference; PushPowerButton is left out: it toggles, so a repeat would undo it."""


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
    ) -> None:
        """Logs in: one try. `timeout` s for an answer, `settle` s for a state to be reached."""
        self._address, self._port, self._timeout, self._settle = address, port, timeout, settle
        self._lock, self._node = threading.RLock(), node
        self._user, self._password = user, password
        self._session = RedfishSession(address, port, fingerprint, timeout)
        self._found: Tree | None = None
        try:
            self._session.login(user, password)
        except MetalError:
            self._session.logout()
            raise
        self.fingerprint: str | None = self._session.fingerprint

    @property
    def _tree(self) -> Tree:
        if self._found is None:
            self._found = Tree(self._session, self._node)
        return self._found

    def nodes(self) -> tuple[str, ...]:
        with self._lock:
            return self._tree.nodes()

    def close(self) -> None:
        with self._lock:
            self._session.logout()

    # ── Seeing ───────────────────────────────────────────────────────────────────────────────

    def facts(self) -> Facts:
        with self._lock:
            return read_facts(self._tree, self._address)

    def power(self) -> Power:
        with self._lock:
            return power_of(self._tree.system())

    def health(self) -> HealthReport:
        """System, power supplies and temperatures; memory and drives only when it is not ok."""
        with self._lock:
            system = self._tree.system()
            worst = [health_of(system)]
            parts = self._environment(system)
            if worst[0] != "ok":
                parts += [*self._tree.parts(system, "Memory"), *self._drives(system)]
            reasons = {reason: health_of(p) for p in parts if (reason := complaint_of(p))}
            reasons |= dict.fromkeys(conditions_of(system), worst[0])
            if not reasons and (reason := complaint_of(system)):
                reasons[reason] = worst[0]
        order = ("critical", "warning", "ok", "unknown")
        worst += reasons.values()
        return HealthReport(health=min(worst, key=order.index), reasons=tuple(reasons))

    def _environment(self, system: Body) -> list[Body]:
        parts: list[Body] = []
        for chassis in self._tree.chassis(system):
            power, thermal = (self._tree.linked(chassis, n) for n in ("Power", "Thermal"))
            for owner, key in (
                (power, "PowerSupplies"),
                (thermal, "Temperatures"),
                (thermal, "Fans"),
            ):
                parts += [p for p in owner.get(key) or [] if isinstance(p, dict)]
        return parts

    def _drives(self, system: Body) -> list[Body]:
        return [
            self._session.get(path)
            for storage in self._tree.parts(system, "Storage")
            for path in dict.fromkeys(filter(None, map(link, storage.get("Drives") or [])))
        ]

    # ── Power and boot ───────────────────────────────────────────────────────────────────────

    def ensure_power(self, wanted: Power) -> None:
        if wanted not in RESETS:
            raise Refused(f"a machine cannot be switched to {wanted}", where=self._session.where)
        with self._lock:
            system = self._tree.system()
            if power_of(system) == wanted:
                return
            answer = self._session.post(*self._reset(system, wanted))
            # The state decides, not the code: 4xx comes with success on some (R08, R41).
            self._await(
                lambda: power_of(self._tree.system()) == wanted,
                self._settle if answer.ok else min(5, self._settle),
                f"the machine did not go {wanted} ({answer.complaint})",
                "look at its console; a BMC that ignores resets often needs a restart itself",
            )

    def _reset(self, system: Body, wanted: str) -> tuple[str, Body]:
        action = (system.get("Actions") or {}).get("#ComputerSystem.Reset") or {}
        target = action.get("target") or f"{self._tree.system_path}/Actions/ComputerSystem.Reset"
        allowed = self._tree.reset_types(system) or RESETS[wanted]
        kind = next((r for r in RESETS[wanted] if r in allowed), None)
        if kind is None:
            raise Failed(
                f"the BMC offers no way to switch {wanted}, only {', '.join(allowed)}",
                where=self._session.where,
                mend="use the power button or a switched PDU",
            )
        return target, {"ResetType": kind}

    def ensure_network_boot_once(self) -> None:
        with self._lock:
            complaint = ""
            for wanted in ({"BootSourceOverrideMode": "UEFI"}, {}):
                if self._boots_from_network():
                    return
                # Without the mode, Supermicro falls back to legacy (R05); with it, HPE refuses
                # (R06): so with it first, then without.
                answer = self._patch_boot(
                    {"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Once"}
                    | wanted
                )
                complaint = answer.complaint
            if not self._boots_from_network():
                raise Failed(
                    f"the BMC did not take the network for the next boot ({complaint})",
                    where=self._session.where,
                    mend="set the boot order in the firmware's setup by hand",
                )

    def _patch_boot(self, boot: dict[str, str]) -> Answer:
        settings = _settings_of(self._tree.system())
        if settings:  # the system itself is read-only there (R04)
            answer = self._session.patch(settings, {"Boot": boot})
            if answer.ok:
                return answer
        return self._session.patch(self._tree.system_path, {"Boot": boot})

    def _boots_from_network(self) -> bool:
        system = self._tree.system()
        settings = _settings_of(system)
        bodies = [system, self._session.get(settings)] if settings else [system]
        return any(
            (b.get("Boot") or {}).get("BootSourceOverrideTarget") == "Pxe"
            and (b.get("Boot") or {}).get("BootSourceOverrideEnabled") == "Once"
            for b in bodies
        )

    # ── Accounts ─────────────────────────────────────────────────────────────────────────────

    def ensure_account(self, user: str, password: str) -> None:
        """Also proves it by a new log-in, which the session goes on with (R50)."""
        with self._lock:
            if (user, password) == (self._user, self._password):
                return  # this session is the proof
            answer = self._write_account(user, password)
            try:
                self._session.login(user, password)
            except WrongPassword as error:
                raise Failed(
                    f"the BMC did not take the account {user!r} ({answer.complaint})",
                    where=self._session.where,
                    mend="its password rules may be stricter; the escrowed password is not in use",
                ) from error
            self._user, self._password = user, password

    def _write_account(self, user: str, password: str) -> Answer:
        wanted = {"UserName": user, "Password": password, "RoleId": "Administrator"}
        accounts, collection = self._accounts()
        for path, body in accounts:
            if body.get("UserName") == user:
                return self._session.patch(path, _changes(body, wanted))
        answer = self._session.post(collection, wanted | {"Enabled": True})
        if not answer.ok:  # fixed slots: an unnamed one is taken (R51)
            for path, body in accounts:
                if not body.get("UserName") and str(body.get("Id")) != "1":
                    return self._session.patch(path, wanted | {"Enabled": True})
        return answer

    def ensure_locked_out(self, user: str) -> None:
        """`user` can no longer log in: disabled, or else given a password nobody knows."""
        with self._lock:
            if user == self._user:
                raise Refused(
                    f"{user!r} is the account of this very session", where=self._session.where
                )
            for path, body in self._accounts()[0]:
                if body.get("UserName") == user:
                    self._lock_out(path, body)

    def _lock_out(self, path: str, body: Body) -> None:
        if body.get("Enabled") is False:
            return
        if "Enabled" in body:
            self._session.patch(path, {"Enabled": False})
            if self._session.get(path).get("Enabled") is False:
                return
        answer = self._session.patch(path, {"Password": _nobody_knows()})
        if not answer.ok:
            raise Failed(
                f"the account {body['UserName']!r} can be neither disabled nor given another "
                f"password ({answer.complaint})",
                where=self._session.where,
                mend="remove it in the BMC's web page: its old password still works",
            )

    def _accounts(self) -> tuple[list[tuple[str, Body]], str]:
        service = self._session.get(
            link(self._tree.root.get("AccountService")) or "/redfish/v1/AccountService"
        )
        collection = link(service.get("Accounts")) or "/redfish/v1/AccountService/Accounts"
        members = [(path, self._session.get(path)) for path in self._session.members(collection)]
        return members, collection

    def _await(self, reached: Callable[[], bool], seconds: float, what: str, mend: str) -> None:
        """Poll, ever more slowly: old BMCs die of being asked too often."""
        deadline, pause = time.monotonic() + seconds, 0.05
        while not reached():
            if time.monotonic() > deadline:
                raise Failed(what, where=self._session.where, mend=mend)
            time.sleep(pause)
            pause = min(pause * 2, 2)


def _settings_of(system: Body) -> str | None:
    settings: Any = system.get("@Redfish.Settings") or {}
    return link(settings.get("SettingsObject"))


def _changes(account: Body, wanted: dict[str, str]) -> Body:
    """The password always; the rest only where it differs, as BMCs refuse what is read-only."""
    changes: Body = {"Password": wanted["Password"]}
    if account.get("RoleId") not in (None, wanted["RoleId"]):
        changes["RoleId"] = wanted["RoleId"]
    if account.get("Enabled") is False:
        changes["Enabled"] = True
    if account.get("Locked") is True:
        changes["Locked"] = False
    return changes


def _nobody_knows() -> str:
    """16 bytes with a letter of each case, a digit and a sign, as password rules want."""
    return secrets.token_hex(6) + "Aa1-"
