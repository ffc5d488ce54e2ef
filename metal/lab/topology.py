"""A lab's workspace: a copy of an operator's, every address moved to loopback.

The lab is an ordinary inventory plus a topology: the copy differs from the original in
addresses, ports, pace and one more administrator (whose key the lab has, so that a rehearsal
can open what was escrowed). Lab number L uses 127.L.0.0/16; several labs run side by side.
"""

import os
import shutil
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import tomlkit

from metal.inventory import load
from metal.inventory.defaults import default_file
from metal.model.base import Frozen
from metal.model.errors import Refused

REDFISH_PORT = 6443
IPMI_PORT = 6623
SSH_PORT = 6022
TOPOLOGY, KEY = "lab/topology.json", "lab/administrator.key"
ARCHIVE_KEYS = "lab/mirror-keys"
"""The keyring of the lab's own mirror."""
TRIO = "lab/trio.json"
MACHINES = "lab/machines.json"
"""Instead of a topology, where the lab is one of namespaces."""
FACTORY_USER, FACTORY_PASSWORD = "ADMIN", "factory-Pa55word"
"""What every BMC of the lab is delivered with: no secret, a donor would tell it."""


class Topology(Frozen):
    """Where the lab's shared services are; lab/topology.json of a lab's workspace."""

    lab: int
    speed: float
    pid: int
    control: str
    """host:port of the lab's own control service."""
    mirror: str
    boot_url: str


def topology(lab: int, speed: float) -> Topology:
    """The addresses of lab number `lab`, run by this process."""
    base = f"127.{lab}.0.1"
    return Topology(
        lab=lab,
        speed=speed,
        pid=os.getpid(),
        control=f"{base}:7999",
        mirror=f"http://{base}:7998/debian",
        boot_url=f"http://{base}:8080",
    )


def make_workspace(source: Path, folder: Path, shape: Topology) -> None:
    """Copy the workspace `source` to `folder` as a lab's. Refused if `folder` holds one."""
    check_free(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("profiles", "pxe", "preseed"):
        own = source / part
        shutil.copytree(own if own.is_dir() else default_file(part), folder / part)
    document = tomlkit.parse((source / "inventory.toml").read_text())
    _move(document, shape)
    add_administrator(document, folder)
    (folder / "inventory.toml").write_text(tomlkit.dumps(document))


def check_empty(folder: Path) -> None:
    """Refused if `folder` holds anything: a lab that goes without a trace would take it along."""
    if folder.exists() and any(folder.iterdir()):
        raise Refused(
            "it is not empty",
            where=str(folder),
            mend="name a folder that does not exist yet; `metal lab down` removes a lab's",
        )


def check_free(folder: Path) -> None:
    """Refused if `folder` holds a workspace: a lab's, running or not, or an operator's."""
    if not (folder / "inventory.toml").exists():
        return
    if _runs(folder):
        raise Refused(
            "a lab is here already",
            where=str(folder),
            mend="`metal lab status` shows it, `metal lab down` ends it; or name another folder",
        )
    if ended(folder):
        raise Refused(
            "a lab was here, and its servers cannot be brought back",
            where=str(folder),
            mend=f"rm -r {folder} makes room for a new one; or name another folder",
        )
    raise Refused(
        "there is a workspace already, and no lab's",
        where=str(folder),
        mend="name a folder that does not exist yet",
    )


def ended(folder: Path) -> bool:
    """Whether the workspace is of a lab that runs no more."""
    return (folder / KEY).exists() and not _runs(folder)


def _runs(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in (TOPOLOGY, TRIO, MACHINES))


def _move(document: MutableMapping[str, Any], shape: Topology) -> None:
    fleet = document["fleet"]
    fleet["mirror"] = shape.mirror
    fleet["archive_keyring"] = ARCHIVE_KEYS
    fleet["boot_listen"] = shape.boot_url.removeprefix("http://")
    fleet["boot_url"] = shape.boot_url
    # As a person with a real clock would want 2 s; the lab's clock runs fast.
    fleet["poll_seconds"] = round(max(0.05, min(2.0, 4.0 / shape.speed)), 3)
    fleet["suspect_seconds"] = round(60.0 / shape.speed, 3)
    fleet["state"] = "sqlite"
    fleet["ssh_port"] = SSH_PORT
    places = {name: 10 * (i + 1) for i, name in enumerate(document["sites"])}
    for name, site in document["sites"].items():
        net = f"127.{shape.lab}.{places[name]}"
        subnets = site["subnets"]
        subnets["bmc"] = f"{net}.0/24"
        subnets["management"] = f"127.{shape.lab}.{places[name] + 1}.0/24"
        subnets["gateway"] = f"127.{shape.lab}.{places[name] + 1}.254"
        site.pop("mirror", None)
    seen: dict[str, int] = {}
    for server in document["servers"].values():
        site = server["site"]
        seen[site] = seen.get(site, 0) + 1
        bmc = server["bmc"]
        bmc["address"] = f"127.{shape.lab}.{places[site]}.{seen[site]}"
        bmc["port"] = IPMI_PORT if bmc.get("protocol") == "ipmi" else REDFISH_PORT
        if bmc["port"] == REDFISH_PORT:
            bmc["ipmi_port"] = IPMI_PORT  # its console
        # What an enrolment of the real machine recorded is not true of its double.
        for key in ("fingerprint", "cipher_suite", "user"):
            bmc.pop(key, None)
        server["address"] = f"127.{shape.lab}.{places[site] + 1}.{seen[site]}"


def add_administrator(document: MutableMapping[str, Any], folder: Path) -> None:
    """The lab's own administrator: lab/administrator.key opens what was escrowed."""
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    key = folder / KEY
    key.parent.mkdir(exist_ok=True)
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{identity}\n")
    rehearsal = tomlkit.table()
    rehearsal["name"] = "Rehearsal (this lab)"
    rehearsal["keys"] = [str(identity.to_public())]
    document["administrators"]["rehearsal"] = rehearsal


def scans(folder: Path) -> list[str]:
    """What finds the BMCs of the lab, as `metal enroll --scan` takes it: for each site one of a
    protocol, as each has a port of its own."""
    inventory = load(folder)
    found = (
        f"{inventory.sites[server.site].subnets.bmc}:{server.bmc.port}"
        for server in inventory.servers.values()
        if server.bmc.port
    )
    return sorted(dict.fromkeys(found))


def read(folder: Path) -> Topology:
    """The topology of the lab in `folder`; Refused if there is none."""
    file = folder / TOPOLOGY
    if ended(folder):
        raise Refused(
            "the lab here has ended",
            where=str(folder),
            mend=f"rm -r {folder}, then `metal lab up {folder}` starts a new one",
        )
    if not file.exists():
        raise Refused("no lab here", where=str(folder), mend=f"`metal lab up {folder}` starts one")
    return Topology.model_validate_json(file.read_text())
