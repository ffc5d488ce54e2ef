"""A new workspace: sound but for the key, the mirror this machine's, nothing overwritten."""

import tomllib
from pathlib import Path

import pytest

from metal.inventory import InventoryErrors, load
from metal.inventory.apt import apt_mirror
from metal.inventory.init import init
from metal.model.errors import Refused

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOFQR82sR9l2HrhOaZOTKxsNOH7up80N8Q6GD7Tf1dWk ana"

MODERN = """\
Types: deb
URIs: http://security.example.org/debian-security
Suites: trixie-security
Components: main

# The archive.
Types: deb deb-src
URIs: http://mirror.example.org/debian/
Suites: trixie trixie-updates
Components: main
 non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
OTHERS = """\
# deb http://commented.example.org/debian trixie main
deb-src http://source.example.org/debian trixie main
deb [arch=amd64] http://vendor.example.org/tool stable main
deb http://user:pass@private.example.org/debian trixie main
deb cdrom:[Debian]/ trixie main
"""


def sources(root: Path, **files: str) -> Path:
    folder = root / "etc" / "apt" / "sources.list.d"
    folder.mkdir(parents=True)
    for name, text in files.items():
        name = name.replace("_", ".")
        target = folder.parent if name == "sources.list" else folder
        (target / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "mirror"),
    [
        ({"debian_sources": MODERN}, "http://mirror.example.org/debian"),
        ({"a_list": OTHERS, "z_sources": MODERN}, "http://mirror.example.org/debian"),
        ({"sources_list": OTHERS}, None),
        (
            {"sources_list": "deb [signed-by=/k] https://m.example.org/debian bookworm main # x\n"},
            "https://m.example.org/debian",
        ),
        ({"debian_sources": MODERN.replace("Types: deb deb", "Enabled: no\nTypes: deb deb")}, None),
        ({"sources_list": "deb http://m.example.org/ubuntu noble main\n"}, None),
        ({}, None),
    ],
)
def test_the_mirror_is_the_archive(
    tmp_path: Path, files: dict[str, str], mirror: str | None
) -> None:
    assert apt_mirror(sources(tmp_path, **files)) == mirror


def test_a_mirror_list_in_a_file_is_followed(tmp_path: Path) -> None:
    uri = "mirror+file:///etc/apt/mirrors/debian.list"
    root = sources(tmp_path, sources_list=f"deb {uri} trixie main\n")
    (root / "etc/apt/mirrors").mkdir()
    (root / "etc/apt/mirrors/debian.list").write_text("# ours\nhttps://m.example.org/debian\n")
    assert apt_mirror(root) == "https://m.example.org/debian"


def test_no_apt_at_all(tmp_path: Path) -> None:
    assert apt_mirror(tmp_path) is None


def test_a_new_workspace_is_sound_at_once_with_the_users_key(tmp_path: Path) -> None:
    root = sources(tmp_path / "root", debian_sources=MODERN)
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "home" / ".ssh" / "id_ed25519.pub").write_text(f"{KEY}\n")
    folder = tmp_path / "new" / "fleet"
    written = init(folder, root=root, home=tmp_path / "home")
    assert all(p.is_file() for p in written) and len(set(written)) == len(written)
    assert set(written) == {p for p in folder.rglob("*") if p.is_file()}
    inventory = load(folder)
    assert inventory.fleet.mirror == "http://mirror.example.org/debian"
    assert inventory.recipients() == (KEY,)
    assert len(inventory.servers) == 3
    assert "/state/" in (folder / ".gitignore").read_text().splitlines()
    assert "*.csv" in (folder / ".gitignore").read_text().splitlines(), "lists hold passwords"
    for part in ("profiles/servers/ceph-node.toml", "profiles/vms.toml"):
        assert (folder / part) in written


def test_without_key_and_mirror_it_says_what_is_missing(tmp_path: Path) -> None:
    init(tmp_path / "new", root=tmp_path, home=tmp_path)
    with pytest.raises(InventoryErrors) as caught:
        load(tmp_path / "new")
    (mistake,) = caught.value.mistakes
    assert "put your own public key here" in mistake.what
    text = (tmp_path / "new" / "inventory.toml").read_text()
    assert "name no Debian mirror" in text and "\n# mirror = " in text


@pytest.mark.parametrize(
    ("folder", "name"), [("attic", "attic"), ("Our Büro 2", "our-b-ro-2"), ("2nd", "fleet-2nd")]
)
def test_a_bare_fleet_is_called_as_its_folder(tmp_path: Path, folder: str, name: str) -> None:
    """Two workspaces that adopt one cluster would else replace each other's token."""
    init(tmp_path / folder, root=tmp_path, home=tmp_path, bare=True)
    text = (tmp_path / folder / "inventory.toml").read_text()
    assert tomllib.loads(text)["fleet"]["name"] == name


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "pxe").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(Refused, match="there is pxe already") as caught:
        init(tmp_path, root=tmp_path, home=tmp_path)
    assert caught.value.exit_code == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes.txt", "pxe"]
