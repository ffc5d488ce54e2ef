"""The rack itself: ten machines (or however many the inventory holds), their BMCs and Proxmox."""

import threading
from pathlib import Path
from typing import Any

from metal.drivers.dropbear import PORT as DROPBEAR_PORT
from metal.lab.clock import Clock
from metal.lab.doors import DoorKey, Doors, new_door_key
from metal.lab.firmware import Firmware, root_password_ok, system_disk
from metal.lab.hardware import hardware_for
from metal.lab.installed import InstalledSystem
from metal.lab.ipmi_bmc import IpmiBmc
from metal.lab.luks_double import PretendInitramfs, PretendSystem
from metal.lab.machine import Boot, Machine
from metal.lab.proxmox import Datacenter
from metal.lab.proxmox.shell import Shell
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.topology import FACTORY_PASSWORD, FACTORY_USER, IPMI_PORT, REDFISH_PORT, Topology
from metal.lab.web import Certificate, self_signed
from metal.model.errors import BadInput
from metal.model.fleet import Inventory, Server

FAULTS = {
    "crash": "the system hangs: no answer from it, the BMC says on",
    "dead": "the power supply burns out: the BMC says off, and on does nothing",
    "psu": "a power supply fails: the server runs on, its BMC complains",
    "bmc-silent": "the BMC answers nobody",
    "disk-smart": "its last disk has sectors that cannot be read: a burn-in finds it",
    "disk-slow": "its last disk is slower than its brothers: a burn-in finds it",
    "dimm": "its second DIMM corrects errors all the time: a burn-in finds it",
    "repair": "everything is well again",
}
TYPED_SECONDS, ANSWER_SECONDS = 120.0, 2.0
"""Lab seconds until somebody at the rack types a disk's key, and until dropbear is gone then."""
OLD_BMCS = 1
"""How many of the IPMI BMCs are of the oldest kind: cipher suite 3 only."""


