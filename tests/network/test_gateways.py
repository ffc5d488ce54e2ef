"""Gateways' NAT and proxy: what is open, and a real hand-shake."""

import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from metal.model.fleet import Inventory
from metal.network.addresses import AddressPlan, plan_addresses
from metal.network.engines.haproxy import render_haproxy
from metal.network.engines.nftables import render_nftables
from metal.network.view import views

SITES = ("lisbon", "berlin", "genoa", "utrecht")


@pytest.fixture(scope="module")
def planned(charity: Inventory, charity_homes: dict[str, str]) -> AddressPlan:
    return plan_addresses(charity, charity_homes, {})


def nft() -> list[str]:
    """How to run nft here, or skip: it wants a network namespace of its own."""
    binary = shutil.which("nft") or shutil.which("nft", path="/usr/sbin")
    if not binary:
        pytest.skip("nft is not installed")
    unshared = ["unshare", "-rn", binary]
    if subprocess.run([*unshared, "list", "tables"], capture_output=True).returncode:
        pytest.skip("no network namespace may be made here (unshare -rn)")
    return unshared


def haproxy() -> str:
    binary = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if not binary:
        pytest.skip("haproxy is not installed")
    return binary


@pytest.mark.parametrize("site", SITES)
def test_nothing_is_open_that_was_not_promised(
    site: str, charity: Inventory, charity_homes: dict[str, str], planned: AddressPlan
) -> None:
    text = render_nftables(views(charity, charity_homes, planned)[site])
    forwarded = re.findall(r"ip daddr (\S+) (tcp|udp) dport (\d+) dnat to (\S+)", text)
    promised = {
        (f.public, f.protocol, str(f.port), has.private_ipv4.split("/")[0])
        for vm, has in planned.given.items()
        if charity.site_of(charity_homes[vm]) == site
        for f in has.forwards
    }
    assert set(forwarded) == promised
    assert len(forwarded) == len(promised)
    opened = re.findall(r"ip6 daddr (\S+) (tcp|udp) dport (\d+) accept", text)
    served = {
        ((planned.given[vm].ipv6 or "").split("/")[0], s.protocol, str(s.port))
        for vm, wanted in charity.vms.items()
        if charity.site_of(charity_homes[vm]) == site
        for s in wanted.serves
    }
    assert set(opened) == served
    assert "hook forward priority filter; policy drop;" in text


def test_a_site_without_proxied_vms_has_no_proxy(
    charity: Inventory, charity_homes: dict[str, str], planned: AddressPlan
) -> None:
    assert render_haproxy(views(charity, charity_homes, planned)["utrecht"]) == ""


# ── A proxy that runs ────────────────────────────────────────────────────────────────────────

PROXY, BEHIND = "127.91.0.1", "127.91.128.0/24"
"""Loopback stands for the public address and for the VMs' network."""


class Answering(threading.Thread):
    """A TLS server that says its name to whoever comes, as a VM behind the proxy."""

    def __init__(self, name: str, address: str, port: int, folder: Path) -> None:
        super().__init__(daemon=True)
        self._text = name.encode()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*_certificate(name, folder))
        self._socket = socket.create_server((address, port))

    def run(self) -> None:
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                return
            with self._context.wrap_socket(plain, server_side=True) as talk:
                talk.sendall(self._text)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _certificate(name: str, folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.crt", folder / f"{name}.key"
    files[0].write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


def free_port() -> int:
    with socket.create_server((PROXY, 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def proxied(
    make_fleet: Callable[..., Inventory], tmp_path: Path
) -> Iterator[tuple[int, dict[str, str]]]:
    """haproxy as rendered, before two VMs: (its port, name → VM)."""
    binary, port = haproxy(), free_port()
    names = {"wiki": "wiki.example.org", "shop": "shop.example.org"}
    vms: dict[str, dict[str, Any]] = {
        vm: {"ipv4": "proxy", "serves": [{"port": port, "name": name}]}
        for vm, name in names.items()
    }
    fleet = make_fleet(vms, pool=(PROXY,), private=BEHIND)
    homes = dict.fromkeys(vms, "here")
    plan = plan_addresses(fleet, homes, {})
    given = plan.given
    servers = [
        Answering(vm, has.private_ipv4.split("/")[0], port, tmp_path) for vm, has in given.items()
    ]
    for server in servers:
        server.start()
    file = tmp_path / "haproxy.cfg"
    file.write_text(render_haproxy(views(fleet, homes, plan)["one"]))
    running = subprocess.Popen([binary, "-db", "-f", str(file)], stdout=subprocess.DEVNULL)
    try:
        _until_it_listens(port)
        yield port, {name: vm for vm, name in names.items()}
    finally:
        running.terminate()
        running.wait(10)
        for server in servers:
            server.close()


def _until_it_listens(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection((PROXY, port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def greeting(port: int, name: str) -> str:
    """What the VM behind the proxy says to a TLS client that asks for `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((PROXY, port), 5) as plain,
        context.wrap_socket(plain, server_hostname=name) as talk,
    ):
        return talk.recv(100).decode()


def test_names_are_told_apart_and_unknown_ones_refused(
    proxied: tuple[int, dict[str, str]],
) -> None:
    port, names = proxied
    for name, vm in names.items():
        assert greeting(port, name) == vm
        assert greeting(port, name.upper()) == vm
    with pytest.raises(OSError):
        greeting(port, "elsewhere.example.org")
