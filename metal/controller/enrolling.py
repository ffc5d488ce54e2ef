"""Enrol servers side by side: one bad server never stops the others."""

from collections.abc import Sequence
from contextlib import nullcontext

from metal.controller.enroll_result import EnrollResult
from metal.controller.enrolment import Enrolment, Scene
from metal.controller.examining import kept_passport
from metal.controller.finding import Pings
from metal.controller.following import Followed
from metal.controller.former import Gone, gone_from
from metal.controller.newcomers import Newcomers
from metal.controller.progress import Progress
from metal.controller.sweeping import side_by_side
from metal.controller.targets import Target, other_port
from metal.controller.wishes import unheard
from metal.controller.workspace import Workspace
from metal.drivers.bmc import connect
from metal.drivers.connections import OPEN
from metal.enroll import flow
from metal.enroll.door import Kept, first_name, pending, with_first
from metal.enroll.flow import Credential, Door, EnrollTarget, Looked
from metal.enroll.route import route
from metal.inventory.edit import KnownBmc
from metal.inventory.scribe import Scribe
from metal.model.errors import MetalError, Unreachable
from metal.model.facts import Facts
from metal.model.fleet import BmcAccess

WORKERS = 256
"""Threads: they wait for BMCs nearly all of their time. How many connections are open at once is
bounded elsewhere (metal/drivers/connections.py)."""


def enroll(
    workspace: Workspace | None,
    targets: Sequence[Target],
    delivered: Sequence[Credential] = (),
    *,
    dry_run: bool = False,
    both: bool = False,
    connections: int | None = None,
    progress: Progress,
) -> list[EnrollResult]:
    """Learn what each target is and take its BMC over; `dry_run` only learns.

    `delivered`: what the BMCs may have been delivered with, each tried once a BMC; none suits
    servers that are enrolled already. `both`: ask over IPMI too, whatever Redfish told.
    `connections`: how many may be open at once, where that is not the process's usual number.
    `workspace` may be None for a dry run of addresses. Never raises for one target's sake.
    """
    if connections:
        OPEN.allow(connections)
    scene = Scene(workspace, tuple(delivered), progress, dry_run, both)
    scene.pings = Pings([t.address for t in targets if t.address])
    one = _Sweep(scene)
    groups = _by_bmc(targets)
    if workspace:
        scene.scribe = Scribe(workspace.folder)
        scene.newcomers = Newcomers(workspace.inventory, scene.scribe)
    with nullcontext() if dry_run else _followed(scene):
        nested = side_by_side(groups, one.group, workers=WORKERS, stop=scene.stop)
    results = [result for results in nested for result in results]
    if workspace and not dry_run:
        workspace.reload()
        return [_routed(workspace, result) for result in results]
    return results


def _routed(workspace: Workspace, result: EnrollResult) -> EnrollResult:
    """With what was proven, now or before, and the way to an installer that follows from it."""
    if not result.ok:
        return result
    passport = kept_passport(workspace.store, result.server)
    way = route(workspace.inventory, result.server, passport)
    return result.model_copy(update={"passport": passport, "route": way})


def _followed(scene: Scene) -> Followed:
    assert scene.workspace, "a server is enrolled into a workspace"
    assert scene.workspace.secrets  # opened here, not by many threads at once
    scene.followed = Followed(scene.workspace.store, scene.progress)
    return scene.followed


def _by_bmc(targets: Sequence[Target]) -> list[list[Target]]:
    """The servers behind one BMC are asked one after the other: one session a BMC."""
    groups: dict[tuple[str, int | None], list[Target]] = {}
    for target in targets:
        groups.setdefault((target.address, target.port), []).append(target)
    return list(groups.values())


