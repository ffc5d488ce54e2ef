"""How the fleet comes back when everything is dark: who opens whose disk, and in which order.

A disk opens by a TPM, by enough Tang servers, or by a person through dropbear. A Tang server runs
on a server or a VM whose own disk must be open before. Pure: what is planned here is printed for
people, and checked before it is needed. What is not known counts as worse: a VM that is pinned to
no cluster is up only when every cluster is.
"""

from collections.abc import Iterable

from metal.model.base import Frozen
from metal.model.fleet import OUTSIDE, Inventory


class Wave(Frozen):
    """What a person does, and what comes up by itself thereupon."""

    persons: tuple[str, ...]
    """Servers that somebody unlocks, in any order; none in the first wave."""
    rounds: tuple[tuple[str, ...], ...]
    """Servers that open themselves, those of a round together, after those of the rounds before."""


class Deadlock(Frozen):
    """A circle: none of these opens itself before another of them has."""

    chain: tuple[str, ...]
    """Each needs the next, and the last needs the first: "alba1 (Tang t1 on bora2)"."""
    servers: tuple[str, ...]
    all_dark: bool
    """Nothing in the whole fleet comes back by itself."""


class ColdStart(Frozen):
    """The order out of darkness."""

    waves: tuple[Wave, ...]
    deadlocks: tuple[Deadlock, ...]
    """Of servers that were meant to open themselves and do not: a person must begin somewhere."""
    never: tuple[str, ...]
    """Even when people do all they can: no dropbear, and never enough Tang servers."""

    @property
    def order(self) -> tuple[str, ...]:
        """Every server that comes up, in an order that holds."""
        return tuple(name for w in self.waves for part in (w.persons, *w.rounds) for name in part)


def cold_start(inventory: Inventory, up: Iterable[str] = (), lost: Iterable[str] = ()) -> ColdStart:
    """The order in which all servers come back that are neither `up` nor `lost` for ever."""
    house = _House(inventory, frozenset(lost))
    running = frozenset(up) - house.lost
    dark = [name for name in inventory.servers if name not in running | house.lost]
    rounds = house.rounds(running)
    waves = [Wave(persons=(), rounds=rounds)] if rounds else []
    running |= _flat(rounds)
    deadlocks = house.deadlocks(running, nothing=not running)
    while waiting := [n for n in dark if n not in running and house.has_dropbear(n)]:
        persons, rounds = house.best(waiting, running)
        waves.append(Wave(persons=persons, rounds=rounds))
        running |= {*persons, *_flat(rounds)}
    never = tuple(name for name in dark if name not in running)
    return ColdStart(waves=tuple(waves), deadlocks=deadlocks, never=never)


def _flat(rounds: Iterable[tuple[str, ...]]) -> frozenset[str]:
    return frozenset(name for names in rounds for name in names)


