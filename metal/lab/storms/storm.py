"""One storm: a seed, a fleet, some watchers, and months of weather."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metal.controller.post import Post
from metal.controller.progress import silent
from metal.controller.releasing import release
from metal.controller.watching import Watcher
from metal.lab.storms.faults import Fault, draw
from metal.lab.storms.fleet import UNMANAGED, fleet
from metal.lab.storms.hosts import Hosts
from metal.lab.storms.laws import Broken, Laws
from metal.lab.storms.ports import AtOnce, Eyes, Killed, Leave, SimWorkspace
from metal.lab.storms.rack import Box, Rack
from metal.model.errors import MetalError, Unreachable
from metal.model.life import Life, Status
from metal.operations.database import Clock
from metal.operations.owner import Owner
from metal.operations.store import Store, open_store

EPOCH = 1_800_000_000.0
TICK = 10.0
"""Seconds between two rounds of a watcher."""
PERSON = 1800.0
"""Seconds between two visits of somebody who repairs and releases."""
CALM = 4 * 3600.0
"""Seconds without a new fault at the end, after which everything must be well again."""
HOUR, DAY = 3600.0, 86_400.0
WELL = (True, False, True, True, True)
BEFORE = 3
"""Rounds that are taken before whatever time was leapt over to."""
CALM_ROUNDS, STUCK_ROUNDS, OPEN_ROUNDS = 6, 25, 70
"""Rounds without a change after which time is leapt over: when all is well, when not, and while an
operation is open. HA needs 19, an operation waits for 60 at most. Where all is as it was when time
was leapt over before, CALM_ROUNDS are enough: HA's clocks leapt along, and whatever a watcher does
once its time has come it begins in the first round."""


@dataclass
class Guard:
    """One watcher: its process comes and goes, its place stays."""

    place: str
    eyes: Eyes
    lives: int = 0
    away_until: float = 0.0
    stalled: bool = False
    store: Store | None = None
    watcher: Watcher | None = None
    post: Post | None = None


@dataclass
class Report:
    seed: int
    days: float
    faults: int = 0
    rounds: int = 0
    fenced: int = 0
    incidents: int = 0
    longest: float = 0.0
    by_hand: int = 0
    """VMs that a person started: nothing was promised of them, as no watcher could see to them."""
    broken: str = ""
    log: list[tuple[float, str, str]] = field(default_factory=list)


class Storm:
    def __init__(
        self, folder: Path, seed: int, *, days: float, every: float = DAY / 4,
        watchers: int = 2, lost: float = 0.01, skip: bool = True,
    ) -> None:  # fmt: skip
        """`every`: seconds between two faults on average. `skip`: leap over what is calm."""
        self._folder, self.seed, self._days, self._skip = folder, seed, days, skip
        self._luck = random.Random(seed)
        self.inventory = fleet()
        self.rack = Rack(self.inventory, UNMANAGED)
        self.laws = Laws(self.rack, self._able)
        self._ahead = 0.0
        """Seconds that the wall clock of the database's host goes wrong."""
        self._clock = Clock(lambda: EPOCH + self.rack.now + self._ahead, lambda: self.rack.now)
        self._todo: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self.report = Report(seed, days)
        self._database_away_until = 0.0
        self._last: object = None
        self._told: object = None
        self._leapt: object = None
        """How the world was, and what the store told, when time was last leapt over."""
        self._same = self._stuck = 0
        self.store = self._open(lambda: None)
        self._enrol()
        sites = list(self.inventory.sites)
        self.guards = [
            Guard(f"watch{n}", self._eyes(sites[n % len(sites)], lost)) for n in range(watchers)
        ]
        person = self._eyes("", 0.0)
        self._person = self._workspace(self.store, person)
        for fault in draw(self._luck, days * DAY, every) if every else ():
            self._at(fault.at, lambda fault=fault: self._strike(fault))  # type: ignore[misc]
        self._at(PERSON, self._visit)

    # ── making it ────────────────────────────────────────────────────────────────────────────

    def _eyes(self, site: str, lost: float) -> Eyes:
        return Eyes(self.rack, site, random.Random(self._luck.random()), lost)

    def _open(self, gate: Callable[[], None]) -> Store:
        """The one database, through a door that may be shut."""
        store = open_store("sqlite", self._folder, clock=self._clock)
        database: Any = store.database
        for door in ("read", "write"):
            setattr(database, door, _gated(getattr(database, door), gate))
        return store

    def _workspace(self, store: Store, eyes: Eyes) -> SimWorkspace:
        return SimWorkspace(self._folder, self.inventory, store, eyes, self.laws.fence)

    def _enrol(self) -> None:
        for name in self.inventory.servers:
            for life in (Life.ENROLLED, Life.INSTALLED, Life.MEMBER):
                self.store.servers.move(name, life)
            self.store.servers.pin(name, "ab" * 32)

    # ── running it ───────────────────────────────────────────────────────────────────────────

    def run(self, calm: float = CALM) -> Report:
        """To the end and `calm` seconds more, or to the first law that breaks."""
        end = self._days * DAY + calm
        try:
            while self.rack.now < end:
                self._tick()
            self._all_well()
        except Broken as broken:
            self.report.broken = f"{broken} (after {self.rack.now:.0f} s)"
        self.report.fenced, self.report.longest = self.laws.fenced, self.laws.longest
        self.report.incidents = len(self.store.incidents.list())
        self.report.log = self.rack.log
        self.close()
        return self.report

    def close(self) -> None:
        for guard in self.guards:
            if guard.store:
                guard.store.close()
        self.store.close()

    def _tick(self, without: Guard | None = None) -> None:
        self.rack.advance(TICK)
        while self._todo and self._todo[0][0] <= self.rack.now:
            heapq.heappop(self._todo)[2]()
            self.laws.look()
        self.laws.look()
        for guard in self.guards:
            if guard is not without:
                self._round(guard)
                self.laws.look()
        if without is None and self._skip and self._still():
            self._leap()

    def _round(self, guard: Guard) -> None:
        if self.rack.now < guard.away_until:
            return
        try:
            if guard.watcher is None or guard.post is None:
                self._start(guard)
            assert guard.watcher and guard.post
            guard.post.seek()
            guard.watcher.round(guard.post)
            self.report.rounds += 1
        except Killed:
            self.rack.say(guard.place, "is killed")
            guard.watcher = guard.post = None
        except MetalError as error:
            self.rack.say(guard.place, f"its round failed: {error.what}")

    def _start(self, guard: Guard) -> None:
        """A new process: it remembers nothing."""
        guard.lives += 1
        life = guard.lives

        def gate() -> None:
            if guard.lives != life or (guard.watcher is None and guard.away_until > self.rack.now):
                raise Killed
            if self.rack.now < self._database_away_until or guard.eyes.cut:
                raise Unreachable("the connection to the database broke", where="database")

        guard.store = self._open(gate)
        me = Owner(guard.place, guard.place, "pid:[1]", life, life)
        guard.post = Post(guard.store, guard.place, self.inventory.watch.lease_seconds * 2, me)
        guard.watcher = Watcher(
            self._workspace(guard.store, guard.eyes), silent, place=guard.place, every=TICK,
            pool=AtOnce(), stop=Leave,
        )  # fmt: skip

    def _still(self) -> bool:
        """Nothing has changed for so long that only time or a person will change anything."""
        rack = self.rack
        now = (
            [(b.power, b.hung, b.link, b.bmc, b.mains, b.sick, len(b.running)) for b in
             rack.boxes.values()],
            list(rack.site_link.values()),
            [(g.eyes.cut, g.eyes.fuse is None, g.watcher is None) for g in self.guards],
        )  # fmt: skip
        self._same = self._same + 1 if now == self._last else 0
        self._last = now
        if self._same < CALM_ROUNDS:
            return False
        operations, told = self._records()
        self._stuck = self._stuck + 1 if told == self._told else 0
        self._told = told
        if self._well() or (self._stuck >= CALM_ROUNDS and self._leapt == (now, told)):
            return True
        return self._stuck >= (OPEN_ROUNDS if operations else STUCK_ROUNDS)

    def _records(self) -> tuple[list[int], object]:
        """(the open operations, all that the store tells)."""
        store = self.store
        operations = [o.id for o in store.journal.list(open_only=True)]
        incidents = [(i.id, i.state) for i in store.incidents.list(open_only=True)]
        servers = [(r.life, r.status) for r in store.servers.all().values()]
        return operations, (operations, incidents, servers)

    def _well(self) -> bool:
        """Nothing is out of order and nobody has anything to do."""
        boxes = self.rack.boxes.values()
        if not all((b.power, b.hung, b.link, b.bmc, b.mains) == WELL and not b.sick for b in boxes):
            return False
        store, here = self.store, [len(self.rack.copies(vm)) == 1 for vm in self.inventory.vms]
        takes_part = [
            r.life is Life.MEMBER and r.status is not Status.HELD
            for r in store.servers.all().values()
        ]
        opened = store.journal.list(open_only=True) or store.incidents.list(open_only=True)
        return all(here) and all(takes_part) and not opened

    def _leap(self) -> None:
        """To the next that happens; nobody visits where all is well."""
        events = [at for at, _, act in self._todo if not (act == self._visit and self._well())]
        later = min(events, default=self._days * DAY + CALM)
        seconds = later - self.rack.now - BEFORE * TICK
        if seconds > TICK:
            self.rack.leap(seconds)
            self.laws.fresh(seconds)
            self._same = self._stuck = 0
            self._leapt = self._last, self._told

    def _able(self, cluster: str) -> bool:
        """Whether metal's promise holds: one server of the site is in trouble and its BMC tells,
        somebody watches, and nothing is left to a person."""
        rack = self.rack
        members = rack.clusters[cluster].members
        site = rack.boxes[members[0]].site
        ill = [b for b in rack.boxes.values() if b.site == site and not self._fine(b)]
        watched = any(
            not (g.stalled or g.eyes.cut) and g.away_until <= rack.now for g in self.guards
        )
        if len(ill) > 1 or not watched or not all(rack.site_link.values()):
            return False
        if any(not (b.bmc and b.mains) for b in ill) or rack.now < self._database_away_until:
            return False
        records = self.store.servers.all(members)
        homes = [n for n in members if rack.on_site(n) and records[n].life is Life.MEMBER]
        alarms = [i.subject for i in self.store.incidents.list(open_only=True)]
        return len(homes) > 1 and not any(a.startswith(("fleet", "site")) for a in alarms)

    def _fine(self, box: Box) -> bool:
        return self.rack.on_site(box.name) and not box.sick

    def _all_well(self) -> None:
        """At the end nothing may be left over."""
        for vm in self.inventory.vms:
            if len(self.rack.copies(vm)) != 1:
                raise Broken(f"{vm} does not run at the end")
        left = self.store.journal.list(open_only=True)
        if left:
            raise Broken(f"operation {left[0].id} ({left[0].subject}) is lost: {left[0].error}")
        still = self.store.incidents.list(open_only=True)
        if still:
            raise Broken(f"incident {still[0].id} ({still[0].subject}) never ended")
        for name, record in self.store.servers.all().items():
            if record.life is not Life.MEMBER or record.status is Status.HELD:
                raise Broken(f"{name} is {record.life} ({record.note}) at the end")

    # ── weather ──────────────────────────────────────────────────────────────────────────────

    def _at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._todo, (when, next(self._number), act))

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        self._at(self.rack.now + seconds, act)

    def _strike(self, fault: Fault) -> None:
        self.report.faults += 1
        rack, kind = self.rack, fault.kind
        servers, sites = list(rack.boxes), list(rack.site_link)
        name = servers[int(fault.which * len(servers))]
        site = sites[int(fault.which * len(sites))]
        guard = self.guards[int(fault.which * len(self.guards))]
        who = guard.place if "watcher" in kind else site if "site" in kind else name
        rack.say(who, f"{kind}, for {fault.lasts:.0f} s")
        box = rack.boxes[name]
        match kind:
            case "loses power":
                box.mains = True
                rack.cut(name, "its supply failed")
                box.bmc = True
                self._after(fault.lasts, lambda: rack.switch_on(name, "repaired"))
            case "loses power and BMC":
                self._dark(name)
                self._after(fault.lasts, lambda: self._bright(name))
            case "panics":
                if rack.up(name):
                    rack.reset(name, "its kernel panicked")
            case "restarts":
                if rack.up(name):
                    rack.reset(name, "it restarts", boots=20 + 30 * (fault.which * 97 % 1))
            case "hangs":
                if rack.up(name):
                    box.hung = True
            case "loses its link":
                box.link = False
                self._after(fault.lasts, lambda: setattr(box, "link", True))
            case "BMC is silent":
                box.bmc = False
                self._after(fault.lasts, lambda: setattr(box, "bmc", True))
            case "sickens" | "sickens and dies":
                box.sick = "PSU 2: power supply failure detected"
                if kind == "sickens and dies":
                    self._after(min(fault.lasts, 120), lambda: rack.cut(name, "it died of it"))
                    self._after(fault.lasts + 120, lambda: rack.switch_on(name, "repaired"))
                self._after(fault.lasts, lambda: setattr(box, "sick", ""))
            case "flaps":
                for n in range(int(fault.lasts / 1200)):
                    self._after(n * 1200, lambda: self._flap(name))
            case "site loses its uplink":
                rack.site_link[site] = False
                self._after(fault.lasts, lambda: rack.site_link.update({site: True}))
            case "site loses power":
                here = [b.name for b in rack.boxes.values() if b.site == site]
                for each in here:
                    self._dark(each)
                    self._after(fault.lasts, lambda each=each: self._bright(each))  # type: ignore[misc]
            case "watcher is killed":
                guard.eyes.blow = lambda: self._kill(guard, fault.lasts)
                guard.eyes.fuse = 1 + int(fault.lasts) % 40
            case "watcher stalls":
                guard.eyes.blow = lambda: self._stall(guard, fault.lasts)
                guard.eyes.fuse = 1 + int(fault.lasts) % 40
            case "watcher is cut off":
                guard.eyes.cut = True
                self._after(fault.lasts, lambda: setattr(guard.eyes, "cut", False))
            case "database is away":
                self._database_away_until = rack.now + fault.lasts
            case "clock jumps":
                self._ahead += HOUR if fault.which < 0.5 else -HOUR

    def _flap(self, name: str) -> None:
        if self.rack.up(name):
            self.rack.reset(name, "again")

    def _dark(self, name: str) -> None:
        self.rack.boxes[name].mains = False
        self.rack.cut(name, "no mains")

    def _bright(self, name: str) -> None:
        self.rack.boxes[name].mains = True
        self.rack.switch_on(name, "mains are back")

    def _kill(self, guard: Guard, seconds: float) -> None:
        """In the middle of whatever it does; it is started again later."""
        guard.away_until = self.rack.now + seconds
        guard.lives += 1
        raise Killed

    def _stall(self, guard: Guard, seconds: float) -> None:
        """The world goes on, the watcher stands still; then it goes on as if nothing was."""
        until = self.rack.now + seconds
        guard.stalled = True
        while self.rack.now < until:
            self._tick(without=guard)
        guard.stalled = False

    def _visit(self) -> None:
        """Somebody switches repaired servers on again and lets them take part."""
        self._after(PERSON, self._visit)
        self._start_by_hand()
        for name, record in self.store.servers.all().items():
            box = self.rack.boxes[name]
            if record.status is not Status.HELD and record.life is not Life.DRAINING:
                continue
            if not box.mains or box.sick or not box.link or not box.bmc:
                continue
            self.rack.switch_on(name, "by a person")
            try:
                release(self._person, name, progress=silent)
                self.rack.say(name, "released by a person")
            except MetalError:
                continue  # not yet: the next visit

    def _start_by_hand(self) -> None:
        """`metal apply`, for what stopped while no watcher could see to it. Nobody helps where it
        was promised that metal does: there the laws count how long it takes."""
        for cluster in self.rack.clusters.values():
            for vm, vmid in cluster.vmids.items() if isinstance(cluster, Hosts) else ():
                if self.rack.copies(vm) or self.store.journal.holder(f"vm {vm}"):
                    continue
                if self.laws.promised(vm):
                    continue
                try:
                    self._person.hypervisor(cluster.name).ensure_started(vmid)
                except MetalError:
                    continue  # not yet: the next visit
                self.report.by_hand += 1


def _gated(door: Any, gate: Callable[[], None]) -> Any:
    def through() -> Any:
        gate()
        return door()

    return through
