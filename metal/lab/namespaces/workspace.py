"""The workspace of a lab of namespaces: its servers enrolled and in a cluster, no VM made yet."""

import json
import shutil
from pathlib import Path
from typing import Any

import tomlkit

from metal.controller.workspace import Workspace
from metal.drivers.ssh import controller_key
from metal.lab.namespaces import sshd
from metal.lab.namespaces.bmc import USER
from metal.lab.namespaces.trio import SERVERS, Trio
from metal.lab.topology import add_administrator, check_empty
from metal.model.base import Frozen
from metal.model.life import Life

INVENTORY = Path(__file__).with_name("inventory.toml")
LAB = "lab"
_PROFILE = """\
description = "A server of the lab: what its guests may have of this machine"
reserved_memory_gib = 1
cpu_factor = 8
"""
_SIZES = "[counting]\nvcpus = 1\nmemory_gib = 0.125\ndisk_gib = 1\n"
_SERVER = """
[servers.{name}]
site = "here"
rack = "namespaces"
profile = "lab"
address = "{address}"
bmc = {{ address = "{bmc}", protocol = "ipmi", cipher_suite = 3, user = "{user}" }}

[servers.{name}.learned]
vendor = "OpenIPMI"
model = "ipmi_sim"
memory_gib = 3
threads = 2
disks = [{{ name = "disks", size_gib = 100 }}]
"""


class TrioStatus(Frozen):
    """What really is, whatever metal believes."""

    folder: Path
    accelerator: str
    """kvm or tcg, and why."""
    servers: dict[str, dict[str, Any]]
    """Name → power, address, bmc, vms."""
    ceph: str | None = None
    """Its health, by its own word; None where there is none."""


def up(folder: Path, *, ceph: bool = False) -> TrioStatus:
    """Servers, BMCs and a workspace for them in the new folder `folder`.

    `ceph`: their VMs' disks are in a real Ceph on them, not in a folder that they share.

    Refused where the folder holds anything, or no such lab can run; nothing is left then.
    """
    folder = folder.absolute()
    check_empty(folder)
    trio = Trio.up(folder / LAB, ceph=ceph)
    try:
        _write(trio, folder)
        _enrol(trio, folder)
    except BaseException:
        down(folder)
        raise
    return status(folder)


def _let_in(trio: Trio, workspace: Workspace) -> None:
    """The controller logs in to the servers: that is how it speaks to their Ceph."""
    _, mine = controller_key(workspace.state)
    for name, server in trio.servers.items():
        sshd.allow(server, mine)
        workspace.host_keys.pin(name, "system", [sshd.host_key(server)])


def status(folder: Path) -> TrioStatus:
    """Refused where no such lab is up."""
    trio = Trio.of(folder / LAB)
    health = trio.ceph.health() if trio.ceph else None
    return TrioStatus(folder=folder, ceph=health, **trio.truth())


def break_(folder: Path, server: str, fault: str) -> None:
    Trio.of(folder / LAB).break_(server, fault)


def down(folder: Path) -> None:
    """Nothing of it is left, the folder neither."""
    Trio.of(folder / LAB).down()
    shutil.rmtree(folder)


def _write(trio: Trio, folder: Path) -> None:
    """inventory.toml and the profiles it names."""
    (folder / "profiles" / "servers").mkdir(parents=True)
    (folder / "profiles" / "servers" / "lab.toml").write_text(_PROFILE)
    (folder / "profiles" / "vms.toml").write_text(_SIZES)
    servers = "".join(
        _SERVER.format(name=name, address=server.address, bmc=trio.bmcs[name].address, user=USER)
        for name, server in trio.servers.items()
    )
    text = INVENTORY.read_text().format(
        out_of_band=trio.names.out_of_band,
        network=trio.names.network,
        gateway=trio.names.gateway,
        servers=servers,
        names=json.dumps(SERVERS),
        accel=trio.accel,
        kernel=trio.guest.kernel,
        initrd=trio.guest.initrd,
        cmdline=trio.guest.cmdline,
        shared="ceph = true" if trio.ceph else "shared_unseen = true",
    )
    document = tomlkit.parse(text)
    add_administrator(document, folder)
    (folder / "inventory.toml").write_text(tomlkit.dumps(document))


def _enrol(trio: Trio, folder: Path) -> None:
    """What enrolment, installation and forming would have left: they are tried elsewhere."""
    workspace = Workspace(folder)
    try:
        for name in SERVERS:
            workspace.secrets.escrow(f"bmc/{name}", trio.password, controller=True)
            for life in (Life.ENROLLED, Life.INSTALLED, Life.MEMBER):
                workspace.store.servers.move(name, life)
        if trio.ceph:
            _let_in(trio, workspace)
    finally:
        workspace.store.close()
