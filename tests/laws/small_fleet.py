"""A small lawful fleet that tests break one law at a time: rio (three servers) and zee (one)."""

from ipaddress import ip_address, ip_network
from typing import Any

from metal.model.addresses import Addressing
from metal.model.fleet import (
    Administrator,
    BmcAccess,
    Cluster,
    Disk,
    Donor,
    Fleet,
    Inventory,
    Learned,
    Server,
    ServerProfile,
    Site,
    Subnets,
    Vm,
    VmSize,
)
from metal.model.laws import Breach, judge
from metal.model.life import Life
from metal.model.plan import (
    Action,
    DrainServer,
    FormCluster,
    InstallServer,
    MigrateVm,
    PlaceVm,
    Plan,
    RecoverServer,
    Restarts,
    Risk,
    StartVm,
)
from metal.model.world import SeenCluster, SeenServer, SeenVm, World

SAFE: dict[str, Any] = {"what": "do it", "why": "a test", "risk": Risk.SAFE}
CLUSTERS = {"rio": ("rio1", "rio2", "rio3"), "zee": ("zee1",)}


def site(number: int) -> Site:
    return Site(
        donor=Donor(name="d", contact="c"),
        place="p",
        ipv4_pool=(f"192.0.{number}.2-192.0.{number}.6",),
        subnets=Subnets(
            bmc=ip_network(f"10.{number}.0.0/24"),
            management=ip_network(f"10.{number}.1.0/24"),
            gateway=ip_address(f"10.{number}.1.1"),
            private_ipv4=ip_network(f"10.{number}.128.0/20"),
            public_ipv4=ip_network(f"192.0.{number}.0/28"),
            public_gateway=ip_address(f"192.0.{number}.1"),
            ipv6=ip_network(f"2001:db8:{number}::/48"),
        ),
    )


def server(name: str, number: int, index: int, memory_gib: int | None = 24) -> Server:
    return Server(
        site=f"site{number}",
        rack="A",
        profile="plain",
        address=ip_address(f"10.{number}.1.{10 + index}"),
        bmc=BmcAccess(address=f"10.{number}.0.{10 + index}"),
        learned=Learned(
            serial=name,
            uuid=f"uuid-{name}",
            threads=8,
            memory_gib=memory_gib,
            macs=(f"02:00:5e:00:0{number}:0{index}",),
            disks=(
                Disk(name="d0", size_gib=200, serial=f"{name}-0"),
                Disk(name="d1", size_gib=900, serial=f"{name}-1"),
            ),
        ),
    )


def fleet(vms: dict[str, Vm], memory_gib: int = 24) -> Inventory:
    """Servers keep 8 GiB for themselves."""
    servers = {f"rio{i}": server(f"rio{i}", 1, i, memory_gib) for i in (1, 2, 3)}
    return Inventory(
        fleet=Fleet(name="f", domain="f.example.org"),
        administrators={"a": Administrator(name="a", keys=("age1",))},
        sites={"site1": site(1), "site2": site(2)},
        servers=servers | {"zee1": server("zee1", 2, 1, memory_gib)},
        clusters={
            "rio": Cluster(servers=CLUSTERS["rio"]),
            "zee": Cluster(servers=CLUSTERS["zee"], ceph=False),
        },
        vms=vms,
        profiles={"plain": ServerProfile(description="d")},
        sizes={"s4": VmSize(vcpus=2, memory_gib=4, disk_gib=10)},
    )


def vm(**wishes: Any) -> Vm:
    return Vm(**({"size": "s4", "why": "w"} | wishes))


def bare() -> World:
    """Enrolled servers, nothing formed."""
    new = SeenServer(life=Life.ENROLLED, power="off")
    return World(
        servers={s: new for c in CLUSTERS.values() for s in c},
        clusters={c: SeenCluster(formed=False) for c in CLUSTERS},
    )


def running(**vms: SeenVm) -> World:
    """Both clusters formed, every node online."""
    up = SeenServer(life=Life.MEMBER, power="on", node="online")
    return World(
        servers={s: up for c in CLUSTERS.values() for s in c},
        clusters={
            c: SeenCluster(formed=True, quorate=True, nodes=nodes) for c, nodes in CLUSTERS.items()
        },
        vms=vms,
    )


def seen(server: str, vmid: int, **more: Any) -> SeenVm:
    return SeenVm(vmid=vmid, cluster=server[:3], server=server, state="running").model_copy(
        update=more
    )


def install(name: str, /, **more: Any) -> InstallServer:
    number, index = (1, int(name[3])) if name.startswith("rio") else (2, 1)
    wanted: dict[str, Any] = {
        "server": name,
        "site": f"site{number}",
        "profile": "plain",
        "debian": "trixie",
        "mac": f"02:00:5e:00:0{number}:0{index}",
        "uuid": f"uuid-{name}",
        "disk": "d0",
        "disk_serial": f"{name}-0",
    }
    return InstallServer(**(SAFE | {"risk": Risk.DESTROYS} | wanted | more))


def form(cluster: str, /, **more: Any) -> FormCluster:
    wanted = {"cluster": cluster, "servers": CLUSTERS[cluster], "ceph": cluster == "rio"}
    return FormCluster(**(SAFE | wanted | more))


def place(name: str, server: str, vmid: int, treatment: str = "ipv6", /, **more: Any) -> PlaceVm:
    """Addresses follow from the vmid."""
    number = 1 if server.startswith("rio") else 2
    addressing: dict[str, Any] = {
        "treatment": treatment,
        "private_ipv4": f"10.{number}.128.{vmid - 90}/20",
        "ipv6": f"2001:db8:{number}::{vmid}/64",
    }
    addressing |= more.pop("addressing", {})
    wanted: dict[str, Any] = {
        "vm": name,
        "vmid": vmid,
        "cluster": server[:3],
        "server": server,
        "vcpus": 2,
        "memory_mib": 4096,
        "disk_gib": 10,
        "ha": server.startswith("rio"),
        "addressing": Addressing(**addressing),
    }
    return PlaceVm(**(SAFE | wanted | more))


def move(name: str, vmid: int, source: str, target: str) -> MigrateVm:
    return MigrateVm(**SAFE, vm=name, vmid=vmid, cluster=source[:3], source=source, target=target)


def drain(server: str, *moves: MigrateVm) -> DrainServer:
    return DrainServer(**SAFE, server=server, cluster=server[:3], moves=moves)


def recover(server: str, /, restarts: Restarts | None = None, **vms: int) -> RecoverServer:
    return RecoverServer(**SAFE, server=server, cluster=server[:3], vms=vms, restarts=restarts)


def start(name: str, server: str, vmid: int) -> StartVm:
    return StartVm(**SAFE, vm=name, vmid=vmid, cluster=server[:3], server=server)


def breaches(inventory: Inventory, world: World, *actions: Action) -> list[Breach]:
    return judge(Plan(fingerprint="", actions=actions), inventory, world)
