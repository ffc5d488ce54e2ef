"""The certificate authority of this controller's boot service: made once, pinned inside media.

No public authority vouches for an address in somebody's rack, and none needs to: the media carry
this one's certificate and trust no other. A server's clock may be years off before anybody set
it, so the certificates are valid at any time; who wants them gone removes `folder` and makes the
media anew.
"""

import datetime
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from metal.drivers.durable import make_folder, replace_file

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

EVER_SINCE = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
ALWAYS = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
"""RFC 5280, 4.1.2.5: of what has no end."""


class Authority:
    """`folder` holds ca.pem and ca.key, and what was issued last: server.pem, server.key (0600)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def certificate(self) -> str:
        """The authority's own, PEM; made now if there is none yet."""
        self._ensure()
        return (self._folder / "ca.pem").read_text()

    def issue(self, host: str) -> tuple[Path, Path]:
        """Files of a certificate (with the authority's behind it) and its key, for a server that
        is reached as `host`: a name, or an address without brackets."""
        self._ensure()
        files = self._folder / "server.pem", self._folder / "server.key"
        with self._alone():
            if not self._fits(files[0], host):
                self._issue(*files, host)
        return files

    def _fits(self, file: Path, host: str) -> bool:
        """Several processes serve at once: none replaces what another is about to read."""
        from cryptography import x509

        if not file.is_file():
            return False
        found, ca = x509.load_pem_x509_certificates(file.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        own = x509.load_pem_x509_certificate((self._folder / "ca.pem").read_bytes())
        return list(names) == [_name(host)] and ca == own

    def _issue(self, file: Path, key_file: Path, host: str) -> None:
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID

        key = _load_key((self._folder / "ca.key").read_bytes())
        ca = x509.load_pem_x509_certificate((self._folder / "ca.pem").read_bytes())
        own = _new_key()
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        cert = (
            _certificate(host, ca.subject, own)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([_name(host)]), critical=False)
            .add_extension(usage, critical=False)
            .add_extension(_authority_key(key), critical=False)
        )
        file.unlink(missing_ok=True)
        replace_file(key_file, _key_pem(own))
        replace_file(file, _signed(cert, key) + (self._folder / "ca.pem").read_bytes())

    def _ensure(self) -> None:
        if (self._folder / "ca.pem").is_file():
            return
        with self._alone():
            if not (self._folder / "ca.pem").is_file():
                self._make()

    def _make(self) -> None:
        """The key before the certificate: who sees that one has both."""
        from cryptography import x509

        key = _new_key()
        # A name of its own: a client that met another authority of ours does not mix them up.
        name = f"metal boot authority {os.urandom(4).hex()}"
        cert = (
            _certificate(name, None, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_signs_certificates(), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        replace_file(self._folder / "ca.key", _key_pem(key))
        replace_file(self._folder / "ca.pem", _signed(cert, key))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        make_folder(self._folder)
        lock = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _new_key() -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _load_key(pem: bytes) -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(pem, None)
    assert isinstance(key, EllipticCurvePrivateKey)
    return key


def _key_pem(key: "EllipticCurvePrivateKey") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _certificate(
    name: str, issuer: "x509.Name | None", key: "EllipticCurvePrivateKey"
) -> "x509.CertificateBuilder":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(EVER_SINCE)
        .not_valid_after(ALWAYS)
    )


def _signed(cert: "x509.CertificateBuilder", key: "EllipticCurvePrivateKey") -> bytes:
    from cryptography.hazmat.primitives import hashes, serialization

    return cert.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _name(host: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _authority_key(key: "EllipticCurvePrivateKey") -> "x509.AuthorityKeyIdentifier":
    from cryptography import x509

    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _signs_certificates() -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
