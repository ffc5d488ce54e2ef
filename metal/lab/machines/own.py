"""One site of an operator's own inventory as whole machines: a copy to rehearse on.

Servers and BMCs keep their addresses, as the wire leads nowhere. There is no door from this machine
to it, which may be the real site's controller; and the BMCs answer on ports that no real one has: a
command that is run outside by mistake reaches nobody.
"""

import secrets
import shutil
import subprocess
import uuid
from collections.abc import Iterator, MutableMapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import tomlkit

from metal.inventory import load
from metal.inventory.apt import apt_mirror
from metal.inventory.defaults import default_file
from metal.lab.machines.machine import DISK_BYTES, Machine
from metal.lab.machines.workspace import ANNOUNCED, BMC_USER, CIPHER_SUITE, Plan, enrolled
from metal.lab.topology import IPMI_PORT, REDFISH_PORT
from metal.lab.web import self_signed
from metal.model.errors import BadInput, Refused
from metal.model.fleet import Disk, Inventory, Server

GIB = 2**30
SERIAL_LENGTH = 20
"""Of ATA's and NVMe's serial numbers, and of virtio's."""
PARTS = ("profiles", "pxe", "preseed")


def copy_site(source: Path, site: str, folder: Path) -> None:
    """A workspace of the machines in the new `folder`, all of them enrolled, each to be installed
    from an image: the wire has no way to a mirror.

    BadInput where the inventory has no such site; Refused where none of its servers has a BMC.
    """
    inventory = load(source)
    if site not in inventory.sites:
        known = ", ".join(inventory.sites)
        raise BadInput("no such site", where=site, mend=f"the inventory has: {known}")
    (folder / "lab").mkdir(parents=True)
    made = list(_machines(inventory, site, folder))
    if len({machine.bmc for machine in made}) < len(made):
        raise Refused(
            "several servers there are behind one BMC; here each machine has its own",
            where=f"sites.{site}",
            mend="name another site",
        )
    if not made:
        raise Refused(
            "no server there has a BMC, so nothing could switch its machine on",
            where=f"sites.{site}",
            mend="name another site",
        )
    for part in PARTS:
        own = source / part
        shutil.copytree(own if own.is_dir() else default_file(part), folder / part)
    document = tomlkit.parse((source / "inventory.toml").read_text())
    ours = _ours(inventory, site)
    _move(document, site, ours[0], _administrator(folder))
    for machine in made:
        machine.write()
        _enter(document["servers"][machine.name], machine)
    (folder / "inventory.toml").write_text(tomlkit.dumps(document))
    _plan(inventory, site, made, ours).write(folder)
    enrolled(folder, made)


def _machines(inventory: Inventory, site: str, folder: Path) -> Iterator[Machine]:
    taps = 0
    for name, server in inventory.servers.items():
        if server.site != site or not server.has_bmc:
            continue
        learned = server.learned
        macs = dict.fromkeys((server.boot_mac, *(learned.macs if learned else ())))
        first, *others = [mac for mac in macs if mac] or [_some_mac(taps)]
        names = [f"tap{taps + number}" for number in range(1 + len(others))]
        taps += len(names)
        yield Machine(
            name=name,
            folder=folder / "lab" / name,
            firmware="efi",
            mac=first,
            uuid=(learned and learned.uuid) or str(uuid.uuid4()),
            serial="",
            bmc=server.bmc.address,
            password=secrets.token_urlsafe(12)[:16],
            tap=names[0],
            address=str(server.address),
            ipmi_port=IPMI_PORT,
            redfish_port=None if server.bmc.protocol == "ipmi" else REDFISH_PORT,
            cards=dict(zip(others, names[1:], strict=True)),
            drives=_drives(name, server),
            tpm="tpm2" in server.unlock.by,
            secure_boot=server.signed_boot,
        )


def _drives(name: str, server: Server) -> dict[str, int]:
    """As many and as large as it has: files with holes take no room."""
    disks = server.learned.disks if server.learned else ()
    return {_serial(name, n, d): d.size_gib * GIB for n, d in enumerate(disks)} or {
        f"{name[:12]}-0": DISK_BYTES
    }


