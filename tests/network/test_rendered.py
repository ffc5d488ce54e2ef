"""Everything the gateways, name servers and the mesh are told: golden files, each engine's check.

The charity's whole network is rendered. Each text is judged by its own tool, and each kind of
mistake that a tool is there for is shown to be found.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from metal.drivers.engine_checks import CHECKERS, check
from metal.model.errors import Refused
from metal.model.fleet import Inventory
from metal.network.addresses import plan_addresses
from metal.network.engines.zonefile import serial_of
from metal.network.mesh import mesh
from metal.network.tree import FOR_ALL, Tree, by_hand, render_tree
from metal.network.view import View, views

GOLDEN = Path(__file__).parent / "golden" / "tree"
SHOWN = ("lisbon/", "utrecht/", "dns/", "mesh/")
"""The other sites' are judged by their engines, and no reviewer reads more of the same."""


@pytest.fixture(scope="module")
def seen(charity: Inventory, charity_homes: dict[str, str]) -> dict[str, View]:
    numbers = {vm: 100 + n for n, vm in enumerate(charity.vms)}
    return views(charity, charity_homes, plan_addresses(charity, charity_homes, {}), numbers)


@pytest.fixture(scope="module")
def tree(seen: dict[str, View]) -> Tree:
    return render_tree(seen)


def judged(engine: str, file: Path, zone: str = "") -> str:
    """As `check`; skips the test where the tool is missing."""
    try:
        return check(engine, file, zone)
    except Refused as error:
        pytest.skip(str(error))