class Rack:
    """All machines of a lab and the protocols they speak."""

    def __init__(self, inventory: Inventory, shape: Topology, folder: Path) -> None:
        self.inventory, self.clock = inventory, Clock(shape.speed)
        self.certificates = folder / "lab" / "certificates"
        self.datacenter = Datacenter(self.clock, self.certificates)
        self.machines: dict[str, Machine] = {}
        self.bmcs: dict[str, RedfishBmc | IpmiBmc] = {}
        self.consoles: list[IpmiBmc] = []
        """The IPMI of those that are spoken to over Redfish: one BMC, two protocols."""
        self.ssh = Doors()
        self.doors: dict[str, dict[str, DoorKey]] = {}
        """Machine → the host keys of its SSH servers, by the name they are reported under."""
        self._installed: dict[str, str] = {}
        """Machine → UUID of the disk whose system is in the datacenter: another after each
        installation."""
        firmware = Firmware(
            shape.boot_url, self.clock, self._system_up, self._host_keys, self._ask_for_key
        )
        suites = self._cipher_suites()
        for name, hardware in hardware_for(inventory).items():
            machine = self.machines[name] = Machine(name, hardware)
            machine.on_boot = firmware
            self.doors[name] = {door: new_door_key() for door in ("host_key", "initramfs_key")}
            self.bmcs[name] = self._bmc(machine, inventory.servers[name], suites.get(name, 17))

    def start(self) -> None:
        self.datacenter.start()
        self.ssh.start()
        for bmc in (*self.bmcs.values(), *self.consoles):
            bmc.start()

    def stop(self) -> None:
        for machine in self.machines.values():
            machine.power_off()
        for bmc in (*self.bmcs.values(), *self.consoles):
            bmc.stop()
        self.ssh.stop()
        self.datacenter.stop()

    def _cipher_suites(self) -> dict[str, int]:
        """The last IPMI machines of the inventory's oldest cluster speak suite 3 only."""
        ipmi = [n for n, s in self.inventory.servers.items() if s.bmc.protocol == "ipmi"]
        clustered = [n for n in ipmi if len(self._peers(n)) > 1]
        return dict.fromkeys(clustered[-OLD_BMCS:], 3)

    def _peers(self, server: str) -> tuple[str, ...]:
        cluster = self.inventory.cluster_of(server)
        return self.inventory.clusters[cluster].servers if cluster else ()

    def _bmc(self, machine: Machine, server: Server, suite: int) -> RedfishBmc | IpmiBmc:
        address, accounts = server.bmc.address, {FACTORY_USER: FACTORY_PASSWORD}
        if server.bmc.protocol == "ipmi":
            port = server.bmc.port or IPMI_PORT
            return IpmiBmc(machine, address, port, accounts, cipher_suite=suite, faults=set())
        certificate = self_signed(self.certificates, f"bmc-{machine.name}", address)
        port = server.bmc.port or REDFISH_PORT
        bmc = RedfishBmc(machine, address, port, certificate, accounts, faults=set())
        if beside := server.bmc.ipmi_port:
            known = bmc.logins.password_of
            ipmi = IpmiBmc(machine, address, beside, {}, faults=bmc.faults, kept_elsewhere=known)
            self.consoles.append(ipmi)
        return bmc

    # ── what the installed system does ──────────────────────────────────────────────────────

    def _host_keys(self, machine: Machine) -> dict[str, str]:
        return {door: key.public for door, key in self.doors[machine.name].items()}

    def _system_up(self, machine: Machine) -> dict[str, str]:
        """The installed system has booted: it answers until the power goes. A plain Debian at
        first, which forming makes a Proxmox VE host of."""
        name, disk = machine.name, system_disk(machine)
        certificate = self._node_certificate(name)
        if disk and self._installed.get(name) != disk.luks_uuid:
            self._installed[name] = disk.luks_uuid
            threads = machine.hardware.cpu.threads or 1
            self.datacenter.add_node(
                name,
                str(self.inventory.servers[name].address),
                memory_gib=machine.hardware.memory_gib,
                threads=threads,
                disks=_system_first(machine),
                serials={d.name: d.serial for d in machine.hardware.drives if d.serial},
                root_password_check=lambda password: root_password_ok(machine, password),
                certificate=certificate,
                proxmox=False,
            )
        self.datacenter.power_on(name)
        if boot := machine.boot:
            self._open_door(machine, boot)
            threading.Thread(target=self._until_off, args=(name, boot), daemon=True).start()
        has_proxmox = self.datacenter.truth()["nodes"][name]["proxmox"]
        return {"fingerprint": certificate.fingerprint} if has_proxmox else {}

    def _open_door(self, machine: Machine, boot: Boot) -> None:
        disk = system_disk(machine)
        if disk is None or boot.off.is_set():
            return
        self.ssh.open(
            str(self.inventory.servers[machine.name].address),
            self.inventory.fleet.ssh_port,
            self.doors[machine.name]["host_key"],
            disk.installed_with["root_keys"],
            InstalledSystem(
                PretendSystem(machine.name, disk, self._host_keys(machine)["initramfs_key"]),
                Shell(self.datacenter, machine.name),
                machine.reboot,
            ),
            boot.off,
        )

    def _ask_for_key(self, machine: Machine, boot: Boot) -> None:
        """Through dropbear; after a while somebody at the rack types it in."""
        disk, closed = system_disk(machine), threading.Event()
        if disk is None:
            return
        initramfs = PretendInitramfs(machine.name, disk)
        self.ssh.open(
            str(self.inventory.servers[machine.name].address),
            DROPBEAR_PORT,
            self.doors[machine.name]["initramfs_key"],
            disk.installed_with["root_keys"],
            initramfs,
            closed,
        )
        threading.Thread(target=_after, args=(boot.off, initramfs.unlocked), daemon=True).start()
        self.clock.sleep(TYPED_SECONDS, initramfs.unlocked)
        self.clock.sleep(ANSWER_SECONDS, boot.off)
        closed.set()

    def _until_off(self, name: str, boot: Boot) -> None:
        boot.off.wait()
        self.datacenter.power_off(name)

    def _node_certificate(self, name: str) -> Certificate:
        address = str(self.inventory.servers[name].address)
        return self_signed(self.certificates, f"node-{name}", address)

    # ── faults and truth ────────────────────────────────────────────────────────────────────

    def break_(self, server: str, fault: str) -> None:
        """Let `fault` (see FAULTS) happen to `server`."""
        if server not in self.machines:
            known = ", ".join(self.machines)
            raise BadInput("no such server in this lab", where=server, mend=f"it has {known}")
        machine, bmc = self.machines[server], self.bmcs[server]
        match fault:
            case "crash":
                self.datacenter.power_off(server)
            case "dead":
                machine.plugged = False
                machine.power_off()
            case "psu":
                machine.complaints = ("PSU 2: power supply failure detected",)
            case "bmc-silent":
                bmc.faults.add("silent")
            case "disk-smart" | "disk-slow" | "dimm":
                machine.faults.add(fault)
            case "repair":
                machine.plugged, machine.complaints = True, ()
                machine.faults.clear()
                bmc.faults.clear()
            case _:
                raise BadInput(
                    f"unknown fault {fault!r}", where=server, mend="one of " + ", ".join(FAULTS)
                )

    def truth(self) -> dict[str, Any]:
        """What really is, whatever `metal` believes: tests and the demo check against it."""
        return {
            "servers": {name: _machine_truth(machine) for name, machine in self.machines.items()},
            **self.datacenter.truth(),
        }


def _after(first: threading.Event, then: threading.Event) -> None:
    first.wait()
    then.set()


def _system_first(machine: Machine) -> list[str]:
    """Drive names, the one that holds the system first: the order Proxmox's double reads."""
    return sorted(machine.disks, key=lambda name: not machine.disks[name].system)


def _machine_truth(machine: Machine) -> dict[str, Any]:
    return {
        "power": machine.power,
        "health": machine.health,
        "power_ons": machine.power_ons,
        "power_offs": machine.power_offs,
        "asked_at": machine.asked_at,
        "waited": machine.waited,
        "disks": {
            name: {
                "system": disk.system,
                "wipes": disk.wipes,
                "luks": sorted(k for n, k in disk.luks_slots.items() if n not in disk.luks_tokens),
                "erased": disk.erased,
            }
            for name, disk in machine.disks.items()
        },
    }
