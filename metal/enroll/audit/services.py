"""Services that are open, the certificate, the clock and the log. Pure."""

from collections.abc import Callable
from datetime import UTC, date, datetime

from metal.enroll.audit.scene import WEB_PAGE, Said, Scene
from metal.model.findings import Finding, Severity

SOON_DAYS = 30
TELNET = f"switch telnet off {WEB_PAGE}"
HTTP = f"let it redirect to HTTPS only, or switch HTTP off, {WEB_PAGE}"
CLOCK_OFF = 3600.0
"""Seconds: less is drift, and nothing that is read in its log goes wrong by it."""


def snmp_default(scene: Scene) -> Said:
    communities, on = scene.exposure.snmp_communities, scene.exposure.snmp
    if on is False:
        return None
    if communities is None:
        return scene.why_not("snmp_communities", "snmp")
    if not communities:
        return None
    severity: Severity = "high" if "private" in communities else "medium"
    return Finding(
        id="snmp-default",
        severity=severity,
        what=f"SNMP takes the community that everybody knows: {', '.join(communities)}",
        remedy=f"switch SNMP off {WEB_PAGE}, or use SNMPv3; metal changes nothing there",
        evidence=f"communities {', '.join(communities)}" + ("" if on else "; SNMP may be off"),
    )


def open_service(name: str, severity: Severity, remedy: str) -> Callable[[Scene], Said]:
    def check(scene: Scene) -> Said:
        services = scene.exposure.services
        if services is None:
            return scene.why_not("services")
        if name not in services:
            return None
        return Finding(
            id=f"{name}-open",
            severity=severity,
            what=f"{name} is open: what is typed there, passwords too, crosses the network in "
            "clear",
            remedy=remedy,
            evidence=f"open services: {', '.join(services)}",
        )

    return check


def certificate_expired(scene: Scene) -> Said:
    if scene.around.protocol != "redfish":
        return None  # IPMI has none
    text = scene.exposure.certificate_expires
    if text is None:
        return scene.why_not("certificate_expires")
    left = (date.fromisoformat(text[:10]) - scene.around.now.date()).days
    if left > SOON_DAYS:
        return None
    severity: Severity = "info" if scene.around.pinned or left > 0 else "medium"
    over = f"expired on {text}" if left <= 0 else f"expires on {text}"
    pinned = " (it is pinned, so that does no harm here)" if scene.around.pinned else ""
    return Finding(
        id="certificate-expired",
        severity=severity,
        what=f"its certificate {over}{pinned}",
        remedy=f"make a new one {WEB_PAGE}, then `metal bmc repin`",
        evidence=f"not valid after {text}",
    )


def certificate_self_signed(scene: Scene) -> Said:
    if scene.around.protocol != "redfish":
        return None
    signed = scene.exposure.certificate_self_signed
    if signed is None:
        return scene.why_not("certificate_self_signed")
    if not signed:
        return None
    pinned = scene.around.pinned
    return Finding(
        id="certificate-self-signed",
        severity="info" if pinned else "medium",
        what="nobody vouches for its certificate: it signed itself"
        + ("; it is pinned, and another is refused" if pinned else ""),
        remedy="none is needed: metal goes by the pin"
        if pinned
        else "enrol it: that pins the certificate",
        evidence="issuer and subject are the same",
    )


def legacy_tls(scene: Scene) -> Said:
    if not scene.around.legacy_tls:
        return None
    return Finding(
        id="legacy-tls",
        severity="medium",
        what="it speaks only TLS 1.0 or ciphers too old: who sits in between may read along",
        remedy='update its firmware, then take tls = "legacy" out of the inventory',
        evidence='bmc.tls = "legacy" in the inventory',
    )


def clock_off(scene: Scene) -> Said:
    text = scene.exposure.clock
    try:
        clock = datetime.fromisoformat(text) if text else None
    except ValueError:
        return f"its clock says {text!r}, which is no time"
    if clock is None:
        return scene.why_not("clock")
    clock = clock.replace(tzinfo=clock.tzinfo or UTC)
    off = abs((clock - scene.around.now).total_seconds())
    if off < CLOCK_OFF:
        return None
    unset = clock.year < 2005
    return Finding(
        id="clock-off",
        severity="low",
        what=f"its clock says {text}: it was never set" if unset else f"its clock says {text}",
        remedy=f"give it an NTP server {WEB_PAGE}; until then the times in its log are wrong",
        evidence=f"{text}, when it was {scene.around.now.isoformat(timespec='seconds')}",
    )


def log_full(scene: Scene) -> Said:
    if scene.exposure.log_full is None:
        return scene.why_not("log_full")
    if not scene.exposure.log_full:
        return None
    return Finding(
        id="log-full",
        severity="medium",
        what="its event log is full: what happens next is not written down",
        remedy=f"save and clear it {WEB_PAGE}, or: ipmitool sel save FILE; ipmitool sel clear",
        evidence="it says that no entry fits in any more",
    )
