"""Web servers of the lab, each with a self-signed certificate of its own, as BMCs have."""

import datetime
import hashlib
import ssl
import warnings
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from metal.drivers import web


@dataclass(frozen=True)
class Certificate:
    """PEM files of a self-signed certificate, and its pin."""

    cert: Path
    key: Path
    fingerprint: str
    """SHA-256 of the DER form, upper-case hex pairs parted by colons."""


def self_signed(
    folder: Path,
    name: str,
    address: str,
    *,
    start: datetime.datetime | None = None,
    days: int = 3650,
) -> Certificate:
    """Make (or find again) the self-signed certificate `name` in `folder`.

    Valid for `days` from `start` (yesterday), whether or not that is over or to come.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cert_file, key_file = folder / f"{name}.crt", folder / f"{name}.key"
    if not cert_file.exists():
        first = start or datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        _make(cert_file, key_file, name, address, first, days)
    cert = x509.load_pem_x509_certificate(cert_file.read_bytes())
    digest = hashlib.sha256(cert.public_bytes(serialization.Encoding.DER)).hexdigest().upper()
    pin = ":".join(digest[i : i + 2] for i in range(0, 64, 2))
    return Certificate(cert_file, key_file, pin)


def _make(
    cert_file: Path, key_file: Path, name: str, address: str, start: datetime.datetime, days: int
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=days))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    cert_file.write_bytes(cert.public_bytes(serialization.Encoding.PEM))


class WebServer(web.WebServer):
    """A server of the lab: plain HTTP, or TLS with the given certificate."""

    def __init__(
        self, app: Any, host: str, port: int = 0, certificate: Certificate | None = None
    ) -> None:
        super().__init__(
            app,
            host,
            port,
            certificate=certificate.cert if certificate else None,
            key=certificate.key if certificate else None,
        )

    def speak_old_tls(self) -> None:
        """TLS 1.0 and nothing newer, as old firmware does. Before `start`."""
        config = self._server.config
        config.load()
        assert config.ssl is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            config.ssl.minimum_version = config.ssl.maximum_version = ssl.TLSVersion.TLSv1
        config.ssl.set_ciphers("ALL:@SECLEVEL=0")