def test_all_of_it_as_expected(tree: Tree) -> None:
    texts = {path: file.text for path, file in tree.files.items()}
    both = [path for path in FOR_ALL if f"lisbon/gateway2/{path}" in texts]
    assert all(texts[f"lisbon/gateway1/{p}"] == texts[f"lisbon/gateway2/{p}"] for p in both)
    shown = {
        path: text
        for path, text in texts.items()
        if path.startswith(SHOWN) and path not in {f"lisbon/gateway2/{p}" for p in both}
    }
    if os.environ.get("METAL_GOLDEN"):
        for file in sorted(GOLDEN.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        for path, text in shown.items():
            (GOLDEN / path).parent.mkdir(parents=True, exist_ok=True)
            (GOLDEN / path).write_text(text)
    there = {str(f.relative_to(GOLDEN)) for f in GOLDEN.rglob("*") if f.is_file()}
    assert there == set(shown)
    for path, text in shown.items():
        assert text == (GOLDEN / path).read_text(), path
    assert tree.notes == ()


@pytest.mark.parametrize("engine", sorted(CHECKERS))
def test_its_own_tool_accepts_every_file(engine: str, tree: Tree, tmp_path: Path) -> None:
    mine = {path: file for path, file in tree.files.items() if file.engine == engine}
    assert mine
    for path, file in mine.items():
        there = tmp_path / path
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(file.text)
        assert judged(engine, there, file.zone) == "", path


SLIPS = {
    "nft": ("etc/nftables.conf", "policy drop;", "policy dropp;"),
    "haproxy": ("etc/haproxy/haproxy.cfg", "use_backend www-80", "use_backend wwww-80"),
    "keepalived": (
        "etc/keepalived/keepalived.conf",
        "virtual_router_id 51",
        "virtual_router_id 999",
    ),
    "radvd": ("etc/radvd.conf", "AdvAutonomous off;", "AdvAutonomous of;"),
    "unbound": ("etc/metal/dns64.conf", "/64 allow", "/64 alow"),
    "tayga": ("etc/metal/tayga.conf", "ipv4-addr 198.18.0.1", "ipv4-addr 198.18.0"),
    "ifupdown": ("etc/network/interfaces.d/metal", "inet6 static", "inet6 fixed"),
    "wireguard": ("etc/wireguard/mesh.conf", "PublicKey = ", "PublicKey = x"),
}


@pytest.mark.parametrize("engine", sorted(SLIPS))
def test_its_own_tool_finds_a_slip(engine: str, tree: Tree, tmp_path: Path) -> None:
    path, right, wrong = SLIPS[engine]
    text = tree.files[f"lisbon/gateway1/{path}"].text
    assert right in text
    file = tmp_path / Path(path).name
    file = file if file.suffix == ".conf" else file.with_suffix(".conf")
    file.write_text(text.replace(right, wrong, 1))
    assert judged(engine, file)


@pytest.mark.parametrize(
    ("path", "right", "wrong"),
    [
        ("dns/db.attic.example.org", "git IN A 198", "git IN A 298"),
        ("dns/named.conf.metal", "type primary", "type primery"),
    ],
)
def test_a_slip_in_the_zones_is_found(
    tree: Tree, tmp_path: Path, path: str, right: str, wrong: str
) -> None:
    file = tree.files[path]
    (tmp_path / "file").write_text(file.text.replace(right, wrong, 1))
    assert judged(file.engine, tmp_path / "file", file.zone)


def test_no_private_key_is_in_any_text(tree: Tree) -> None:
    for path, file in tree.files.items():
        assert "PrivateKey" not in file.text, path


def test_a_zone_gets_a_new_serial_when_it_says_something_new(seen: dict[str, View]) -> None:
    path = "dns/db.attic.example.org"
    before = {p: f.text for p, f in render_tree(seen).files.items()}
    assert serial_of(before[path]) == 1
    again = render_tree(seen, before=before)
    assert again.files[path].text == before[path]
    before[path] = before[path].replace("git IN A", "got IN A")
    mended = render_tree(seen, before=before)
    assert serial_of(mended.files[path].text) == 2
    before["dns/db.attic.example.org.own"] = "@ IN MX 10 mail1\n"
    own = render_tree(seen, before=before)
    text = own.files[path].text
    assert "$INCLUDE /etc/bind/metal/db.attic.example.org.own ; sha256 " in text
    assert own.files[path].judged.endswith("\n@ IN MX 10 mail1\n\n"), "as it is read there"


def test_one_site_alone_is_the_same_as_in_the_whole(seen: dict[str, View], tree: Tree) -> None:
    alone = render_tree(seen, site="berlin").files
    assert alone == {p: f for p, f in tree.files.items() if p.startswith("berlin/")}


def test_members_of_the_mesh_have_addresses_of_their_own(charity: Inventory) -> None:
    members = mesh(charity)
    assert [m.name for m in members] == ["lisbon", "berlin", "genoa", "utrecht", "ana", "bruno"]
    assert len({m.address4 for m in members}) == len({m.address6 for m in members}) == len(members)


def test_what_cannot_be_told_is_said(make_fleet: Callable[..., Inventory]) -> None:
    fleet = make_fleet(
        {"web": {"ipv4": "dedicated", "serves": [{"port": 443, "name": "www.elsewhere.example"}]}}
    )
    homes = {"web": "here"}
    notes = render_tree(views(fleet, homes, plan_addresses(fleet, homes, {}))).notes
    assert any("one: the inventory has no gateways" in note for note in notes)
    assert any("no firewall for web" in note for note in notes)
    assert any("www.elsewhere.example (web)" in note for note in notes)
    assert any("no VM serves port 53" in note for note in notes)


def test_the_firewall_that_metal_set_up_is_not_overwritten(seen: dict[str, View]) -> None:
    """Its rules let management in: a file that knows nothing of them would lock it out, or open
    it to the world."""
    assert "lisbon/firewall/cluster.fw" in render_tree(seen).files
    told = {"management_from": (ip_network("10.11.1.0/24"),)}
    closed = {
        name: replace(
            view,
            inventory=view.inventory.model_copy(
                update={"fleet": view.inventory.fleet.model_copy(update=told)}
            ),
        )
        for name, view in seen.items()
    }
    tree = render_tree(closed)
    assert not [path for path in tree.files if path.endswith("cluster.fw")]
    assert [path for path in tree.files if path.startswith("lisbon/firewall/")]
    assert any("no firewall/cluster.fw" in note for note in tree.notes)


def test_what_a_person_places_is_told_with_where(seen: dict[str, View]) -> None:
    said = list(by_hand(seen))
    assert not any("firewall" in line for line in said), "that is given by `metal network apply`"
    assert "by hand: mesh/ana.conf to /etc/wireguard/mesh.conf of the machine of ana" in said
    assert all("lisbon/" in line for line in by_hand(seen, "lisbon"))
