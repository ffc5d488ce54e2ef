"""What the lab's servers are made of: believable, mixed, old, and the same at every run."""

import uuid
from itertools import cycle
from typing import NamedTuple

from metal.lab.machine import Hardware
from metal.model.facts import Cpu, Dimm, Drive, Nic
from metal.model.fleet import Inventory, Learned

GB, GIB = 10**9, 2**30


class Kind(NamedTuple):
    """One kind of server as donors have them."""

    vendor: str
    model: str
    chip: str
    sockets: int
    cores: int
    threads: int
    dimm_gib: float
    dimms: int
    bios: str
    firmware: str


KINDS = (
    Kind("Dell Inc.", "PowerEdge R640", "Intel(R) Xeon(R) Silver 4114 CPU @ 2.20GHz",
         2, 20, 40, 16, 8, "2.19.1", "4.40.00.00"),
    Kind("HPE", "ProLiant DL360 Gen9", "Intel(R) Xeon(R) CPU E5-2650 v4 @ 2.20GHz",
         2, 24, 48, 16, 8, "P89 v2.76", "iLO 4 v2.79"),
    Kind("Lenovo", "ThinkSystem SR630", "Intel(R) Xeon(R) Silver 4110 CPU @ 2.10GHz",
         2, 16, 32, 16, 6, "IVE164G-3.50", "CDI3A2G-7.80"),
    Kind("Supermicro", "SYS-1029U-TR4", "Intel(R) Xeon(R) Silver 4116 CPU @ 2.10GHz",
         2, 24, 48, 16, 8, "3.4", "1.74.06"),
    Kind("Dell Inc.", "PowerEdge R630", "Intel(R) Xeon(R) CPU E5-2640 v4 @ 2.40GHz",
         2, 20, 40, 8, 8, "2.14.0", "2.83.83.83"),
    Kind("FUJITSU", "PRIMERGY RX2530 M4", "Intel(R) Xeon(R) Silver 4114 CPU @ 2.20GHz",
         2, 20, 40, 16, 6, "V5.0.0.12 R1.48.0", "3.21P"),
)  # fmt: skip

OLD_KINDS = (
    Kind("Supermicro", "X10DRi", "Intel(R) Xeon(R) CPU E5-2620 v4 @ 2.10GHz",
         2, 16, 32, 16, 6, "3.2a", "3.77"),
    Kind("HP", "ProLiant DL360 G7", "Intel(R) Xeon(R) CPU X5650 @ 2.67GHz",
         2, 12, 24, 8, 6, "P68", "1.94"),
    Kind("Dell Inc.", "PowerEdge R320", "Intel(R) Xeon(R) CPU E5-2450 0 @ 2.10GHz",
         1, 8, 16, 8, 4, "2.4.2", "2.65"),
)  # fmt: skip
"""Their BMCs speak IPMI only."""

MODELS = {"ssd": "LAB SSD MZ7LH", "hdd": "LAB HDD ST2000NX", "nvme": "LAB NVMe P4510"}
"""What the drives of each kind call themselves."""


def hardware_for(inventory: Inventory) -> dict[str, Hardware]:
    """Hardware of every server in the inventory, by name.

    What the inventory has as learned is what the machine is: figures that a person wrote by hand,
    because the BMC does not tell them, are true of the lab's machine too.
    """
    kinds = cycle(KINDS)
    machines = {}
    for number, (name, server) in enumerate(inventory.servers.items(), 1):
        learned = server.learned or Learned()
        cluster = inventory.cluster_of(name)
        ceph = cluster is not None and inventory.clusters[cluster].ceph
        kind = _as_written(learned) if learned.memory_gib else next(kinds)
        machines[name] = _machine(name, number, kind, learned, ceph)
    return machines


def _as_written(learned: Learned) -> Kind:
    """The old kind that has the cores somebody wrote by hand, with the memory they wrote."""
    kind = next((k for k in OLD_KINDS if k.cores == learned.cores), OLD_KINDS[0])
    return kind._replace(
        cores=learned.cores or kind.cores,
        threads=learned.threads or kind.threads,
        dimm_gib=(learned.memory_gib or 0) / kind.dimms,
    )


def _machine(name: str, number: int, kind: Kind, learned: Learned, ceph: bool) -> Hardware:
    return Hardware(
        vendor=learned.vendor or kind.vendor,
        model=learned.model or kind.model,
        serial=learned.serial or f"{name.upper()}{number:04d}",
        uuid=learned.uuid or str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.lab.example.org")),
        bios_version=kind.bios,
        bmc_firmware=kind.firmware,
        cpu=Cpu(model=kind.chip, sockets=kind.sockets, cores=kind.cores, threads=kind.threads),
        dimms=tuple(
            Dimm(
                slot=f"DIMM {_slot(i)}",
                size_gib=kind.dimm_gib,
                serial=f"M{number:03d}{i:02d}",
                part=f"LAB-DDR4-{kind.dimm_gib:g}G",
            )
            for i in range(kind.dimms)
        ),
        drives=_drives(name, learned, ceph),
        nics=_nics(number, learned),
    )


def _slot(i: int) -> str:
    return f"{'AB'[i % 2]}{i // 2 + 1}"


def _drives(name: str, learned: Learned, ceph: bool) -> tuple[Drive, ...]:
    if learned.disks:
        return tuple(
            Drive(
                name=d.name,
                size_bytes=d.size_gib * GIB,
                media=d.media,
                protocol="SATA",
                serial=d.serial or f"S{name.upper()}{d.name.upper()}",
                model=MODELS.get(d.media or "hdd"),
            )
            for d in learned.disks
        )
    sizes = (240, 960, 960) if ceph else (2000,)
    return tuple(
        Drive(
            name=disk,
            size_bytes=size * GB,
            media="ssd",
            protocol="SATA",
            serial=f"S{name.upper()}{disk.upper()}",
            failing=False,
            model=MODELS["ssd"],
        )
        for disk, size in zip(("sda", "sdb", "sdc"), sizes, strict=False)
    )


def _nics(number: int, learned: Learned) -> tuple[Nic, ...]:
    macs = learned.macs or tuple(f"02:00:5e:00:{number:02x}:{port:02x}" for port in (1, 2))
    return tuple(Nic(name=f"NIC {i}", mac=mac) for i, mac in enumerate(macs, 1))
