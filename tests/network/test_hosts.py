"""A host's network: what is rendered, and what ifupdown2 makes of it."""

import json
import os
import shutil
import subprocess
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metal.drivers.proxmox.network_trial import network_trial
from metal.model.links import Link, Place, Role, address_in
from metal.network.engines.hosts import render_host_interfaces

GOLDEN = Path(__file__).parent / "golden" / "hosts"


def place(address: str, gateway: str | None = None, **link: object) -> Place:
    return Place.model_validate({"link": link, "address": address, "gateway": gateway})


HOSTS: dict[str, dict[Role, Place]] = {
    "one-card": {"management": place("10.11.1.11/24", "10.11.1.1", cards=["eno1"])},
    "bonds": {
        "management": place(
            "10.11.1.11/24", "10.11.1.1", cards=["eno1", "eno2"], bond="active-backup"
        ),
        "ceph": place("10.11.9.11/24", cards=["ens1f0", "ens1f1"], bond="802.3ad", mtu=9000),
        "corosync": place("10.11.8.11/24", cards=["eno3"]),
    },
    "tagged": {
        "management": place(
            "2001:db8:1::11/64", "2001:db8:1::1", cards=["eno1", "eno2"], bond="802.3ad", vlan=30
        ),
        "ceph": place("10.11.9.11/24", cards=["ens1f0"], mtu=9000, vlan=31),
        "replication": place("10.11.7.11/24", cards=["ens1f1"], mtu=9000),
        "corosync": place("10.11.8.11/24", cards=["eno3", "eno4"], bond="active-backup", vlan=32),
    },
}


@pytest.mark.parametrize("name", HOSTS)
def test_golden_interfaces(name: str) -> None:
    text, file = render_host_interfaces("alba1", HOSTS[name]), GOLDEN / f"{name}.interfaces"
    if os.environ.get("METAL_GOLDEN") == "1":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text(), f"if that is wanted: METAL_GOLDEN=1 pytest {__file__}"


@pytest.fixture(scope="module")
def ifupdown2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It cannot be installed beside Debian's ifupdown, so its package is unpacked."""
    if os.geteuid() or not shutil.which("apt-get") or not shutil.which("unshare"):
        pytest.skip("ifupdown2 is fetched with apt-get and run in a mount namespace, by root")
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("no mount namespace can be made here")
    folder = tmp_path_factory.mktemp("ifupdown2")
    get = ["apt-get", "download", "-q", "ifupdown2"]
    got = subprocess.run(get, cwd=folder, capture_output=True)
    packages = list(folder.glob("ifupdown2_*.deb"))
    if got.returncode or not packages:
        pytest.skip("ifupdown2 could not be fetched")
    subprocess.run(["dpkg-deb", "-x", packages[0], folder], check=True)
    # One program that looks at what it is called.
    (folder / "ifquery").symlink_to(folder / "usr/share/ifupdown2/__main__.py")
    return folder


@pytest.mark.parametrize("name", HOSTS)
def test_ifupdown2_reads_it_as_it_is_meant(ifupdown2: Path, name: str) -> None:
    (ifupdown2 / "etc/network/interfaces").write_text(render_host_interfaces("alba1", HOSTS[name]))
    enter = f"mount --bind {ifupdown2}/etc/network /etc/network && exec /usr/bin/python3 " + str(
        ifupdown2 / "ifquery"
    )
    ran = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{enter} -a -o json"], capture_output=True, text=True
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    seen = {row["name"]: row for row in json.loads(ran.stdout)}
    bonds = {r["config"]["bond-slaves"]: n for n, r in seen.items() if "bond-slaves" in r["config"]}
    for role, place in HOSTS[name].items():
        link = place.link
        port = bonds.pop(" ".join(link.cards)) if link.bond else link.cards[0]
        if link.bond:
            assert seen[port]["config"]["bond-mode"] == link.bond
        if role == "management":
            bridge = seen["vmbr0"]["config"]
            assert (bridge["bridge-ports"], bridge["bridge-vlan-aware"]) == (port, "yes")
            port = "vmbr0"
        own = seen[port if link.vlan is None else f"{port}.{link.vlan}"]
        assert own["auto"] is True
        assert own["config"]["address"] == str(place.address)
        assert own["config"].get("gateway") == (str(place.gateway) if place.gateway else None)
        assert own["config"].get("mtu") == (str(link.mtu) if link.mtu else None)
    assert not bonds


@pytest.mark.parametrize(("wrong", "fits"), [("", True), ("iface\n", False)])
def test_the_check_on_the_spot_asks_ifupdown2_itself(
    ifupdown2: Path, tmp_path: Path, wrong: str, fits: bool
) -> None:
    """Before a network is tried: real ifquery, the text that runs on the host."""
    file = tmp_path / "tree/etc/network/interfaces"
    file.parent.mkdir(parents=True)
    file.write_text(render_host_interfaces("alba1", HOSTS["bonds"]) + wrong)
    (tmp_path / "ifquery").write_text(
        f'#!/bin/sh\nexec /usr/bin/python3 {ifupdown2}/ifquery "$@"\n'
    )
    (tmp_path / "ifquery").chmod(0o755)
    enter = f'mount --bind {ifupdown2}/etc/network /etc/network && PATH={tmp_path}:$PATH exec "$@"'
    check = network_trial("", ["lo"]).check
    words = ["unshare", "-m", "sh", "-c", enter, "_", "sh", "-c", check, "_", tmp_path / "tree"]
    ran = subprocess.run(words, capture_output=True, text=True)
    assert (ran.returncode == 0) is fits, ran.stderr


@given(st.integers(1, 2**12 - 2), st.integers(20, 24), st.integers(16, 28))
def test_a_hosts_number_is_the_same_everywhere(number: int, long: int, other: int) -> None:
    management = ip_network(f"10.32.0.0/{long}")
    address = management.network_address + number % management.num_addresses
    network = ip_network(f"10.64.0.0/{other}")
    found = address_in(network, address, management)
    wanted = network.network_address + (int(address) - int(management.network_address))
    hosts = (network.network_address, network.broadcast_address)
    if wanted in network and wanted not in hosts:
        assert found == ip_interface(f"{wanted}/{other}")
    else:
        assert found is None


def test_the_example_of_the_docs() -> None:
    nine, one = ip_network("10.9.0.0/24"), ip_network("10.1.1.0/24")
    assert str(address_in(nine, ip_address("10.1.1.11"), one)) == "10.9.0.11/24"


def test_a_link_of_no_cards_is_none() -> None:
    with pytest.raises(ValueError, match="cards"):
        Link.model_validate({"cards": []})
