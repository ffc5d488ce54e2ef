"""The first word with a node that nobody knows yet: which certificate it shows."""

import requests

from metal.drivers.pinned_requests import pinned_session, seen_fingerprint
from metal.model.errors import Failed, MetalError, Unreachable


def shown(address: str, port: int, *, timeout: float = 10.0) -> str:
    """SHA-256 of its certificate. No credential is sent. Unreachable without answer."""
    session = pinned_session(None, timeout=timeout)
    host = f"[{address}]" if ":" in address else address
    where = f"{host}:{port}"
    try:
        # Without a ticket it answers 401: all we want is the handshake.
        session.get(f"https://{host}:{port}/api2/json/version", allow_redirects=False)
    except MetalError:
        raise
    except requests.exceptions.RequestException:
        raise Unreachable(
            "no Proxmox answers there",
            where=where,
            mend="its API listens on port 8006: check the address, and the way to it",
        ) from None
    finally:
        fingerprint = seen_fingerprint(session)
        session.close()
    if fingerprint is None:
        raise Failed("it showed no certificate", where=where)
    return fingerprint
