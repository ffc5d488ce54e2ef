"""The door to every BMC: Redfish where there is one, IPMI where there is none."""

from typing import TYPE_CHECKING

from metal.model.errors import Failed, MetalError, Refused, Unreachable
from metal.model.fleet import BmcAccess

if TYPE_CHECKING:  # requests and pyghmi cost a third of a second: loaded when used
    from metal.drivers.ports import Bmc

HTTPS, RMCP = 443, 623


def connect(access: BmcAccess, user: str, password: str, *, timeout: float = 30) -> "Bmc":
    """Log in: one try with this credential, no other.

    `access.fingerprint` is enforced; without it the certificate seen is trusted and told by the
    Bmc's `fingerprint`. Refused: wrong password or changed certificate. Unreachable: no answer.
    """
    protocol = access.protocol
    if protocol == "auto":
        protocol = "redfish" if _speaks_redfish(access, timeout) else "ipmi"
    if protocol == "redfish":
        return _redfish(access, user, password, timeout)
    return _ipmi(access, user, password, timeout)


def _redfish(access: BmcAccess, user: str, password: str, timeout: float) -> "Bmc":
    from metal.drivers.redfish import Redfish

    return Redfish(
        access.address,
        user,
        password,
        port=access.port or HTTPS,
        fingerprint=access.fingerprint,
        timeout=timeout,
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


def _speaks_redfish(access: BmcAccess, timeout: float) -> bool:
    """Whether the Redfish root answers. No credential is sent; a changed certificate is Refused."""
    from metal.drivers.redfish_session import ROOT, RedfishSession

    session = RedfishSession(
        access.address, access.port or HTTPS, access.fingerprint, min(timeout, 10)
    )
    try:
        return "Systems" in session.get(ROOT)
    except Refused:
        raise
    except (Unreachable, Failed, MetalError):
        return False
    finally:
        session.logout()
