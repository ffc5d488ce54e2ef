"""The connection to a BMC: its pin, its TLS session, its place among the others'."""

from __future__ import annotations

from pathlib import Path

import pytest

from metal.drivers.connections import OPEN
from metal.drivers.wire import Call, Wire
from metal.lab.web import Certificate, self_signed
from metal.model.errors import Refused
from tests.bmc.tls_site import Site

OTHER = ":".join(["AB"] * 32)
ASKED = Call("GET", "/", {"X-Auth-Token": "secret"}, None)


def ask(wire: Wire, most: int = 100) -> bytes:
    return wire.exchange(ASKED, most=most, within=10).body


def test_the_first_certificate_seen_is_the_pin(site: Site, certificate: Certificate) -> None:
    wire = Wire("127.0.0.1", site.web.port, None)
    assert wire.fingerprint is None and wire.certificate is None
    assert ask(wire) == b"hello"
    assert wire.fingerprint == certificate.fingerprint and wire.certificate
    wire.close()


def test_another_certificate_is_refused_before_a_token_is_sent(site: Site) -> None:
    before = len(OPEN)
    with pytest.raises(Refused, match="so nothing was sent"):
        ask(Wire("127.0.0.1", site.web.port, OTHER))
    assert site.requests == [] and len(OPEN) == before


def test_a_connection_that_made_room_goes_on_with_its_tls_session(site: Site) -> None:
    wire = Wire("127.0.0.1", site.web.port, None)
    for resumed in (False, True, True):
        assert ask(wire) == b"hello"
        assert wire.resumed is resumed
        wire.close()
    assert len(site.requests) == 3


def test_a_tls_session_opens_no_door_to_another_certificate(
    site: Site, certificate: Certificate, tmp_path: Path
) -> None:
    """What was resumable is offered to whoever took the BMC's place, and does not help it."""
    wire = Wire("127.0.0.1", site.web.port, None)
    ask(wire)
    wire.close()
    site.web.stop()
    thief = Site(self_signed(tmp_path, "thief", "127.0.0.1"), site.web.port)
    try:
        with pytest.raises(Refused, match=certificate.fingerprint):
            ask(wire)
        assert thief.requests == []
    finally:
        thief.web.stop()


def test_a_body_that_is_too_large_ends_the_connection(site: Site) -> None:
    wire = Wire("127.0.0.1", site.web.port, None)
    before = len(OPEN)
    assert ask(wire, most=3) == b"hell"
    assert len(OPEN) == before
    assert ask(wire) == b"hello"
    wire.close()


def test_a_connection_is_kept_from_call_to_call(site: Site) -> None:
    wire, before = Wire("127.0.0.1", site.web.port, None), len(OPEN)
    assert ask(wire) == ask(wire) == b"hello"
    assert len(OPEN) == before + 1 and not wire.resumed
    wire.close()
    assert len(OPEN) == before
