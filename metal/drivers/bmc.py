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
    why = None
    if protocol == "auto":
        why = why_no_redfish(access, timeout or PATIENCE["ipmi"])
        protocol = "ipmi" if why else "redfish"
    open_ = _redfish if protocol == "redfish" else _ipmi
    try:
        return open_(access, user, password, timeout or PATIENCE[protocol])
    except Unreachable as error:
        if why is None or type(why) is Unreachable:
            raise  # silent both ways
        raise Unreachable(
            f"no Redfish ({why.what}), and no IPMI either ({error.what})",
            where=error.where,
            mend=why.mend or error.mend,
        ) from error


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
    return why_no_redfish(access, timeout) is None


def why_no_redfish(access: BmcAccess, timeout: float) -> MetalError | None:
    """None where the Redfish root answers; else what came instead."""
    from metal.drivers.redfish_session import ROOT, Denied, RedfishSession

    session = RedfishSession(
        access.address,
        access.port or HTTPS,
        access.fingerprint,
        timeout,
        legacy_tls=access.tls == "legacy",
    )
    try:
        if "Systems" in session.get(ROOT):
            return None
        return Failed("its root names no systems", where=session.where)
    except Refused:
        raise
    except Denied:  # against the standard, some show even their root to none but users
        return None
    except MetalError as error:
        return error
    finally:
        session.logout()
