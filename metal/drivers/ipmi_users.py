"""The accounts of an IPMI BMC. Source: IPMI 2.0 rev. 1.1, 22.26 to 22.30."""

import contextlib
import secrets
from dataclasses import dataclass
from typing import Any

from pyghmi.exceptions import IpmiException

from metal.drivers.ipmi_ask import ask, ask_if_known
from metal.drivers.placeholders import told_name
from metal.model.errors import Failed, NotTaken
from metal.model.facts import Account

THIS_CHANNEL = 0x0E
ROLES = {1: "Callback", 2: "User", 3: "Operator", 4: "Administrator", 5: "OEM"}
"""Privilege limits; 15 is no access."""


@dataclass(frozen=True)
class User:
    """One slot."""

    slot: int
    name: str
    enabled: bool | None = None
    privilege: int | None = None
    messaging: bool | None = None
    """May use IPMI messages: without it the slot lets nobody in."""

    @property
    def usable(self) -> bool:
        """Nothing that is told says that it lets nobody in."""
        shut = self.enabled is False or self.messaging is False
        return not shut and (self.privilege is None or self.privilege in ROLES)

    @property
    def anonymous(self) -> bool:
        """An account without a name that is known to let somebody in, not just not known."""
        return not self.name and self.usable and self.privilege is not None


def accounts(command: Any) -> tuple[Account, ...]:
    """Slots with a name, and the nameless ones that let somebody in (I06)."""
    return tuple(
        Account(
            name=told_name(user.name),
            enabled=user.enabled,
            role=ROLES.get(user.privilege or 0, "No access" if user.privilege == 0x0F else None),
            id=str(user.slot),
        )
        for user in users(command)
        if user.name or user.anonymous
    )


def users(command: Any) -> list[User]:
    """All slots; those that cannot be read are left out."""
    head = ask(command, 6, 0x44, THIS_CHANNEL, 1)
    found: list[User] = []
    for slot in range(1, (head[0] & 0x3F) + 1):
        name = ask_if_known(command, 6, 0x46, slot)
        if name is None:
            continue
        text = name.split(b"\0")[0].decode("latin-1").strip()
        access = ask_if_known(command, 6, 0x44, THIS_CHANNEL, slot)
        found.append(_user(slot, text, access))
    return found


def _user(slot: int, name: str, access: bytes | None) -> User:
    if access is None or len(access) < 4:
        return User(slot, name)
    state = {1: True, 2: False}.get(access[1] >> 6)
    return User(slot, name, state, access[3] & 0x0F, bool(access[3] & 0x10))


def write_account(command: Any, user: str, password: str) -> None:
    slots = users(command)
    slot = next((u.slot for u in slots if u.name == user), None)
    if slot is None:
        # Slot 1 is the anonymous user (6.9.1).
        slot = next((u.slot for u in slots if not u.name and u.slot > 1), None)
        if slot is None:
            raise Failed("all its user slots are taken", mend="remove an account in its web page")
        command.set_user_name(slot, user)
    _set_password(command, slot, password)
    command.set_user_password(slot, mode="enable", password=password)
    command.set_user_access(slot, privilege_level="administrator")


def _set_password(command: Any, slot: int, password: str) -> None:
    try:
        command.set_user_password(slot, mode="set_password", password=password)
    except IpmiException as error:
        raise NotTaken(
            f"the BMC refused the new password ({error})",
            mend="its password rules may be stricter; the escrowed password is not in use",
        ) from error


def lock_out(command: Any, user: str) -> None:
    """Given a password nobody knows, and disabled where the BMC lets one."""
    for slot in (u.slot for u in users(command) if u.name == user):
        unknown = secrets.token_hex(6) + "Aa1-"
        command.set_user_password(slot, mode="set_password", password=unknown)
        with contextlib.suppress(IpmiException):  # not every account can be disabled
            command.set_user_password(slot, mode="disable", password=unknown)
