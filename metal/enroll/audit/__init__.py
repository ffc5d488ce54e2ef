"""What a BMC offers to whoever reaches it → findings, each with evidence and a remedy. Pure.

A check says a Finding, None (looked at, and fine) or why it could not be found out: that is kept
too, as what nobody looked at must not pass for fine. No password is ever tried.
"""

from collections.abc import Callable

from metal.enroll.audit import accounts, ipmi, services
from metal.enroll.audit.scene import Said, Scene, Surroundings
from metal.model.findings import ORDER, Audit, Exposure, Finding

__all__ = ["CHECKS", "Surroundings", "audit", "completed"]

CHECKS: dict[str, Callable[[Scene], Said]] = {
    "cipher-0": ipmi.cipher_0,
    "auth-none": ipmi.auth_none,
    "anonymous": ipmi.anonymous,
    "default-accounts": accounts.default_accounts,
    "other-administrators": accounts.other_administrators,
    "password-change-required": accounts.password_change,
    "snmp-default": services.snmp_default,
    "telnet-open": services.open_service("telnet", "high", services.TELNET),
    "ipmi-reachable": ipmi.ipmi_reachable,
    "log-full": services.log_full,
    "legacy-tls": services.legacy_tls,
    "certificate-expired": services.certificate_expired,
    "http-open": services.open_service("http", "low", services.HTTP),
    "ipmi-needless": ipmi.ipmi_needless,
    "cipher-3-only": ipmi.cipher_3_only,
    "clock-off": services.clock_off,
    "certificate-self-signed": services.certificate_self_signed,
}
"""id → check; within a severity they are told in this order."""


def audit(exposure: Exposure, around: Surroundings) -> Audit:
    """Everything that is wrong, the worst first, and what could not be found out."""
    scene = Scene(exposure=exposure, around=around)
    said = {id: check(scene) for id, check in CHECKS.items()}
    found = [one for one in said.values() if isinstance(one, Finding)]
    return Audit(
        findings=tuple(sorted(found, key=lambda f: ORDER.index(f.severity))),
        unknown={id: why for id, why in said.items() if isinstance(why, str)},
    )


def completed(first: Exposure, second: Exposure) -> Exposure:
    """What two protocols told of one BMC: `first` stands where it told something.

    But for log-ins without a name: either protocol's users may be the ones that have one.
    """
    told = {key: getattr(second, key) for key in Exposure.model_fields if key != "unknown"}
    gained = {k: v for k, v in told.items() if v is not None and getattr(first, k) is None}
    unknown = {k: v for k, v in first.unknown.items() if k not in gained}
    if second.anonymous:
        gained["anonymous"] = True
    return first.model_copy(update={**gained, "unknown": unknown})
