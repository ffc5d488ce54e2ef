"""The fleet of inventory.toml with a world that looks like a bad day: for every test of a face."""

import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from metal.model.fleet import Disk, Inventory, Learned
from metal.model.life import Life, Status
from metal.model.world import SeenCluster, SeenServer, SeenVm, World
from metal.tui.source import EventSeen, OperationSeen, Snapshot

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def inventory() -> Inventory:
    """As the repository's own files say, without the checks across references."""
    data = _toml("inventory.toml")
    data["profiles"] = {
        p.stem: tomllib.loads(p.read_text()) for p in (ROOT / "profiles/servers").iterdir()
    }
    data["sizes"] = _toml("profiles/vms.toml")
    wanted = Inventory.model_validate(data)
    alba1 = wanted.servers["alba1"].model_copy(update={"learned": LEARNED})
    return wanted.model_copy(update={"servers": {**wanted.servers, "alba1": alba1}})


def _toml(name: str) -> dict[str, object]:
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


LEARNED = Learned(
    vendor="Supermicro",
    model="SYS-6028R-T",
    serial="S140923X4",
    uuid="4c4c4544-0001-0001-0001-000000000001",
    cpu="Intel Xeon E5-2630 v3",
    cores=16,
    threads=32,
    memory_gib=128,
    macs=("02:00:5e:00:01:01", "02:00:5e:00:01:02"),
    disks=(
        Disk(name="sda", size_gib=223, media="ssd", serial="BTWL5000"),
        Disk(name="sdb", size_gib=3726, media="hdd", serial="K4G2R1TB"),
        Disk(name="sdc", size_gib=3726, media="hdd", serial="K4G2R1TC"),
    ),
)

ODD = {
    "alba2": SeenServer(
        life=Life.MEMBER,
        power="on",
        health="critical",
        reasons=("PSU 2: power supply failure detected",),
        node="online",
    ),
    "bora2": SeenServer(life=Life.MEMBER, power="off", health="ok", node="offline"),
    "cima2": SeenServer(life=Life.MEMBER, node="online"),
    "cima3": SeenServer(
        life=Life.ENROLLED,
        status=Status.FAILED,
        note="no answer from the installer for 30 min",
        power="on",
        health="warning",
    ),
    "duna1": SeenServer(life=Life.ENROLLED, power="off", health="ok"),
}


def world(wanted: Inventory) -> World:
    """Three clusters and a machine that is not installed yet; every cluster's VMs spread out."""
    well = SeenServer(life=Life.MEMBER, power="on", health="ok", node="online")
    return World(
        servers={name: ODD.get(name, well) for name in wanted.servers},
        clusters={
            "alba": SeenCluster(formed=True, quorate=True, nodes=("alba1", "alba2", "alba3")),
            "bora": SeenCluster(formed=True, quorate=True, nodes=("bora1", "bora2", "bora3")),
            "cima": SeenCluster(formed=True, quorate=True, nodes=("cima1", "cima2")),
            "duna": SeenCluster(formed=False, quorate=False),
        },
        vms=_vms(wanted),
        silent={"bmc cima2": "timed out after 5 s"},
    )


def _vms(wanted: Inventory) -> dict[str, SeenVm]:
    free = ("alba1", "alba3", "bora1", "bora3", "cima1", "alba2", "cima2")
    vms = {}
    for number, (name, vm) in enumerate(sorted(wanted.vms.items())):
        if vm.cluster == "duna":
            continue
        peers = [s for s in free if vm.cluster is None or s.startswith(vm.cluster)]
        server = peers[number % len(peers)]
        vms[name] = SeenVm(
            vmid=100 + number,
            cluster=server[:-1],
            server=server,
            state="stopped" if name == "planet" else "running",
            addresses=(f"10.11.128.{10 + number}/20", f"2001:db8:11::{10 + number:x}/64"),
        )
    return vms


OPERATIONS = (
    OperationSeen(
        id=31,
        kind="drain",
        subject="drain:alba2",
        status=Status.RUNNING,
        fraction=0.4,
        text="moving mail1 to alba3",
        servers=("alba2",),
    ),
    OperationSeen(
        id=30,
        kind="install",
        subject="install:cima3",
        status=Status.FAILED,
        fraction=0.55,
        text="no answer from the installer for 30 min",
        servers=("cima3",),
    ),
    OperationSeen(
        id=12, kind="form", subject="form:bora", status=Status.DONE, fraction=1.0, text="quorate"
    ),
)


def snapshot() -> Snapshot:
    wanted = inventory()
    return Snapshot(
        taken_at=NOON,
        inventory=wanted,
        world=world(wanted),
        looked_at=NOON - timedelta(seconds=42),
        operations=OPERATIONS,
        events=(
            EventSeen(
                at=NOON - timedelta(seconds=3),
                operation=31,
                subject="drain:alba2",
                text="moving mail1 to alba3",
            ),
            EventSeen(
                at=NOON - timedelta(seconds=61),
                operation=31,
                subject="drain:alba2",
                text="moved dns1 to alba1",
            ),
        ),
    )
