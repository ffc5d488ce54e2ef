"""The local resource manager of one node: it does what the master wants of its services.

While it works it holds its agent lock and a watchdog. Whoever gets that lock knows that nothing
of the node can still be running.
"""

from __future__ import annotations

from metal.lab.ha.shared import Agent, Exit, Service, Shared, agent_lock
from metal.lab.ha.world import World

ORDERS = {
    "started": "started",
    "request_stop": "stop",
    "stopped": "stop",
    "migrate": "migrate",
    "relocate": "relocate",
    "error": "error",
}
"""The master's state → what its agent does."""


class Lrm:
    """One node's; its memory goes with its power."""

    def __init__(self, world: World, shared: Shared, node: str) -> None:
        self._world, self._shared, self._node = world, shared, node
        self.state = "startup"
        self._mode = "active"
        self._ending = False
        self._restarts: dict[str, int] = {}
        self._complained: set[str] = set()
        self._begun: set[str] = set()
        """Orders that are under way."""
        self._turn("wait_for_agent_lock")

    # ── asked from outside ───────────────────────────────────────────────────────────────────

    def end(self) -> None:
        """The service (or the whole node) is told to stop: freeze, shut down or move away."""
        if self._ending:
            return
        self._ending = True
        down, again = self._world.shutting_down(self._node)
        policy = self._shared.shutdown_policy
        if not down:
            self._say("restart LRM, freeze all services")
            self._mode = "restart"
        else:
            self._say(f"got shutdown request with shutdown policy '{policy}'")
            self._mode = self._wind_down(policy, again)
        self._tell()

    def _wind_down(self, policy: str, again: bool) -> str:
        what = "reboot" if again else "shutdown"
        if policy == "migrate":
            if self._mode == "maintenance":
                self._say(f"{what} LRM, ignore maintenance policy, already in maintenance mode")
            else:
                self._say(f"{what} LRM, doing maintenance, removing this node from active list")
            return "maintenance"
        if policy == "freeze" or (policy == "conditional" and again):
            self._say(f"{what} LRM, stop and freeze all services")
            return "restart"
        self._say(f"{what} LRM, stop all services")
        return "shutdown"

    # ── a round ──────────────────────────────────────────────────────────────────────────────

    def round(self) -> bool:
        """False once it has ended."""
        if not self._ending:
            self._mode = "maintenance" if self._node in self._shared.maintenance else "active"
        self._tell()
        self._transit()
        if self.state in ("active", "maintenance"):
            return self._work()
        if self._ending and self.state == "wait_for_agent_lock":
            return not self._leave()
        return True

    def _transit(self) -> None:
        if self._to_be_fenced():
            if self.state in ("active", "maintenance"):
                self._say("node need to be fenced - releasing agent_lock")
                self._shared.release(agent_lock(self._node), self._node)
                self._turn("lost_agent_lock")
        elif self.state in ("wait_for_agent_lock", "lost_agent_lock"):
            if self._busy() and self._take():
                self._turn("active")
        elif not self._take():
            self._turn("lost_agent_lock")
        if self.state == "active" and self._mode == "maintenance":
            self._turn("maintenance")
        elif self.state == "maintenance" and self._mode == "active":
            self._turn("active")

    def _work(self) -> bool:
        if self._mode == "shutdown":
            return not self._stop_everything()
        self._do_orders()
        if self._ending and not self._busy():
            return not self._leave()
        if self.state == "maintenance" and not self._busy():
            # Nothing is left to protect: the master needs no watchdog of ours.
            self._let_go()
            self.state = "wait_for_agent_lock"
        return True

    def _stop_everything(self) -> bool:
        done = [
            self._world.order(self._node, sid, f"shutdown {sid}", "stop", "")
            for sid, service in self._mine()
            if service.state != "freeze"
        ]
        return None not in done and self._leave()

    def _do_orders(self) -> None:
        for sid, service in self._mine():
            what = ORDERS.get(service.state)
            if what is None:
                continue
            if what == "error" and service.uid in self._complained:
                continue
            ended = self._attempt(sid, service, what)
            if ended is not None and ended != Exit.TRY_AGAIN:
                self._report(service.uid, ended)

    def _attempt(self, sid: str, service: Service, what: str) -> Exit | None:
        ended: Exit | None
        if what == "error":
            self._complained.add(service.uid)
            self._say(
                f"service {sid} is in an error state and needs manual intervention. Look up "
                "'ERROR RECOVERY' in the documentation."
            )
            return Exit.SUCCESS
        resource = self._shared.resources.get(sid)
        if resource is None:
            return Exit.WRONG_NODE
        # What is under way may have moved it by now: only a new order asks where it is.
        if service.uid not in self._begun and resource.node != self._node:
            return Exit.WRONG_NODE
        ended = self._world.order(self._node, sid, service.uid, what, service.target)
        self._begun = self._begun | {service.uid} if ended is None else self._begun - {service.uid}
        if what == "started":
            return self._counted(sid, ended, resource.max_restart)
        return ended

    def _counted(self, sid: str, ended: Exit | None, most: int) -> Exit | None:
        """A start that failed is tried again here first."""
        if ended == Exit.SUCCESS:
            self._restarts.pop(sid, None)
        elif ended == Exit.ERROR:
            self._restarts[sid] = self._restarts.get(sid, 0) + 1
            if self._restarts[sid] <= most:
                return Exit.TRY_AGAIN
            del self._restarts[sid]
        return ended

    # ── small ones ───────────────────────────────────────────────────────────────────────────

    def _mine(self) -> list[tuple[str, Service]]:
        return [
            (sid, s) for sid, s in sorted(self._shared.services.items()) if s.node == self._node
        ]

    def _busy(self) -> bool:
        """Whether a service needs this node's protection: one that is here, or on its way."""
        return any(
            self._node in (s.node, s.target) and s.state not in ("stopped", "error", "freeze")
            for s in self._shared.services.values()
        )

    def _to_be_fenced(self) -> bool:
        wanted = self._shared.nodes.get(self._node) == "fence"
        return wanted and self._world.quorate(self._node)

    def _take(self) -> bool:
        held = self._world.quorate(self._node) and self._shared.lock(
            agent_lock(self._node), self._node, self._world.now
        )
        if held:
            self._world.watchdog(self._node, "lrm", armed=True)
        return held

    def _leave(self) -> bool:
        self._let_go()
        self._say("exit (loop end)")
        return True

    def _let_go(self) -> None:
        self._world.watchdog(self._node, "lrm", armed=False)
        self._shared.release(agent_lock(self._node), self._node)

    def _tell(self) -> None:
        if self._world.quorate(self._node):
            self._told().mode = self._mode

    def _told(self) -> Agent:
        return self._shared.agents.setdefault(self._node, Agent())

    def _report(self, uid: str, ended: Exit) -> None:
        results = self._told().results
        results[uid] = ended
        live = {service.uid for service in self._shared.services.values()}
        for old in results.keys() - live:
            del results[old]

    def _turn(self, state: str) -> None:
        self._say(f"status change {self.state} => {state}")
        self.state = state

    def _say(self, what: str) -> None:
        self._world.log(f"{self._node}/lrm", what)