class _House:
    """Who needs what, as the inventory says."""

    def __init__(self, inventory: Inventory, lost: frozenset[str]) -> None:
        self.inventory, self.lost = inventory, lost

    def has_dropbear(self, server: str) -> bool:
        return "dropbear" in self.inventory.servers[server].unlock.by

    def _dark(self, running: frozenset[str]) -> list[str]:
        gone = running | self.lost
        return [name for name in self.inventory.servers if name not in gone]

    def rounds(self, running: frozenset[str]) -> tuple[tuple[str, ...], ...]:
        """What opens itself, round by round, until nothing more does."""
        found: list[tuple[str, ...]] = []
        while True:
            now = tuple(name for name in self._dark(running) if self._opens(name, running))
            if not now:
                return tuple(found)
            found.append(now)
            running |= frozenset(now)

    def _opens(self, server: str, running: frozenset[str]) -> bool:
        unlock = self.inventory.servers[server].unlock
        if "tpm2" in unlock.by:
            return True
        answering = sum(self._answers(tang, running) for tang in unlock.tang)
        return "tang" in unlock.by and answering >= unlock.threshold

    def _answers(self, tang: str, running: frozenset[str]) -> bool:
        home = self.inventory.tang[tang].runs_on
        return home == OUTSIDE or self._runs(home, running)

    def _runs(self, home: str, running: frozenset[str]) -> bool:
        """Whether the server, or the VM wherever it may be, runs."""
        if home in self.inventory.servers:
            return home in running
        cluster = self.inventory.vms[home].cluster
        clusters = [cluster] if cluster else list(self.inventory.clusters)
        return bool(clusters) and all(self._serves(one, running) for one in clusters)

    def _serves(self, cluster: str, running: frozenset[str]) -> bool:
        """A majority where its disks are replicated, else every server: one of them has it."""
        members = self.inventory.clusters[cluster].servers
        there = sum(name in running for name in members)
        replicated = self.inventory.clusters[cluster].ceph and len(members) > 1
        return there * 2 > len(members) if replicated else there == len(members)

    def best(
        self, waiting: list[str], running: frozenset[str]
    ) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """The server that brings the most others back when a person unlocks it; where none does
        alone, all that wait: they need nobody, or only each other."""
        first, brought = waiting[0], self.rounds(running | {waiting[0]})
        for name in waiting[1:]:
            if len(_flat(brought)) == len(self._dark(running)) - 1:
                break  # nobody can do better
            rounds = self.rounds(running | {name})
            if len(_flat(rounds)) > len(_flat(brought)):
                first, brought = name, rounds
        if brought:
            return (first,), brought
        if helpers := [n for n in waiting if n in self._wanted(running)]:
            # Homes of Tang servers first: together they may do what none does alone.
            return tuple(helpers), self.rounds(running | frozenset(helpers))
        return tuple(waiting), self.rounds(running | frozenset(waiting))

    def _wanted(self, running: frozenset[str]) -> set[str]:
        """Dark servers on which Tang servers run that another dark server asks."""
        asked = {tang for name in self._dark(running) for tang in self._tang(name)}
        return {home for tang in asked for home in self._homes(tang) if home not in running}

    def _tang(self, server: str) -> tuple[str, ...]:
        unlock = self.inventory.servers[server].unlock
        return unlock.tang if "tang" in unlock.by else ()

    def _homes(self, tang: str) -> tuple[str, ...]:
        """The servers that the Tang server depends on."""
        home = self.inventory.tang[tang].runs_on
        if home == OUTSIDE:
            return ()
        if home in self.inventory.servers:
            return (home,)
        cluster = self.inventory.vms[home].cluster
        clusters = [cluster] if cluster else list(self.inventory.clusters)
        return tuple(s for one in clusters for s in self.inventory.clusters[one].servers)

    def deadlocks(self, running: frozenset[str], *, nothing: bool) -> tuple[Deadlock, ...]:
        """A circle for every group of servers that wait for each other, each found once."""
        found: list[Deadlock] = []
        told: set[str] = set()
        for server in self.inventory.servers:
            if server in running | self.lost | told or not self._tang(server):
                continue
            chain = self._circle(server, running)
            names = tuple(name for name, _ in chain)
            if names and not told & set(names):
                links = tuple(f"{name} ({via})" for name, via in chain)
                found.append(Deadlock(chain=links, servers=names, all_dark=nothing))
            told |= set(names)
        return tuple(found)

    def _circle(self, start: str, running: frozenset[str]) -> list[tuple[str, str]]:
        """Follow what a server waits for until one comes again; empty where it ends elsewhere.

        Depth first, over all that is missing: [(server, "Tang t1 on bora2")…].
        """
        path: list[tuple[str, str]] = []
        seen: set[str] = set()

        def visit(server: str) -> list[tuple[str, str]]:
            places = [name for name, _ in path]
            if server in places:
                return path[places.index(server) :]
            if server in seen:
                return []
            seen.add(server)
            for tang in self._tang(server):
                if self._answers(tang, running):
                    continue
                home = self.inventory.tang[tang].runs_on
                for needed in self._homes(tang):
                    if needed in running | self.lost:
                        continue
                    path.append((server, f"Tang {tang} on {home}"))
                    if circle := visit(needed):
                        return circle
                    path.pop()
            return []

        return visit(start)
