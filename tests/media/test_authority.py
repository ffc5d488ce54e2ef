"""The boot service's own authority: clients that trust it and nobody else get through."""

import ssl
import stat
import threading

import pytest
import requests

from metal.controller.serving import BootService
from metal.drivers.authority import Authority


def healthz(workspace, verify):
    session = requests.Session()
    session.trust_env = False
    return session.get(f"{workspace.boot_https_url}/healthz", verify=str(verify), timeout=5)


def test_who_trusts_it_is_answered_by_https(written):
    workspace = written()
    with BootService(workspace):
        assert healthz(workspace, workspace.state / "tls" / "ca.pem").json()["ok"] is True


def test_who_trusts_another_is_not(written, tmp_path):
    workspace = written()
    other = Authority(tmp_path / "other")
    assert other.certificate != workspace.authority.certificate
    with BootService(workspace), pytest.raises(requests.exceptions.SSLError):
        healthz(workspace, tmp_path / "other" / "ca.pem")


def test_another_host_is_another_certificate(tmp_path):
    authority = Authority(tmp_path)
    texts = [authority.issue(host)[0].read_text() for host in ("192.0.2.1", "boot.example.org")]
    assert texts[0] != texts[1]
    assert authority.issue("boot.example.org")[0].read_text() == texts[1], "kept as it is"


def test_private_halves_are_private(tmp_path):
    authority = Authority(tmp_path / "tls")
    authority.issue("fd77::1")
    modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in (tmp_path / "tls").iterdir()}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700


def test_a_clock_that_nobody_set_does_not_matter(tmp_path):
    from cryptography import x509

    for pem in (Authority(tmp_path).certificate, Authority(tmp_path).issue("a")[0].read_text()):
        cert = x509.load_pem_x509_certificate(pem.encode())
        assert (cert.not_valid_before_utc.year, cert.not_valid_after_utc.year) == (1970, 9999)


def test_many_that_begin_at_once_have_one_authority(tmp_path):
    found, start = [], threading.Barrier(8)

    def begin():
        start.wait()
        authority = Authority(tmp_path)
        cert, key = authority.issue("192.0.2.1")
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
        found.append(authority.certificate)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1
