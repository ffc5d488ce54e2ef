"""Audit and prove one server's BMC: over IPMI too, where that answers beside Redfish."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import ip_address

from metal.controller.finding import Pings
from metal.controller.workspace import Workspace
from metal.drivers.bmc import RMCP
from metal.drivers.interfaces import own_address
from metal.drivers.ports import Bmc
from metal.enroll.audit import CHECKS, Surroundings, audit, completed
from metal.enroll.examine import Opened
from metal.enroll.proving import prove
from metal.model.errors import MetalError
from metal.model.facts import BootOnce
from metal.model.findings import Audit, Finding
from metal.model.fleet import Inventory, Subnets
from metal.model.life import Life
from metal.model.passport import Passport
from metal.operations.store import Store

ONLY_IPMI = ("cipher_suites", "auth_types")
OURS = frozenset({Life.INSTALLED, Life.MEMBER, Life.DRAINING})
"""An operating system of ours may run on these: nothing of theirs is tried out."""


class Examiner:
    """Of one server. `pings` tells whether IPMI answers at its address."""

    def __init__(self, workspace: Workspace, server: str, pings: Pings | None) -> None:
        self._workspace, self._server, self._pings = workspace, server, pings
        self._closed = ""
        """Why its IPMI is not to be had: a password that was refused is not tried again (R53)."""

    def audit(self, opened: Opened) -> Audit:
        """What is open, in the words of both protocols."""
        from metal.drivers.ipmi_exposure import outside_exposure  # loads pyghmi

        told = opened.bmc.exposure()
        with self._over_ipmi(opened) as other:
            if other:
                told = completed(told, other.exposure())
        if self._closed:
            # Our account is none of its IPMI's: what it tells to anybody is not lost with that.
            told = completed(told, outside_exposure(opened.access.address, RMCP))
            why = {key: self._closed for key in ONLY_IPMI if getattr(told, key) is None}
            told = told.model_copy(update={"unknown": told.unknown | why})
        return audit(told, self._around(opened))

    def prove(self, opened: Opened, was: BootOnce | None) -> Passport:
        """Also tries out how it boots, unless a system of ours may be running on it."""
        with self._over_ipmi(opened) as other:
            proven = prove(
                opened,
                was,
                other=other,
                careful=self._careful(opened.bmc),
                now=_now().isoformat(timespec="seconds"),
            )
        notes = (*proven.notes, self._closed) if self._closed else proven.notes
        return proven.model_copy(update={"notes": notes})

    def _careful(self, bmc: Bmc) -> str:
        """Why nothing may be set at its BMC; "" if it may."""
        life = self._workspace.life(self._server)
        if life in OURS and bmc.power() != "off":
            return f"it is {life} and on; prove it anew while it is off"
        return ""

    @contextmanager
    def _over_ipmi(self, opened: Opened) -> Iterator[Bmc | None]:
        """The same BMC over IPMI, if it is asked over Redfish and has both."""
        other: Bmc | None = None
        if opened.bmc.protocol == "redfish" and self._pings and not self._closed:
            user, password = opened.credential.user, opened.credential.password
            try:
                other = self._pings.over_ipmi(opened.access, user, password)
            except MetalError as error:
                self._closed = f"over IPMI: {error.what}"
        try:
            yield other
        finally:
            if other:
                other.close()

    def _around(self, opened: Opened) -> Surroundings:
        access = opened.access
        subnets = subnets_of(self._workspace.inventory, self._server, access.address)
        ipmi = opened.bmc.protocol == "ipmi"
        port = (access.port if ipmi else access.ipmi_port) or RMCP
        # Beside Redfish only the usual port was asked.
        asked = self._pings.answers(access.address) if self._pings and port == RMCP else None
        return Surroundings(
            protocol=opened.bmc.protocol,
            user=opened.credential.user,
            accounts=opened.accounts,
            pinned=access.fingerprint is not None,
            legacy_tls=access.tls == "legacy",
            cipher_suite=opened.bmc.cipher_suite,
            ipmi_answers=True if ipmi else asked,
            ipmi_port=port,
            address=access.address,
            ours=own_address(access.address),
            bmc_subnet=subnets.bmc if subnets else None,
            now=_now(),
        )


def subnets_of(inventory: Inventory, server: str, address: str) -> Subnets | None:
    """Of the server's site; of one that is new, the site whose BMC network its address is in."""
    if server in inventory.servers:
        return inventory.sites[inventory.servers[server].site].subnets
    try:
        at = ip_address(address)
    except ValueError:
        return None
    return next((s.subnets for s in inventory.sites.values() if at in s.subnets.bmc), None)


def keep_audit(store: Store, server: str, found: Audit) -> None:
    """What was found, and what was not found out, for `metal server show`. What an audit does not
    look for stays as it is."""
    besides = [f for f in kept_findings(store, server) if f.id not in CHECKS]
    _put_findings(store, server, [*found.findings, *besides])
    store.records.put(server, "unexamined", found.unknown)


def keep_finding(store: Store, server: str, id: str, finding: Finding | None) -> None:
    """One that another verb came upon; None: it is no more."""
    before = kept_findings(store, server)
    now = [*(f for f in before if f.id != id), *([finding] if finding else [])]
    if now != before:
        _put_findings(store, server, now)


def kept_findings(store: Store, server: str) -> list[Finding]:
    """None where another version of metal wrote them."""
    record = store.records.get(server, "findings")
    try:
        return [Finding.model_validate(f) for f in record.body] if record else []
    except (TypeError, ValueError):
        return []


def _put_findings(store: Store, server: str, findings: list[Finding]) -> None:
    store.records.put(server, "findings", [f.model_dump(mode="json") for f in findings])


def kept_passport(store: Store, server: str) -> Passport | None:
    """What was proven; None if nothing was, or by another version of metal."""
    record = store.records.get(server, "passport")
    try:
        return Passport.model_validate(record.body) if record else None
    except ValueError:
        return None


def _now() -> datetime:
    return datetime.now(UTC)