class _Sweep(Enrolment):
    """Whatever was named: servers of the inventory, and BMCs that nobody knows yet."""

    def group(self, targets: list[Target]) -> list[EnrollResult]:
        return [self._told(target, result) for target in targets for result in self._target(target)]

    def _told(self, target: Target, result: EnrollResult) -> EnrollResult:
        """Nothing that a person said of it is dropped without a word, and what is wrong is found
        in their list by its line."""
        inventory = self._workspace.inventory if self._scene.workspace else None
        said = unheard(inventory, target) if inventory else ()
        error, line = result.error, target.wishes.where
        if error and line and line not in error:
            error = f"{line}: {error}"
        if error and inventory and result.exit_code == Unreachable.exit_code:
            error += other_port(inventory, target)
        notes = (*said, *result.notes)
        return result.model_copy(update={"notes": notes, "error": error, "where": line})

    def _target(self, target: Target) -> list[EnrollResult]:
        if self._scene.stop.is_set():
            return []
        name = target.server
        if name is None:
            try:
                return self._newcomer(target)
            except Exception as error:  # one of many never ends the others
                return [self._defect("", target, error)]
        if not self._workspace.inventory.servers[name].has_bmc:
            return [self._without_bmc(name)]
        verb = "ask what" if self._scene.dry_run else "enrol"
        act = self._look if self._scene.dry_run else self._enroll
        return [
            self._shown(
                target, f"{verb} {target.label}", lambda: act(self._known(name, target), target)
            )
        ]

    # ── Addresses that are in no inventory ───────────────────────────────────────────────────

    def _newcomer(self, target: Target) -> list[EnrollResult]:
        """A BMC nobody knows: each server behind it, one after the other."""
        known = self._known_nodes(target)
        access, siblings = BmcAccess(address=target.address, port=target.port), [*known.values()]
        if not known and (gone := self._gone(access)):
            # Its password opens this BMC yet, and the delivered one does so no more. It is sent to
            # whoever shows the certificate of then, and nowhere else.
            siblings = [gone.name]
            pinned = gone.way_in.model_dump(include={"protocol", "fingerprint", "tls"})
            access = access.model_copy(update=pinned)
        door = self._door(target, access, siblings)
        self._scene.progress.begin(target.label, f"ask what {target.label} is")
        try:
            # The facts first: then who the servers are is known already, and nothing read twice.
            seen = None if known else flow.read(door, self._ports(target))
            nodes = door.bmc().nodes()
        except Exception as error:
            door.close()
            result = self._defect("", target, error)
            self._scene.progress.end(target.label, False, result.error or "")
            return [result]
        self._scene.progress.end(target.label, True, "")
        if len(nodes) <= 1 and not known:
            return [self._shown_newcomer(target, door, "", siblings, seen)]
        door.close()
        results = []
        for node in nodes:
            if node not in known:
                access = door.access.model_copy(update={"node": node})
                way_in = self._door(target, access, siblings, door.used)
                facts = seen if seen and seen.node == node else None
                results.append(self._shown_newcomer(target, way_in, node, siblings, facts))
                if results[-1].server and not self._scene.dry_run:
                    siblings.append(results[-1].server)
        return results

    def _gone(self, access: BmcAccess) -> Gone | None:
        """The server behind that BMC that somebody took out of the inventory."""
        return gone_from(self._workspace, access) if self._scene.workspace else None

    def _known_nodes(self, target: Target) -> dict[str | None, str]:
        """Node → server, of those the inventory has behind that BMC."""
        servers = self._workspace.inventory.servers if self._scene.workspace else {}
        return {
            server.bmc.node: name
            for name, server in servers.items()
            if (server.bmc.address.lower(), server.bmc.port) == (target.address, target.port)
        }

    def _shown_newcomer(
        self,
        target: Target,
        door: Door,
        node: str,
        siblings: Sequence[str],
        seen: Facts | None,
    ) -> EnrollResult:
        label = f"{target.label} {node}".strip()
        try:
            return self._shown(
                target,
                f"learn what {label} is",
                lambda: self._met(target, door, siblings, seen),
                label,
            )
        finally:
            door.close()

    def _met(
        self, target: Target, door: Door, siblings: Sequence[str], told: Facts | None
    ) -> EnrollResult:
        """A server that is in no inventory yet, behind a door that is open."""
        facts = told or flow.read(door, self._ports(target))
        met = EnrollTarget(target.label, door.access, serial=target.wishes.serial)
        flow.check(met, facts)
        seen = flow.looked(met, facts, door.access)
        if self._scene.dry_run:
            return self._proposed(target, seen)
        return self._add(target, door, seen, siblings)

    def _proposed(self, target: Target, seen: Looked) -> EnrollResult:
        """What the real run would make of it, or why it would not; what it is, all the same."""
        result, newcomers = self._result("", seen), self._scene.newcomers
        if newcomers is None:
            return result
        try:
            place = newcomers.propose(seen.facts, seen.learned, seen.access, target.wishes)
        except MetalError as error:
            why = {"ok": False, "error": str(error), "exit_code": error.exit_code}
            return result.model_copy(update=why)
        notes = (f"would be new in the inventory: {place}", *result.notes)
        return result.model_copy(update={"server": place.name, "added": True, "notes": notes})

    def _add(
        self, target: Target, door: Door, seen: Looked, siblings: Sequence[str]
    ) -> EnrollResult:
        """Into the inventory first: whatever happens then, the next run knows it by name."""
        assert self._scene.newcomers
        access = door.access.model_copy(update={"user": BmcAccess(address="").user})
        try:
            name = self._scene.newcomers.add(seen.facts, seen.learned, access, target.wishes)
        except KnownBmc as known:  # another sweep was faster
            door.close()
            self._workspace.reload()
            return self._enroll(self._known(known.server, target), target)
        added = EnrollTarget(name, access, seen.learned, seen.facts, tuple(siblings))
        ports = self._ports(target)
        door.own = lambda: flow.escrowed(added, ports)
        result = self._enroll(added, target, door, seen.facts)
        return result.model_copy(update={"added": True})

    def _door(
        self,
        target: Target,
        access: BmcAccess,
        siblings: Sequence[str],
        first: Credential | None = None,
    ) -> Door:
        """With the password of servers behind the same BMC at hand: it is one account."""
        ports = self._ports(target)
        shared = EnrollTarget(siblings[0], access, siblings=tuple(siblings)) if siblings else None
        own = (lambda: flow.escrowed(shared, ports)) if shared else (lambda: None)
        rotated = (Credential(access.user, p) for p in pending(ports.secrets, *siblings))
        delivered = (*((first,) if first else ()), *ports.delivered)
        return Door(
            access,
            connect,
            (*rotated, *with_first(delivered, access, ports.secrets)),
            own,
            where=target.wishes.where or target.label,
            first=None if self._scene.dry_run else Kept(ports.secrets, first_name(access)),
        )
