"""The log-ins of a BMC over Redfish. Known by name: their ids differ from IPMI's (R52).

Sources: DSP2046, AccountService and ManagerAccount; DSP0266 13.3.7 (password change required).
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from metal.drivers.placeholders import told, told_name
from metal.drivers.redfish_answer import Answer, Body, link, path_of
from metal.drivers.redfish_shape import positive
from metal.drivers.redfish_tree import Tree
from metal.model.errors import Failed
from metal.model.facts import Account, PasswordRules

ADMINISTRATOR = "Administrator"
ACCOUNTS = "/redfish/v1/AccountService/Accounts"
"""Where they are on nearly all, for those who give no link."""
SHORTEST, LONGEST = 8, 16
"""Bytes of a password nobody is to know."""


@dataclass(frozen=True)
class Slot:
    """A place for an account; `body` without a UserName is free."""

    path: str
    body: Body

    @property
    def user(self) -> str:
        name = self.body.get("UserName")
        return name.strip() if isinstance(name, str) else ""


class AccountBook:
    """The account service, for reading and writing."""

    def __init__(self, tree: Tree, service: Body | None = None) -> None:
        """`service`: its own resource, where that is read already."""
        self.session, self.tree = tree.session, tree
        self.service = tree.linked(tree.root, "AccountService") if service is None else service

    @classmethod
    def to_write(cls, tree: Tree) -> "AccountBook":
        """Unreachable where the service cannot be read just now: what it takes, and whether an
        account is there already, is not to be guessed."""
        return cls(tree, tree.needed(tree.root, "AccountService"))

    @property
    def rules(self) -> PasswordRules:
        return PasswordRules(
            longest=positive(self.service.get("MaxPasswordLength")),
            tries=positive(self.service.get("AccountLockoutThreshold")),
        )

    def accounts(self) -> tuple[Account, ...]:
        """Free slots left out: a BMC may have a dozen of them (R51)."""
        return tuple(
            Account(
                name=told_name(slot.user),
                enabled=enabled if isinstance(enabled := slot.body.get("Enabled"), bool) else None,
                role=told(slot.body.get("RoleId")),
                id=path_of(slot.path).rstrip("/"),
            )
            for slot in self.slots()
            if slot.user
        )

    def slots(self) -> Iterator[Slot]:
        for path in self._members():
            for body in self.tree.bodies(iter([path])):
                yield Slot(path, body)

    def _members(self) -> Iterator[str]:
        """Of the account service; older iDRACs have them below the manager (R51)."""
        if link(self.service.get("Accounts")):
            return self.tree.members_of(self.service, "Accounts")
        return self.tree.members_of(self.tree.manager(self.tree.system()), "Accounts")

    # ── Writing ──────────────────────────────────────────────────────────────────────────────

    def write(self, user: str, password: str) -> Answer:
        """The last answer to what was written; only a log-in proves it."""
        slots = list(self.slots())
        for slot in slots:
            if slot.user == user:
                return self._change(slot, password)
        wanted = {"UserName": user, "Password": password, "RoleId": ADMINISTRATOR}
        answer = self._create(wanted | {"Enabled": True})
        free = [s for s in slots if not s.user and str(s.body.get("Id")) != "1"]
        if not answer.ok and free and not answer.names("password"):
            self.session.met("R51")
            return self._fill(free[0], wanted)
        return answer

    def _create(self, wanted: Body) -> Answer:
        collection = link(self.service.get("Accounts"))
        return self.session.post(collection or ACCOUNTS, wanted)

    def _fill(self, slot: Slot, wanted: Body) -> Answer:
        """A fixed slot; some take all at once, some only one thing after the other."""
        answer = self.session.patch(slot.path, wanted | {"Enabled": True})
        if answer.ok:
            return answer
        for key in ("UserName", "Password", "RoleId"):
            answer = self.session.patch(slot.path, {key: wanted[key]})
            if not answer.ok:
                return answer
        return self.session.patch(slot.path, {"Enabled": True})

    def _change(self, slot: Slot, password: str) -> Answer:
        """All in one; the password alone where the rest is read-only, as a role may be."""
        whole = _changes(slot.body, password)
        answer = self.session.patch(slot.path, whole)
        if not answer.ok and set(whole) != {"Password"}:
            return self.session.patch(slot.path, {"Password": password})
        return answer

    def is_administrator(self, user: str) -> bool:
        """Unless the BMC says that it is something else."""
        roles = [s.body.get("RoleId") for s in self.slots() if s.user == user]
        return all(r is None or str(r).lower().startswith("admin") for r in roles)

    def lock_out(self, user: str) -> None:
        """Disabled, or else given a password nobody knows."""
        for slot in self.slots():
            if slot.user == user:
                self._lock_out(slot)

    def _lock_out(self, slot: Slot) -> None:
        if slot.body.get("Enabled") is False:
            return
        if "Enabled" in slot.body:
            self.session.patch(slot.path, {"Enabled": False})
            if self.session.get(slot.path).get("Enabled") is False:
                return
        answer = self.session.patch(slot.path, {"Password": self._nobody_knows()})
        if not answer.ok:
            raise Failed(
                f"the account {slot.user!r} can be neither disabled nor given another "
                f"password ({answer.complaint})",
                where=self.session.where,
                mend="remove it in the BMC's web page: its old password still works",
            )

    def _nobody_knows(self) -> str:
        """With a letter of each case, digits and a sign, as password rules want; as long as fits:
        some take 12 characters at most."""
        most = min(self.rules.longest or LONGEST, LONGEST)
        return secrets.token_hex(LONGEST)[: max(most, SHORTEST) - 4] + "Aa1-"


def _changes(account: Body, password: str) -> Body:
    """The password always; the rest only where it differs, as BMCs refuse what is read-only."""
    changes: Body = {"Password": password}
    if account.get("RoleId") not in (None, ADMINISTRATOR):
        changes["RoleId"] = ADMINISTRATOR
    if account.get("Enabled") is False:
        changes["Enabled"] = True
    if account.get("Locked") is True:
        changes["Locked"] = False
    return changes
