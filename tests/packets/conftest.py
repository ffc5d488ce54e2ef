"""Two sites of namespaces, built once for all tests of this folder, and nothing of it left."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from metal.inventory import load
from metal.lab.wires.machine import machines
from metal.lab.wires.topology import Wires, build
from metal.network.addresses import plan_addresses
from metal.network.tree import render_tree
from metal.network.view import views

HERE = Path(__file__).resolve().parent
TOOLS = {
    "nft": "nftables",
    "haproxy": "haproxy",
    "keepalived": "keepalived",
    "radvd": "radvd",
    "unbound": "unbound",
    "named": "bind9",
    "dig": "bind9-dnsutils",
    "tayga": "tayga",
    "wg-quick": "wireguard-tools",
    "wireguard-go": "wireguard-go",
    "ifup": "ifupdown",
    "nmap": "nmap",
    "openssl": "openssl",
}


@pytest.fixture(scope="package")
def folder() -> Iterator[Path]:
    """The engines drop root and want to read their files: no folder of pytest's own."""
    with tempfile.TemporaryDirectory(prefix="metal-wires-") as place:
        Path(place).chmod(0o755)
        yield Path(place)


@pytest.fixture(scope="package")
def wires(folder: Path) -> Iterator[Wires]:
    if os.geteuid():
        pytest.skip("namespaces and routes want root")
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = sorted({p for t, p in TOOLS.items() if not shutil.which(t, path=path)})
    if missing:
        pytest.skip(f"not installed: {' '.join(missing)}")
    if subprocess.run(["unshare", "-n", "-m", "-p", "--fork", "true"]).returncode:
        pytest.skip("no namespaces may be made here (unshare -n -m -p)")
    text = (HERE / "two-sites.toml").read_text()
    keys = {name: _key() for name in ("north", "south", "ana")}
    for name, (_, public) in keys.items():
        text = text.replace(f"KEY-{name}", public)
    (folder / "inventory.toml").write_text(text)
    inventory = load(folder)
    homes = {vm: wanted.cluster for vm, wanted in inventory.vms.items() if wanted.cluster}
    plan = plan_addresses(inventory, homes, {})
    assert not plan.shortages
    numbers = {vm: 100 + n for n, vm in enumerate(inventory.vms)}
    seen = views(inventory, homes, plan, numbers)
    tree = render_tree(seen)
    place = folder / "machines"
    for path_, file in tree.files.items():
        _write(place / path_, file.text)
    _write(place / "ana/etc/wireguard/mesh.conf", tree.files["mesh/ana.conf"].text)
    for name, (private, _) in keys.items():
        for machine in [f"{name}/gateway1", f"{name}/gateway2"] if name != "ana" else ["ana"]:
            _write(place / machine / "etc/wireguard/mesh.key", private)
    logs = folder / "logs"
    logs.mkdir()
    certificate = _certificate(folder)
    with machines(logs) as made:
        yield build(made, seen, tree, place, certificate)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _key() -> tuple[str, str]:
    private = subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout
    public = subprocess.run(
        ["wg", "pubkey"], input=private, capture_output=True, text=True, check=True
    ).stdout
    return private, public.strip()


def _certificate(folder: Path) -> Path:
    key, certificate, both = folder / "key.pem", folder / "certificate.pem", folder / "both.pem"
    words = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    out = ["-subj", "/CN=wires", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", *words, *out], check=True, capture_output=True)
    both.write_text(key.read_text() + certificate.read_text())
    return both
