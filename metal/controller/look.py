"""Look at everything at once. Whatever does not answer is unknown, and said so."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from metal.controller.progress import Progress, silent
from metal.controller.workspace import Workspace
from metal.model.errors import MetalError
from metal.model.facts import HealthReport, Power
from metal.model.life import Life
from metal.model.world import NodeState, SeenCluster, SeenServer, SeenVm, World

WORKERS = 32
"""Looks at once: the floor is the slowest BMC, not their sum."""

T = TypeVar("T")


def look(workspace: Workspace, *, progress: Progress = silent) -> World:
    """One look at every BMC and cluster, side by side; kept as the last look."""
    inventory = workspace.inventory
    records = workspace.store.servers.all()
    silences: dict[str, str] = {}
    progress.begin("look", "looking at servers and clusters")

    def ask(key: str, question: Callable[[], T], unknown: T) -> T:
        try:
            return question()
        except MetalError as error:
            silences[key] = error.what
            return unknown

    def bmc_of(name: str) -> tuple[Power, HealthReport]:
        bmc = workspace.bmc(name)
        try:
            return bmc.power(), bmc.health()
        finally:
            bmc.close()

    enrolled = [n for n in inventory.servers if n in records and records[n].life != Life.FOUND]
    reachable = [c for c in inventory.clusters if _installed(workspace, c)]
    no_power: tuple[Power, HealthReport] = ("unknown", HealthReport(health="unknown"))
    silent_cluster: tuple[SeenCluster, dict[str, str], dict[str, SeenVm]] = (SeenCluster(), {}, {})
    with ThreadPoolExecutor(WORKERS) as pool:
        bmcs = {n: pool.submit(ask, f"bmc {n}", _call(bmc_of, n), no_power) for n in enrolled}
        clusters = {
            c: pool.submit(ask, f"cluster {c}", workspace.hypervisor(c).look, silent_cluster)
            for c in reachable
        }
    seen = {c: future.result() for c, future in clusters.items()}
    nodes = {n: s for _, states, _ in seen.values() for n, s in states.items()}
    servers = {}
    for name in inventory.servers:
        power, report = bmcs[name].result() if name in bmcs else no_power
        record = records.get(name)
        servers[name] = SeenServer(
            life=record.life if record else Life.FOUND,
            status=record.status if record else SeenServer().status,
            note=record.note if record else "",
            power=power,
            health=report.health,
            reasons=report.reasons,
            node=_node_state(nodes.get(name)),
        )
    world = World(
        servers=servers,
        clusters={
            c: seen[c][0] if c in seen else _unformed(c, records) for c in inventory.clusters
        },
        vms=_merge(vms for _, _, vms in seen.values()),
        silent=dict(sorted(silences.items())),
    )
    workspace.store.looks.save(world.model_dump_json())
    progress.end("look", not silences, f"{len(silences)} did not answer" if silences else "")
    return world


def _call(question: Callable[[str], T], name: str) -> Callable[[], T]:
    return lambda: question(name)


def _installed(workspace: Workspace, cluster: str) -> bool:
    """Whether any of its servers has an API to ask."""
    records = workspace.store.servers.all()
    members = workspace.inventory.clusters[cluster].servers
    return any(n in records and records[n].node_fingerprint for n in members)


def _unformed(cluster: str, records: object) -> SeenCluster:
    """No server of it was ever installed by us: it is known not to be formed."""
    return SeenCluster(formed=False, quorate=False)


def _node_state(seen: str | None) -> NodeState:
    return "online" if seen == "online" else "offline" if seen == "offline" else "unknown"


def _merge(parts: Iterable[dict[str, SeenVm]]) -> dict[str, SeenVm]:
    return {name: vm for part in parts for name, vm in part.items()}
