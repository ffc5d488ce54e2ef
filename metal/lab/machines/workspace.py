"""The workspace of whole machines: enrolled already, each with a profile that is a plain Debian."""

import json
from collections.abc import Sequence
from pathlib import Path

from metal.controller.workspace import Workspace
from metal.lab.machines.machine import Machine
from metal.model.base import Frozen
from metal.model.life import Life

BMC_USER = "metal"
CIPHER_SUITE = 3
OURS, BMC_OURS, ANNOUNCED = "10.77.0.1/24", "10.78.0.1/24", "fd77::1/64"
"""Addresses of who serves them, with their networks: the machines', their BMCs', IPv6's."""
DOOR = ("10.77.0.2/24", "10.78.0.2/24")
PLAN = "wire.json"
URL = "http://10.77.0.1:8080"
INVENTORY = """\
[fleet]
name = "machines"
domain = "machines.example.org"
boot_listen = "0.0.0.0:8080"
boot_url = "{url}"
mirror = "{mirror}"
poll_seconds = 2.0

[administrators.ana]
name = "Ana"
keys = ["{key}"]

[sites.here]
place = "a namespace"
donor = {{ name = "D", contact = "d@example.org" }}
boot = {{ dhcp = "ours" }}

[sites.here.subnets]
bmc = "10.78.0.0/24"
management = "10.77.0.0/24"
gateway = "10.77.0.1"
private_ipv4 = "10.79.0.0/24"
"""
SERVER = """
[servers.{name}]
site = "here"
rack = "R"
profile = "plain"
address = "{address}"
method = "{method}"
system_disks = {serials}
secure_boot = {secure_boot}
bmc = {{ address = "{bmc}", protocol = "ipmi", cipher_suite = 3, user = "{user}" }}

[servers.{name}.learned]
vendor = "QEMU"
model = "Standard PC (Q35 + ICH9, 2009)"
uuid = "{uuid}"
macs = ["{mac}"]
disks = [{disks}]

[clusters.only-{name}]
servers = ["{name}"]
ceph = false
"""
PROFILE = """\
description = "Debian and nothing else: what every server has"
debian = "trixie"
recipe = "luks-lvm"
packages = {packages}
reserved_memory_gib = 1
cpu_factor = 4
system_disk = "smallest"
"""


class Plan(Frozen):
    """What wire the machines of a lab are on."""

    site: str
    addresses: tuple[str, ...]
    """On the wire: ours and the BMCs', with their networks."""
    door: tuple[str, ...] = ()
    """This machine's own addresses on the wire; none: one has to go in."""

    def write(self, folder: Path) -> None:
        (folder / "lab" / PLAN).write_text(self.model_dump_json())

    @classmethod
    def read(cls, folder: Path) -> "Plan":
        return cls.model_validate_json((folder / "lab" / PLAN).read_text())


def address_of(machine: Machine) -> str:
    """Of its system: in the machines' network what its BMC is in the BMCs'."""
    return machine.address or machine.bmc.replace("10.78.", "10.77.")


def write(
    folder: Path,
    machines: Sequence[Machine],
    *,
    mirror: str,
    key: str,
    method: str = "image",
    packages: str = "[]",
    more: str = "",
) -> None:
    """inventory.toml and its profile in `folder`; the machines are enrolled in its state.

    `key`: an administrator's public SSH key. `packages`: a list in TOML. `more`: of the inventory.
    """
    profiles = folder / "profiles" / "servers"
    profiles.mkdir(parents=True)
    (profiles / "plain.toml").write_text(PROFILE.format(packages=packages))
    servers = "".join(
        SERVER.format(
            name=m.name, address=address_of(m), bmc=m.bmc, user=BMC_USER,
            uuid=m.uuid, mac=m.mac, method=method, serials=json.dumps(list(m.disks)),
            secure_boot=str(m.secure_boot).lower(),
            disks=", ".join(
                f'{{ name = "vd{"ab"[n]}", size_gib = {15 + n}, serial = "{serial}" }}'
                for n, serial in enumerate(m.disks)
            ),
        )
        for m in machines
    )  # fmt: skip
    text = INVENTORY.format(url=URL, mirror=mirror, key=key) + servers + more
    (folder / "inventory.toml").write_text(text)
    enrolled(folder, machines)


def enrolled(folder: Path, machines: Sequence[Machine]) -> None:
    """metal knows the passwords of their BMCs, and has enrolled them."""
    workspace = Workspace(folder)
    try:
        for machine in machines:
            workspace.secrets.escrow(f"bmc/{machine.name}", machine.password, controller=True)
            workspace.store.servers.move(machine.name, Life.ENROLLED)
    finally:
        workspace.store.close()
