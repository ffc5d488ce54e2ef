"""What Prometheus is told of the fleet: families of samples, from what the store knows. Pure.

Silent is not absent, and unknown is not zero: what nobody knows, or what was seen too long ago,
has no sample. Every watcher and every boot service tells the same of one store, so the rules
(metal/heal/rules.py) take the highest or the lowest over all who tell.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from metal.controller.fleet_state import FleetState
from metal.controller.sensing import by_watch
from metal.heal.rules import stale_seconds
from metal.heal.storm import HOUR
from metal.model.fleet import Inventory
from metal.model.world import World
from metal.network.budget import budget
from metal.network.sites import pool
from metal.schedule.prove import prove

Sample = tuple[tuple[str, ...], float | None]
"""Label values, and the value; None where nobody knows it."""


def fleet_metrics(inventory: Inventory, state: FleetState) -> Iterator[Metric]:
    """Every family that docs/metrics.md names, whether it has samples now or not."""
    yield from _watching(inventory, state)
    yield from _healing(inventory, state)
    told = _only_fresh(state, stale_seconds(inventory.watch))
    yield from _servers(inventory, told)
    yield from _clusters(inventory, told)
    yield from _addresses(inventory, told.world)


def _only_fresh(state: FleetState, seconds: float) -> FleetState:
    """Without what was seen or judged longer ago than that."""
    looked = state.looked is not None and state.now - state.looked <= seconds
    judged = state.judged is not None and state.now - state.judged <= seconds
    return replace(
        state,
        world=state.world if looked else World(),
        verdicts=state.verdicts if judged else {},
    )


def gauge(name: str, text: str, labels: tuple[str, ...], samples: Iterable[Sample]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples:
        if value is not None:
            family.add_metric(values, value)
    return family


def one(name: str, text: str, value: float | None) -> Metric:
    return gauge(name, text, (), [((), value)])


def _total(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, number in counts.items():
        family.add_metric([value], number)
    return family


def _yes(value: bool | None) -> float | None:
    return None if value is None else float(value)


# ── families ────────────────────────────────────────────────────────────────────────────────────


def _watching(inventory: Inventory, state: FleetState) -> Iterator[Metric]:
    def ago(at: float | None) -> float | None:
        return None if at is None else max(0.0, state.now - at)

    leader = state.leader
    yield one("metal_observation_age_seconds", "Since somebody last looked.", ago(state.looked))
    yield one("metal_verdict_age_seconds", "Since a watcher last judged.", ago(state.judged))
    silent = Counter(who.partition(" ")[0] for who in state.world.silent)
    kinds = {"bmc": 0, "node": 0, "cluster": 0, "power": 0, **silent}
    yield gauge("metal_silent", "What did not answer the last look.", ("kind",), _counted(kinds))
    yield one(
        "metal_watch_leading", "1 while a watcher leads, 0 while none does.", _yes(bool(leader))
    )
    yield one(
        "metal_watch_leader_term",
        "Grows with each change of hands.",
        leader.term if leader else None,
    )
    yield gauge(
        "metal_watch_leader_info",
        "Where the leading watcher is.",
        ("place", "process"),
        [((leader.place, leader.process), 1)] if leader else [],
    )
    places = state.places.items()
    yield gauge(
        "metal_place_age_seconds",
        "Since somebody looked from there.",
        ("place",),
        [((name,), max(0.0, seen.age)) for name, seen in places],
    )
    yield gauge(
        "metal_place_hosts_reached",
        "Hosts that answer there.",
        ("place",),
        [((name,), sum(seen.reaches.values())) for name, seen in places],
    )
    yield one(
        "metal_watch_places_expected", "From how many places watchers look.", inventory.watch.places
    )


def _servers(inventory: Inventory, state: FleetState) -> Iterator[Metric]:
    seen = {n: s for n, s in state.world.servers.items() if n in inventory.servers}
    at = {name: (name, inventory.servers[name].site) for name in inventory.servers}
    yield gauge(
        "metal_server_info",
        "Where it is in its life, and how its last operation stands.",
        ("server", "site", "cluster", "life", "status"),
        [
            ((*at[n], inventory.cluster_of(n) or "", s.life.value, s.status.value), 1)
            for n, s in seen.items()
        ],
    )
    yield gauge(
        "metal_server_state",
        "1 for what the watcher makes of it: healthy, degrading, suspect, dead …",
        ("server", "site", "state"),
        [((*at[n], verdict), 1) for n, verdict in state.verdicts.items() if n in at],
    )
    power = {"on": 1.0, "off": 0.0}
    yield gauge(
        "metal_server_power",
        "1 on, 0 off.",
        ("server", "site"),
        [(at[n], power.get(s.power)) for n, s in seen.items()],
    )
    online = {"online": 1.0, "offline": 0.0}
    yield gauge(
        "metal_server_node_online",
        "1 where its cluster sees it.",
        ("server", "site"),
        [(at[n], online.get(s.node)) for n, s in seen.items()],
    )


def _clusters(inventory: Inventory, state: FleetState) -> Iterator[Metric]:
    clusters = {n: c for n, c in state.world.clusters.items() if n in inventory.clusters}
    yield gauge(
        "metal_cluster_quorate",
        "1 while it has quorum.",
        ("cluster",),
        [((n,), _yes(c.quorate)) for n, c in clusters.items() if c.formed is not False],
    )
    yield gauge(
        "metal_cluster_ceph_osds_up",
        "OSDs that are up and in.",
        ("cluster",),
        [((n,), c.ceph_osds) for n, c in clusters.items()],
    )
    yield gauge(
        "metal_cluster_survives",
        "1 where any one server may die and every VM runs again; 0 where not.",
        ("cluster",),
        [((n,), value) for n, value in _promises(inventory, state.world)],
    )
    vms = Counter((vm.cluster, vm.state) for vm in state.world.vms.values() if vm.kind == "vm")
    yield gauge("metal_vms", "VMs as seen.", ("cluster", "state"), list(vms.items()))


def _promises(inventory: Inventory, world: World) -> Iterator[tuple[str, float | None]]:
    """A loss that nobody can judge now makes the promise unknown, unless another breaks it."""
    if not world.clusters:
        return
    for name, proven in prove(inventory, world).clusters.items():
        verdicts = {failure.verdict for failure in proven.failures.values()}
        if "not" in verdicts:
            yield name, 0.0
        else:
            yield name, None if "unknown" in verdicts or not verdicts else 1.0


def _healing(inventory: Inventory, state: FleetState) -> Iterator[Metric]:
    begun = Counter(i.subject.partition(" ")[0] for i in state.incidents)
    kinds = {"server": 0, "site": 0, "fleet": 0, **begun}
    yield _total("metal_incidents", "Incidents that ever began.", "kind", kinds)
    yield gauge(
        "metal_incident_open_seconds",
        "How long each open incident lasts.",
        ("incident", "subject", "state"),
        [
            ((str(i.id), i.subject, i.state), max(0.0, state.now - i.began))
            for i in state.incidents
            if i.ended is None
        ],
    )
    ours = [o for o in state.operations if by_watch(o)]
    actions = {"recover": 0, "drain": 0, **Counter(o.kind for o in ours)}
    yield _total("metal_actions", "Recoveries and emptyings that watchers began.", "kind", actions)
    yield one(
        "metal_actions_last_hour",
        "Of those, begun within the last hour.",
        sum(state.now - o.created < HOUR for o in ours),
    )
    yield one(
        "metal_actions_hour_limit", "How many an hour may see.", inventory.watch.actions_an_hour
    )
    still = Counter((o.kind, o.status.value) for o in state.operations if o.open)
    yield gauge("metal_operations_open", "Not over yet.", ("kind", "status"), list(still.items()))
    yield one("metal_requests_waiting", "What people at racks are asked for.", state.waiting)
    yield one("metal_alarms_unsent", "Alarms that wait to be sent, now or again.", state.unsent)
    yield CounterMetricFamily("metal_alarms_lost", "Alarms that were given up.", state.lost)


def _addresses(inventory: Inventory, world: World) -> Iterator[Metric]:
    """VMs count where they run, or where they are pinned."""
    homes = {vm: about.cluster for vm, about in inventory.vms.items() if about.cluster}
    homes |= {vm: seen.cluster for vm, seen in world.vms.items() if vm in inventory.vms}
    known = {vm: cluster for vm, cluster in homes.items() if cluster in inventory.clusters}
    current = {vm: seen.addresses for vm, seen in world.vms.items()}
    seen = inventory.sites if world.servers else ()
    found = {site: budget(inventory, site, known, current) for site in seen}
    pools = {site: len(pool(about)) for site, about in inventory.sites.items()}
    yield gauge("metal_ipv4_pool", "Public IPv4 addresses of the site.", ("site",), _counted(pools))
    free = {site: one.free for site, one in found.items()}
    yield gauge(
        "metal_ipv4_free",
        "Of those, free; negative: so many are missing.",
        ("site",),
        _counted(free),
    )


def _counted(counts: Mapping[str, int]) -> list[Sample]:
    return [((key,), number) for key, number in counts.items()]
