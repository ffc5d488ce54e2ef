"""Clusters that somebody else made, on the double, and an empty workspace to adopt them into."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from metal.controller.adopting import Adopted, Adopting, Credential
from metal.controller.workspace import Workspace
from metal.drivers.proxmox import NodeAccess, Patience, Proxmox
from metal.lab.clock import Clock
from metal.lab.proxmox import Datacenter
from metal.model.life import Life

PORT = 18008
NET = f"127.79.{os.getpid() % 250}"
PATIENCE = Patience(
    connect=1, answer=5, poll=0.02, task=10, quorum=10, start=10, migrate=10, lock=3
)
BARE = """\
# Written by hand: keep me.
[fleet]
name = "attic"
domain = "attic.example.org"
poll_seconds = 0.02

[administrators.ana]
name = "Ana"
keys = ["age1yku09hcld5wnzag9aws7d6dwtpjyse6qq4m2fgy2m2vku0gfrpsq9qlqmc"]

# Our own rack, with nothing in it.
[sites.home]
place = "home"
donor = { name = "Us", contact = "us@example.org" }

[sites.home.subnets]
bmc = "10.1.0.0/24"
management = "10.1.1.0/24"
gateway = "10.1.1.1"
private_ipv4 = "10.1.128.0/20"

[servers]
[clusters]
[vms]
"""


class Foreign:
    """Nodes of a datacenter, and what somebody put on them without metal."""

    def __init__(
        self, folder: Path, names: tuple[str, ...], version: str, numbers: Sequence[int] = ()
    ) -> None:
        """`numbers`: the last part of each one's address; from 1 on when not told."""
        self.numbers = dict(zip(names, numbers or range(1, len(names) + 1), strict=True))
        self.datacenter = Datacenter(Clock(300), folder / "certificates")
        self.datacenter.judging = True
        self.names = names
        self.pins: dict[str, str] = {}
        for name, number in self.numbers.items():
            handle = self.datacenter.add_node(
                name,
                f"{NET}.{number}",
                memory_gib=64,
                threads=16,
                disks=["sda", "sdb", "sdc"],
                root_password_check=lambda given: given == "secret-root",
                port=PORT,
                version=version,
            )
            self.pins[name] = handle.fingerprint
            self.datacenter.power_on(name)
        self.datacenter.start()

    @property
    def url(self) -> str:
        return f"https://{NET}.1:{PORT}"

    @property
    def driver(self) -> Proxmox:
        """Root's hands, as those of whoever made it."""
        access = {
            name: NodeAccess(f"{NET}.{number}", PORT, self.pins[name])
            for name, number in self.numbers.items()
        }
        return Proxmox(access, password=lambda _n: "secret-root", patience=PATIENCE)

    def form(self, name: str, *, ceph: bool = False) -> None:
        driver, first = self.driver, self.names[0]
        driver.ensure_created(name, first)
        for node in self.names[1:]:
            driver.ensure_joined(node, first)
        if ceph:
            for node in self.names:
                driver.ensure_ceph(node, first=node == first, network=f"{NET}.0/24")
                driver.ensure_osd(node, "sdb")
            driver.ensure_pool("rbd")

    def post(self, path: str, **params: Any) -> Any:
        return self.driver._api.post(path, params)

    def vm(self, vmid: int, node: str, *, running: bool = True, told: Any = None, **config: Any):
        self.datacenter.put_guest(
            node, vmid, {"memory": "2048", "cores": 2, **config}, running=running, agent=told
        )

    def stop(self) -> None:
        self.datacenter.stop()
        assert not self.datacenter.misstated, "the double tells what Proxmox would not"


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Any]:
    """Makes foreign nodes; they end with the test."""
    made: list[Foreign] = []

    def make(*names: str, version: str = "9.2.1", numbers: Sequence[int] = ()) -> Foreign:
        made.append(Foreign(tmp_path, names, version, numbers))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "inventory.toml").write_text(BARE)
    opened = Workspace(folder)
    yield opened
    opened.store.close()


@pytest.fixture
def adopt(workspace: Workspace) -> Any:
    """Adopt a foreign cluster as `metal cluster adopt --yes` does."""

    def act(cluster: Foreign, credential: Credential | None = None, **wishes: Any) -> Adopted:
        login = credential or Credential(password="secret-root")
        adopting = Adopting(workspace, cluster.url)
        adopting.shown(None)
        found = adopting.read(login)
        adoption, _ = adopting.proposed(found, **wishes)
        return adopting.write(found, adoption, login)

    return act


INSTALLED = ("alba1", "alba2", "alba3")
SERVER = """
[servers.{name}]
site = "home"
rack = "A"
profile = "ceph-node"
address = "{address}"
api_port = {port}
power = {{ driver = "manual" }}
"""


@pytest.fixture
def installed(foreign: Any, workspace: Any) -> Any:
    """Three servers that metal installed: their pins and root passwords are kept."""
    nodes = foreign(*INSTALLED)
    text = BARE.replace("10.1.1.0/24", f"{NET}.0/24").replace("10.1.1.1", f"{NET}.254")
    text = text.replace("[servers]\n[clusters]\n[vms]\n", "")
    for number, name in enumerate(INSTALLED, 1):
        text += SERVER.format(name=name, address=f"{NET}.{number}", port=PORT)
    text += '\n[clusters.alba]\nservers = ["alba1", "alba2", "alba3"]\n'
    text = text.replace("[fleet]\n", '[fleet]\nmanagement_from = ["127.0.0.0/8"]\n')
    (workspace.folder / "inventory.toml").write_text(text)
    workspace.reload()
    for name in INSTALLED:
        workspace.store.servers.move(name, Life.ENROLLED)
        workspace.store.servers.move(name, Life.INSTALLED)
        workspace.store.servers.pin(name, nodes.pins[name])
        workspace.secrets.escrow(f"root/{name}", "secret-root", controller=True)
    return nodes
