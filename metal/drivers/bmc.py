"""The door to every BMC: Redfish where there is one, IPMI where there is none."""

from typing import TYPE_CHECKING

from metal.model.errors import Failed, MetalError, Refused, Unreachable
from metal.model.fleet import BmcAccess

if TYPE_CHECKING:  # requests and pyghmi cost a third of a second: loaded when used
    from metal.drivers.ports import Bmc
    from metal.drivers.redfish_session import RedfishSession

HTTPS, RMCP = 443, 623
PATIENCE = {"redfish": 60.0, "ipmi": 8.0}
"""Seconds for one answer: some BMCs need 30 s for a resource (R21), none as long for a datagram."""


class NoSystems(Failed):
    """It is a Redfish service, and has no servers as far as it tells to anybody."""


def connect(access: BmcAccess, user: str, password: str, *, timeout: float | None = None) -> "Bmc":
    """Log in: one try with this credential, no other.

    `timeout` is in seconds for each answer; without it the access's own, else PATIENCE, holds.
    `access.fingerprint` is enforced; without it the certificate seen is trusted and told by the
    Bmc's `fingerprint`. Refused: wrong password or changed certificate. Unreachable: no answer.
    """
    given = timeout or access.timeout
    if access.protocol == "ipmi":
        return _ipmi(access, user, password, given or PATIENCE["ipmi"])
    if access.protocol == "redfish":
        return _redfish(access, user, password, given or PATIENCE["redfish"])
    session = _session(access, given or PATIENCE["ipmi"])
    why = _why_not(session)
    if why is None:
        session.patience = given or PATIENCE["redfish"]
        return _redfish(access, user, password, session.patience, session)
    try:
        return _ipmi(access, user, password, given or PATIENCE["ipmi"])
    except Unreachable as error:
        if isinstance(why, NoSystems):
            # A PDU, the manager of a chassis: a log-in is told which. Or one that hides them (R54).
            seen = access.model_copy(update={"fingerprint": session.fingerprint})
            return _redfish(seen, user, password, given or PATIENCE["redfish"])
        silent = type(why) is Unreachable  # both ways: what IPMI advises holds for both
        raise Unreachable(
            f"no Redfish on TCP port {access.port or HTTPS} ({why.what}), and no IPMI on UDP port "
            f"{access.port or RMCP} ({error.what})",
            where=error.where,
            mend=error.mend if silent else why.mend or error.mend,
        ) from error


def _redfish(
    access: BmcAccess,
    user: str,
    password: str,
    timeout: float,
    session: "RedfishSession | None" = None,
) -> "Bmc":
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
        session=session,
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


def beside_redfish(access: BmcAccess) -> BmcAccess:
    """The IPMI of a BMC that is spoken to over Redfish: a port of its own, and no certificate."""
    return access.model_copy(
        update={"protocol": "ipmi", "port": access.ipmi_port, "fingerprint": None}
    )


def speaks_redfish(access: BmcAccess, timeout: float) -> bool:
    """Whether the Redfish root answers. No credential is sent; a changed certificate is Refused."""
    session = _session(access, timeout)
    try:
        return _why_not(session) is None
    finally:
        session.logout()


def shown_fingerprint(access: BmcAccess) -> str:
    """Of the certificate that it shows now to whoever asks for its service root, whatever is
    pinned. No credential is sent. Raises as `connect` where that does not answer."""
    unpinned = access.model_copy(update={"fingerprint": None})
    session = _session(unpinned, access.timeout or PATIENCE["redfish"])
    try:
        session.seen_root()
        assert session.fingerprint, "an answer came over TLS"
        return session.fingerprint
    finally:
        session.logout()


def _session(access: BmcAccess, timeout: float) -> "RedfishSession":
    from metal.drivers.redfish_session import RedfishSession

    return RedfishSession(
        access.address,
        access.port or HTTPS,
        access.fingerprint,
        timeout,
        legacy_tls=access.tls == "legacy",
    )


def _why_not(session: "RedfishSession") -> MetalError | None:
    """None where the Redfish root answers; else what came instead, and the connection is closed."""
    from metal.drivers.redfish_session import Denied

    try:
        root = session.seen_root()
        if "Systems" in root:
            return None
        kind = NoSystems if "RedfishVersion" in root else Failed
        why: MetalError = kind("its root names no systems", where=session.where)
    except Refused:
        session.logout()
        raise
    except Denied:  # against the standard, some show even their root to none but users
        return None
    except MetalError as error:
        why = error
    session.logout()
    return why
