"""No byte of a request reaches a server with another certificate than the pinned one."""

import gc
import socket
import weakref
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter

from metal.drivers.pinned_requests import pinned_session, seen_fingerprint
from metal.drivers.pins import fetch_fingerprint
from metal.lab.web import Certificate, self_signed
from metal.model.errors import Refused, Unreachable
from tests.bmc.tls_site import Site

OTHER = ":".join(["AB"] * 32)


def test_first_use_tells_the_fingerprint(site: Site, certificate: Certificate) -> None:
    assert fetch_fingerprint("127.0.0.1", site.web.port) == certificate.fingerprint
    session = pinned_session(None)
    assert seen_fingerprint(session) is None
    assert session.get(site.web.url).text == "hello"
    assert seen_fingerprint(session) == certificate.fingerprint


@pytest.mark.filterwarnings("error::urllib3.exceptions.InsecureRequestWarning")
def test_the_pinned_one_is_trusted_without_a_warning(site: Site, certificate: Certificate) -> None:
    with pinned_session(certificate.fingerprint.lower()) as session:
        assert session.get(site.web.url).ok


def test_another_certificate_is_refused_before_a_request_is_sent(
    site: Site, certificate: Certificate
) -> None:
    with pytest.raises(Refused) as caught:
        pinned_session(OTHER).get(site.web.url, auth=("root", "calvin"))
    assert OTHER in str(caught.value) and certificate.fingerprint in str(caught.value)
    assert "→" in str(caught.value)
    assert site.requests == []


def test_a_certificate_that_changes_during_a_session_is_refused(site: Site, tmp_path: Path) -> None:
    other = Site(self_signed(tmp_path, "other", "127.0.0.1"))
    session = pinned_session(None)
    session.get(site.web.url)
    with pytest.raises(Refused):
        session.get(other.web.url)
    assert other.requests == []
    other.web.stop()


def test_a_session_that_nobody_closed_leaves_no_connection_behind(site: Site) -> None:
    """A watcher makes thousands; urllib3 closes their connections when their pool is gone."""
    session = pinned_session(None)
    session.get(site.web.url)
    adapter = session.get_adapter(site.web.url)
    assert isinstance(adapter, HTTPAdapter)
    pool = weakref.ref(adapter.poolmanager.connection_from_url(site.web.url))
    assert pool() is not None
    del session, adapter
    gc.collect()
    assert pool() is None


def test_never_in_clear() -> None:
    with pytest.raises(requests.exceptions.InvalidSchema):
        pinned_session(OTHER).get("http://127.0.0.1:1/")


def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match="no answer"):
            fetch_fingerprint("127.0.0.1", unused.getsockname()[1], timeout=1)
