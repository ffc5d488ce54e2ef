"""Look at everything at once. Whatever does not answer is unknown, and said so."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from metal.controller.event_logs import LOGGED, EventLogs, logged
from metal.controller.libvirts import INSTALLED
from metal.controller.powering import moment, read_by_plug
from metal.controller.progress import Progress, silent
from metal.controller.workspace import LINKED, Workspace
from metal.enroll.route import route
from metal.model.errors import MetalError
from metal.model.facts import HealthReport, Power
from metal.model.life import Life
from metal.model.links import is_plain
from metal.model.passport import Method, Passport
from metal.model.world import NodeState, SeenCluster, SeenServer, SeenVm, World
from metal.operations.records import Record
from metal.operations.servers import ServerRecord

WORKERS = 64
"""Looks at once, as many as connections may be open. The floor is the slowest BMC."""

NAMES = "names"
"""The kind of record, by cluster, of what its VMs are called: number → name."""

T = TypeVar("T")
BmcSeen = tuple[Power, HealthReport, str]
"""Power, health, and who tells the power where it is not the BMC."""
ClusterSeen = tuple[SeenCluster, dict[str, str], dict[str, SeenVm]]

_SILENT_BMC: BmcSeen = ("unknown", HealthReport(health="unknown"), "")
_SILENT_CLUSTER: ClusterSeen = (SeenCluster(), {}, {})
_NEVER_FORMED = SeenCluster(formed=False, quorate=False)
"""No server of it was ever installed by us."""


def look(
    workspace: Workspace, *, progress: Progress = silent, logs: EventLogs | None = None
) -> World:
    """One look at every BMC and cluster, side by side; kept as the last look. `logs`: of who also
    reads what the BMCs logged."""
    progress.begin("look", "look at servers and clusters")
    looked = _Look(workspace, logs)
    world = looked.world()
    workspace.store.looks.save(world.model_dump_json())
    progress.end("look", not world.silent, "; ".join(_remarks(world, looked.ages)))
    return world


def names_of(workspace: Workspace, cluster: str) -> dict[int, str]:
    """Number → name of its guests, as they were last seen: of one on a dead node Proxmox itself
    tells the number alone."""
    kept = workspace.store.records.all(NAMES).get(cluster)
    names = {int(number): str(name) for number, name in (kept.body if kept else {}).items()}
    for name, vm in workspace.inventory.vms.items():
        if vm.adopted and vm.cluster == cluster:
            names[vm.adopted.vmid] = name
    return names


def _remarks(world: World, ages: dict[str, float]) -> Iterator[str]:
    if world.silent:
        yield f"{len(world.silent)} did not answer"
    if ages:
        yield f"{', '.join(ages)}: not asked again yet, told {max(ages.values()):.0f} s ago"


class _Look:
    def __init__(self, workspace: Workspace, logs: EventLogs | None) -> None:
        self._workspace, self._logs = workspace, logs
        self._records = workspace.store.servers.all()
        self._passports = workspace.store.records.all("passport")
        self._names = workspace.store.records.all(NAMES)
        self._linked = workspace.store.records.all(LINKED)
        self._words = workspace.store.words.all()
        self._logged: dict[str, Record] = {}
        self._silent: dict[str, str] = {}
        self.ages: dict[str, float] = {}
        """Server → how many seconds ago its BMC told what is used: it is not asked that often."""

    def world(self) -> World:
        inventory = self._workspace.inventory
        with self._workspace.crew(WORKERS) as pool:
            bmcs = {n: self._ask_power(pool, n) for n in inventory.servers if self._enrolled(n)}
            asked = {c: self._ask_cluster(pool, c) for c in inventory.clusters if self._answers(c)}
            clusters = {name: self._called(name, f.result()) for name, f in asked.items()}
            if self._will_place(clusters):
                # Somebody is about to be given addresses: now what is remembered is not enough.
                asked = {c: self._ask_cluster(pool, c, thorough=True) for c in clusters}
                clusters = {name: self._called(name, f.result()) for name, f in asked.items()}
        nodes = {n: state for _, states, _ in clusters.values() for n, state in states.items()}
        self._logged = self._workspace.store.records.all(LOGGED)  # with what was read just now
        return World(
            servers={
                n: self._server(n, bmcs[n].result() if n in bmcs else _SILENT_BMC, nodes.get(n))
                for n in inventory.servers
            },
            clusters={
                c: clusters[c][0] if c in clusters else _NEVER_FORMED for c in inventory.clusters
            },
            vms=_by_name(clusters) | self._carried(clusters),
            silent=dict(sorted(self._silent.items())),
        )

    def _called(self, cluster: str, told: ClusterSeen) -> ClusterSeen:
        """Proxmox tells of a VM on a dead node its number alone, unless HA's comment names it:
        what it was called is kept, whatever silence came before its death was noticed."""
        seen, states, vms = told
        self._remember_links(seen)
        if not vms or self._workspace.inventory.clusters[cluster].libvirt:
            return told
        known: dict[str, str] = self._names[cluster].body if cluster in self._names else {}
        named: dict[str, SeenVm] = {}
        for name, vm in vms.items():
            was = known.get(str(vm.vmid), name)
            named[was if self._is_nameless(name, vm) and was not in vms else name] = vm
        kept = {str(vm.vmid): n for n, vm in named.items() if self._is_name(n, vm, known)}
        if kept != known:
            self._workspace.store.records.put(cluster, NAMES, kept)
        return seen, states, named

    def _remember_links(self, seen: SeenCluster) -> None:
        """A server is asked for its network also when its links are gone from the inventory."""
        records = self._workspace.store.records
        for server, ports in seen.networks.items():
            links = self._workspace.inventory.links(server)
            if links and server not in self._linked:
                records.put(server, LINKED, {})
            elif not links and is_plain(ports):
                records.forget(server, LINKED)

    def _is_name(self, name: str, vm: SeenVm, known: dict[str, str]) -> bool:
        return not self._is_nameless(name, vm) or known.get(str(vm.vmid)) == name

    def _is_nameless(self, name: str, vm: SeenVm) -> bool:
        return vm.state == "unknown" and name not in self._workspace.inventory.vms

    def _carried(self, clusters: dict[str, ClusterSeen]) -> dict[str, SeenVm]:
        """VMs of hosts that are silent, where nobody but the host itself would tell of them.

        Proxmox's cluster remembers what its dead nodes had; of libvirt's hosts we must.
        """
        ours = {c for c in clusters if self._workspace.inventory.clusters[c].libvirt}
        last = self._workspace.store.looks.last() if ours else None
        before = World.model_validate_json(last[1]).vms if last else {}
        found: dict[str, SeenVm] = {}
        for name, vm in before.items():
            if vm.cluster in ours:
                _, states, seen = clusters[vm.cluster]
                told = name in seen and seen[name].state != "unknown"
                if not told and states.get(vm.server, "unknown") != "online":
                    found[name] = vm.model_copy(update={"state": "unknown"})
        return found

    def _enrolled(self, server: str) -> bool:
        """Its BMC, if it has one, takes our password."""
        return self._record(server).life is not Life.FOUND

    def _answers(self, cluster: str) -> bool:
        """Whether any of its servers was installed, so that there is an API to ask."""
        about = self._workspace.inventory.clusters[cluster]
        if about.libvirt:
            return any(self._record(n).life in INSTALLED for n in about.servers)
        return any(self._record(n).node_fingerprint for n in about.servers)

    def _record(self, server: str) -> ServerRecord:
        return self._records.get(server, ServerRecord())

    def _ask_power(self, pool: Executor, name: str) -> Future[BmcSeen]:
        """By its BMC; where that is silent, or there is none, by whatever else tells."""

        def ask() -> BmcSeen:
            access = self._workspace.inventory.servers[name].bmc
            told = self._workspace.pace.read(access, self._poll_seconds(name), tell)
            if told.age:
                self.ages[name] = told.age
            return told.body["power"], HealthReport.model_validate(told.body["health"]), ""

        def tell() -> dict[str, Any]:
            begun = time.monotonic()
            bmc = self._workspace.bmc(name)
            try:
                told = {"power": bmc.power(), "health": bmc.health().model_dump(mode="json")}
                if self._logs:
                    self._logs.read(name, bmc, time.monotonic() - begun)
                return told
            finally:
                bmc.close()

        def both() -> BmcSeen:
            asked = self._workspace.inventory.servers[name].has_bmc
            seen = self._or_unknown(f"bmc {name}", ask, _SILENT_BMC) if asked else _SILENT_BMC
            power, report, _ = seen
            if power == "on" and name in self._words:
                self._workspace.store.words.withdraw(name)
            return seen if power != "unknown" else self._otherwise(name, report)

        return pool.submit(both)

    def _poll_seconds(self, name: str) -> float:
        """How often its BMC bears to be asked; 0 while nobody has proven that."""
        passport = self._passport(name)
        return passport.poll_seconds if passport else 0.0

    def _passport(self, name: str) -> Passport | None:
        record = self._passports.get(name)
        try:
            return Passport.model_validate(record.body) if record else None
        except ValueError:
            return None  # another version of metal wrote it

    def _otherwise(self, name: str, report: HealthReport) -> BmcSeen:
        """A BMC whose plug is off is silent, and the plug says why: off is off. Else whoever
        cut its power and said so."""
        read: Power = "unknown"
        if self._workspace.inventory.servers[name].power.driver == "fence":
            read = self._or_unknown(
                f"power {name}", lambda: read_by_plug(self._workspace, name), read
            )
        word = self._words.get(name)
        if read == "unknown" and word:
            return "off", report, f"{word.by}, who cut its power at {moment(word.at)},"
        return read, report, "its plug" if read != "unknown" else ""

    def _will_place(self, clusters: dict[str, ClusterSeen]) -> bool:
        """A VM that metal is to make is nowhere, and there are others beside it."""
        inventory, seen = self._workspace.inventory, _by_name(clusters)
        return bool(seen) and any(vm not in seen and inventory.chosen(vm) for vm in inventory.vms)

    def _ask_cluster(
        self, pool: Executor, name: str, *, thorough: bool = False
    ) -> Future[ClusterSeen]:
        def ask() -> ClusterSeen:
            hypervisor = self._workspace.hypervisor(name)
            seen = hypervisor.look(thorough=thorough)
            self._silent.update((f"node {n}", why) for n, why in hypervisor.silent.items())
            return seen

        return pool.submit(self._or_unknown, f"cluster {name}", ask, _SILENT_CLUSTER)

    def _or_unknown(self, key: str, ask: Callable[[], T], unknown: T) -> T:
        try:
            return ask()
        except MetalError as error:
            self._silent[key] = error.what
            return unknown

    def _server(self, name: str, bmc: BmcSeen, node: str | None) -> SeenServer:
        record, (power, report, by) = self._record(name), bmc
        events = logged(self._logged.get(name), self._workspace.store.now()) if self._logged else ()
        return SeenServer(
            life=record.life,
            status=record.status,
            note=record.note,
            power=power,
            power_by=by,
            health=report.health,
            reasons=(*report.reasons, *events),
            node=_node_state(node),
            route=self._route(name),
        )

    def _route(self, name: str) -> Method | None:
        way = route(self._workspace.inventory, name, self._passport(name))
        return way.method if way else None


def _by_name(clusters: dict[str, ClusterSeen]) -> dict[str, SeenVm]:
    """Every VM; two of one name in two clusters both count."""
    found: dict[str, SeenVm] = {}
    for cluster, (_, _, vms) in clusters.items():
        for name, vm in vms.items():
            found[f"{name}#{cluster}" if name in found else name] = vm
    return found


def _node_state(seen: str | None) -> NodeState:
    return "online" if seen == "online" else "offline" if seen == "offline" else "unknown"
