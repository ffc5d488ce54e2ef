"""After take-over: whether ours opens it, who else may log in, what is open, what it can do.

A server is enrolled even if its BMC chokes on what is asked here: the reason is noted then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from metal.drivers.ports import Bmc
from metal.enroll.door import Credential, Door
from metal.model.errors import MetalError
from metal.model.facts import Account, BootOnce, Facts
from metal.model.findings import Audit
from metal.model.fleet import BmcAccess
from metal.model.passport import Passport
from metal.operations.run import Run


@dataclass(frozen=True)
class Opened:
    """A BMC that metal's own account opened."""

    bmc: Bmc
    access: BmcAccess
    credential: Credential
    accounts: tuple[Account, ...] | None
    """Its log-ins; None: it does not tell them."""
    facts: Facts | None = None
    """What it told of the server."""


def proven(door: Door) -> list[dict[str, Any]] | None:
    """Ours still opens it: a log-in of its own. The BMC's accounts, None if it does not tell."""
    bmc = door.enter_as_own()
    bmc.power()
    try:
        return [a.model_dump(mode="json") for a in bmc.accounts()]
    except MetalError:
        return None


def with_accounts(facts: Facts, accounts: list[dict[str, Any]] | None) -> Facts:
    """What was read before the take-over, with who may log in since."""
    if accounts is not None:
        who = tuple(Account.model_validate(a) for a in accounts)
        return facts.model_copy(update={"accounts": who})
    why = {"accounts": "it did not tell them once it was taken over"} if facts.accounts else {}
    return facts.model_copy(update={"accounts": None, "unknown": facts.unknown | why})


def examined(
    run: Run,
    door: Door,
    accounts: list[dict[str, Any]] | None,
    facts: Facts,
    audit: Callable[[Opened], Audit] | None,
    passport: Callable[[Opened, BootOnce | None], Passport] | None,
) -> dict[str, Any]:
    """{"audit": …, "passport": …, "notes": …}, as far as somebody asks for them."""
    who = None if accounts is None else tuple(Account.model_validate(a) for a in accounts)

    def opened() -> Opened:
        bmc = door.bmc()
        used = door.used or Credential(door.access.user, "")
        return Opened(bmc, door.access, used, who, facts)

    result: dict[str, Any] = {}
    notes: list[str] = []
    if audit:
        said = run.step("audit", lambda: _told("audit", lambda: audit(opened())))
        result["audit"] = Audit.model_validate(said["value"]) if said["value"] else None
        notes += said["notes"]
    if passport:
        # Kept before anything is tried: whoever goes on after a crash knows what to set back.
        was = run.step(
            "boot setting", lambda: _told("boot setting", lambda: door.bmc().boot_once())
        )
        before = BootOnce.model_validate(was["value"]) if was["value"] else None
        said = run.step("passport", lambda: _told("passport", lambda: passport(opened(), before)))
        result["passport"] = Passport.model_validate(said["value"]) if said["value"] else None
        notes += said["notes"]
    return result | {"notes": tuple(notes)}


def _told(what: str, ask: Callable[[], Audit | Passport | BootOnce | None]) -> dict[str, Any]:
    try:
        value = ask()
    except MetalError as error:
        return {"value": None, "notes": [f"{what}: {error.what}"]}
    return {"value": value.model_dump(mode="json") if value else None, "notes": []}
