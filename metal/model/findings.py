"""What is wrong with how a BMC is set up: evidence, severity and remedy. Pure data."""

from typing import Literal

from metal.model.base import Frozen

Severity = Literal["critical", "high", "medium", "low", "info"]
"""critical: anybody on its network owns the server. info: worth knowing, nothing to mend."""


class Finding(Frozen):
    id: str
    """Stable and short, such as "cipher-0": what a person looks up, silences or greps for."""
    severity: Severity
    what: str
    remedy: str
    evidence: str = ""
    """What the BMC said that shows it."""


class Exposure(Frozen):
    """What a BMC offers to whoever reaches it. None: it could not be found out, never "no"."""

    ipmi_lan: bool | None = None
    """IPMI over LAN is switched on."""
    cipher_suites: tuple[int, ...] | None = None
    auth_types: tuple[str, ...] | None = None
    """IPMI 1.5 authentication types it accepts: "none", "md2", "md5", "password", "oem"."""
    anonymous: bool | None = None
    """A log-in without a user name is possible."""
    snmp: bool | None = None
    snmp_communities: tuple[str, ...] | None = None
    """Only whether a well-known default ("public", "private") is among them is ever told."""
    services: tuple[str, ...] | None = None
    """Names of its open network services, such as "http", "telnet", "ssh", "kvmip"."""
    certificate_expires: str | None = None
    """ISO date of the certificate's end."""
    certificate_self_signed: bool | None = None
    password_change_required: bool | None = None
    clock: str | None = None
    """ISO 8601: its own idea of now."""
    log_full: bool | None = None
    unknown: dict[str, str] = {}


class Audit(Frozen):
    """What was looked for at one BMC: what is wrong, and what nobody could find out."""

    findings: tuple[Finding, ...] = ()
    unknown: dict[str, str] = {}
    """id of a finding → why it could not be found out whether it is there: unknown, not fine."""


ORDER: tuple[Severity, ...] = ("critical", "high", "medium", "low", "info")


def at_least(severity: Severity, least: Severity) -> bool:
    """Whether it is that bad or worse."""
    return ORDER.index(severity) <= ORDER.index(least)
