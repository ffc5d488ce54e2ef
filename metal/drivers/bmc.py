"""The door to every BMC: Redfish where there is one, IPMI where there is none."""

from typing import TYPE_CHECKING

from metal.model.errors import Failed, MetalError, Refused, Unreachable
from metal.model.fleet import BmcAccess

if TYPE_CHECKING:  # requests and pyghmi cost a third of a second: loaded when used
    from metal.drivers.ports import Bmc

HTTPS, RMCP = 443, 623
PATIENCE = {"redfish": 60.0, "ipmi": 8.0}
"""Seconds for one answer: some BMCs need 30 s for a resource (R21), none as long for a datagram."""


def connect(access: BmcAccess, user: str, password: str, *, timeout: float | None = None) -> "Bmc":
    """Log in: one try with this credential, no other.

    `timeout` is in seconds for each answer; without it the access's own, else PATIENCE, holds.
    `access.fingerprint` is enforced; without it the certificate seen is trusted and told by the
    Bmc's `fingerprint`. Refused: wrong password or changed certificate. Unreachable: no answer.
    """
    protocol, timeout = access.protocol, timeout or access.timeout
    if protocol == "auto":
        protocol = "redfish" if speaks_redfish(access, timeout or PATIENCE["ipmi"]) else "ipmi"
    open_ = _redfish if protocol == "redfish" else _ipmi
    return open_(access, user, password, timeout or PATIENCE[protocol])


def _redfish(access: BmcAccess, user: str, password: str, timeout: float) -> "Bmc":
    from metal.drivers.redfish import Redfish

    return Redfish(
        access.address,
        user,
        password,
        port=access.port or HTTPS,
        fingerprint=access.fingerprint,
        timeout=timeout,
        node=access.node,
        legacy_tls=access.tls == "legacy",
    )


def _ipmi(access: BmcAccess, user: str, password: str, timeout: float) -> "Bmc":
    from metal.drivers.ipmi import Ipmi

    return Ipmi(
        access.address,
        user,
        password,
        port=access.port or RMCP,
        cipher_suite=access.cipher_suite,
        timeout=timeout,
    )


def speaks_redfish(access: BmcAccess, timeout: float) -> bool:
    """Whether the Redfish root answers. No credential is sent; a changed certificate is Refused."""
    from metal.drivers.redfish_session import ROOT, RedfishSession

    session = RedfishSession(
        access.address,
        access.port or HTTPS,
        access.fingerprint,
        timeout,
        legacy_tls=access.tls == "legacy",
    )
    try:
        return "Systems" in session.get(ROOT)
    except Refused:
        raise
    except (Unreachable, Failed, MetalError):
        return False
    finally:
        session.logout()