def _serial(name: str, number: int, disk: Disk) -> str:
    return (disk.serial or f"{name[:12]}-{number}")[-SERIAL_LENGTH:]


def _some_mac(number: int) -> str:
    return f"52:54:00:77:03:{number:02x}"


def _move(
    document: MutableMapping[str, Any], site: str, ours: str, administrator: dict[str, Any]
) -> None:
    """What is no server's: the mirror of this machine, our own address on the wire."""
    six = ":" in ours
    document["fleet"] |= {
        "mirror": apt_mirror(),
        "boot_listen": "[::]:8080" if six else "0.0.0.0:8080",
        "boot_url": f"http://[{ours}]:8080" if six else f"http://{ours}:8080",
        "poll_seconds": 2.0,
        "state": "sqlite",
    }
    document["fleet"].pop("boot_https_listen", None)
    document["fleet"].pop("boot_https_url", None)
    document["sites"][site].pop("mirror", None)
    document["sites"][site]["boot"] = {"dhcp": "ours"}
    document["administrators"]["rehearsal"] = administrator


def _enter(server: MutableMapping[str, Any], machine: Machine) -> None:
    """The server of the inventory is this machine."""
    before = server.get("bmc", {})
    for key in ("port", "ipmi_port", "fingerprint", "cipher_suite", "node", "tls"):
        before.pop(key, None)
    before |= {"user": BMC_USER}
    if machine.redfish_port is None:
        before |= {"port": machine.ipmi_port, "cipher_suite": CIPHER_SUITE}
    else:
        shown = self_signed(machine.folder, "bmc", machine.bmc).fingerprint
        before |= {"protocol": "redfish", "port": machine.redfish_port, "fingerprint": shown}
        before |= {"ipmi_port": machine.ipmi_port}
    server.pop("power", None)
    server["method"] = "image"
    learned = server.setdefault("learned", {})
    names = {str(disk["name"]): serial for disk, serial in _known(learned, machine)}
    if wanted := server.get("system_disks"):
        server["system_disks"] = [names.get(disk, disk) for disk in wanted]
    learned["uuid"] = machine.uuid
    learned["macs"] = [machine.mac, *machine.cards]
    learned["disks"] = [
        {"name": f"vd{chr(97 + number)}", "size_gib": size // GIB, "serial": serial}
        for number, (serial, size) in enumerate(machine.drives.items())
    ]


def _known(learned: MutableMapping[str, Any], machine: Machine) -> Iterator[tuple[Any, str]]:
    """Each disk of the inventory, and the serial number that the machine gives it."""
    yield from zip(learned.get("disks", ()), machine.drives, strict=False)


def _administrator(folder: Path) -> dict[str, Any]:
    """One more, whose SSH key the lab has."""
    key = folder / "lab" / "administrator"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text().strip()
    return {"name": "Rehearsal (this lab)", "keys": [public]}


def _ours(inventory: Inventory, site: str) -> tuple[str, str]:
    """Addresses for who serves them, of the management network and of the BMCs'."""
    subnets = inventory.sites[site].subnets
    taken = {str(subnets.gateway)}
    for server in inventory.servers.values():
        taken |= {str(server.address), server.bmc.address}
    management = _free(subnets.management, taken)
    return management, _free(subnets.bmc, taken | {management})


def _free(network: IPv4Network | IPv6Network, taken: set[str]) -> str:
    """The last address of the network that nobody has; neither its own nor its broadcast."""
    last = network.num_addresses - 2
    found = (str(network.network_address + last - back) for back in range(last))
    return next(address for address in found if address not in taken)


def _plan(inventory: Inventory, site: str, made: list[Machine], ours: tuple[str, str]) -> Plan:
    subnets = inventory.sites[site].subnets
    bmcs = [f"{address}/{subnets.bmc.prefixlen}" for address in {m.bmc: None for m in made}]
    own = (f"{ours[0]}/{subnets.management.prefixlen}", f"{ours[1]}/{subnets.bmc.prefixlen}")
    return Plan(site=site, addresses=(*own, *bmcs, ANNOUNCED))
