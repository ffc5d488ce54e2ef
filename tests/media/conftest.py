"""A workspace with an open install by a medium, up to the point where a medium is made."""

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from metal.controller.workspace import Workspace
from metal.drivers.iso import GRUB
from metal.install.derived import hash_of, token_of
from metal.install.plan import plan_installs
from metal.model.life import Life
from metal.model.passport import Method
from metal.model.world import SeenServer, World

TOOLS = ("xorriso", "mformat", "mcopy", "grub-mkimage")
INVENTORY = """\
[fleet]
name = "attic"
domain = "attic.example.org"
boot_listen = "{listen}:{port}"
boot_https_listen = "{listen}:{https}"
boot_url = "http://{us}:{port}"
mirror = "http://mirror.example.org/debian"

[administrators.ana]
name = "Ana"
keys = ["age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"]

[sites.here]
place = "a namespace"
donor = {{ name = "D", contact = "d@example.org" }}
boot = {{ dhcp = "none" }}

[sites.here.subnets]
bmc = "10.78.0.0/24"
management = "{management}"
gateway = "{gateway}"
private_ipv4 = "10.79.0.0/24"

[servers.alba1]
site = "here"
rack = "R"
profile = "solo"
address = "{address}"
boot_mac = "52:54:00:00:00:77"
bmc = {{ address = "10.78.0.2" }}

[servers.alba1.learned]
disks = [{{ name = "sda", size_gib = 8, serial = "DISK0001" }}]

[clusters.alone]
servers = ["alba1"]
ceph = false
"""
V4 = {"management": "10.77.0.0/24", "gateway": "10.77.0.1", "address": "10.77.0.11"}
V6 = {"management": "fd77::/64", "gateway": "fd77::1", "address": "fd77::11"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def engines() -> None:
    """What makes the image; skips where it is missing."""
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    missing += [f for f in ("i386-pc", "x86_64-efi") if not (GRUB / f).is_dir()]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Workspace]:
    """Writes an inventory and opens it: `us` is the boot service's address."""

    def write(us: str = "127.0.0.1", listen: str = "127.0.0.1", **site: str) -> Workspace:
        values = {"us": us, "listen": listen, "port": free_port(), "https": free_port()}
        text = INVENTORY.format(**values, **{**V4, **site})
        (tmp_path / "inventory.toml").write_text(text)
        workspace = Workspace.open(tmp_path)
        workspace.store.servers.move("alba1", Life.ENROLLED)
        return workspace

    return write


@pytest.fixture
def opened() -> Callable[..., str]:
    """Opens the install as its flow does; the token."""

    def open_install(workspace: Workspace, route: Method | None = "stick") -> str:
        seen = SeenServer(life=Life.ENROLLED, route=route)
        (action,), _ = plan_installs(workspace.inventory, World(servers={"alba1": seen}))
        params = {"action": action.model_dump(mode="json")}
        journal = workspace.store.journal
        operation = journal.open("install", action.id, ["server alba1"], params)
        key = "k3y0fthed1sk" + "x" * 20
        workspace.secrets.escrow("disk/alba1", key, controller=True)
        workspace.secrets.escrow("root/alba1", "r00t" + "y" * 28, controller=True)
        token = token_of(key)
        workspace.store.installs.open("alba1", action.mac, None, hash_of(token), operation.id)
        return token

    return open_install


@pytest.fixture
def installer() -> Callable[[Workspace], None]:
    """A kernel and an initrd that are none, where the mirror's would be."""

    def put(workspace: Workspace) -> None:
        folder = workspace.state / "installer" / "trixie"
        folder.mkdir(parents=True)
        (folder / "linux").write_bytes(b"the kernel" * 1000)
        (folder / "initrd.gz").write_bytes(b"the initrd" * 1000)

    return put
