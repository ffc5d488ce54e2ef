"""The master's round: what becomes of each service.

One method a state, as in the state diagram of the Proxmox VE Administration Guide (High
Availability, How It Works). A round is repeated until nothing changes any more.
"""

from __future__ import annotations

from metal.lab.ha.nodes import Nodes
from metal.lab.ha.place import Wish, choose
from metal.lab.ha.rules import company, effective
from metal.lab.ha.shared import Exit, Resource, Rule, Service, Shared
from metal.lab.ha.world import World


class Manager:
    """Of one node, while it is the master."""

    def __init__(self, world: World, shared: Shared, me: str) -> None:
        self._world, self._shared, self._me = world, shared, me
        self._nodes = Nodes(world, shared, me)
        self._rules: list[Rule] = []

    def round(self) -> None:
        shared = self._shared
        self._nodes.update()
        if shared.nodes.get(self._me) not in ("online", "maintenance"):
            self._say(f"master seems offline: {shared.nodes.get(self._me)}")
            return
        self._rules = effective(shared.rules, self._world.node_names())
        results = {n: dict(agent.results) for n, agent in shared.agents.items()}
        self._adopt()
        self._obey()
        changed = True
        while changed:
            before = {sid: (s.state, s.uid) for sid, s in shared.services.items()}
            for sid in sorted(shared.services):
                self._advance(sid, results)
            self._fence()
            changed = before != {sid: (s.state, s.uid) for sid, s in shared.services.items()}

    # ── what is configured, what was asked ───────────────────────────────────────────────────

    def _adopt(self) -> None:
        shared = self._shared
        for sid, resource in sorted(shared.resources.items()):
            if sid not in shared.services and resource.state != "ignored":
                self._say(f"adding new service '{sid}' on node '{resource.node}'")
                state = "request_start" if resource.state == "started" else "request_stop"
                shared.services[sid] = Service(state, resource.node, shared.uid())
        for sid in sorted(shared.services):
            found = shared.resources.get(sid)
            if found is None or found.state == "ignored":
                why = "ignored state requested" if found else "no config"
                self._say(f"removing stale service '{sid}' ({why})")
                del shared.services[sid]

    def _obey(self) -> None:
        commands, self._shared.commands = self._shared.commands, []
        for what, sid, target in commands:
            self._motion(what, sid, target)

    def _motion(self, what: str, sid: str, target: str) -> None:
        """Companions go along; a service never goes where it would meet who it must not."""
        services, text = self._shared.services, f"{what} {sid} {target}"
        if sid not in services:
            return
        if self._shared.nodes.get(target) != "online":
            self._say(f"crm command error - node not online: {text}")
            return
        met = [s for s in self._others(sid, "negative") if target in self._places(s)]
        for other in met:
            self._say(
                f"crm command '{text}' error - service '{other}' on node '{target}' in negative "
                f"affinity with service '{sid}'"
            )
        if met:
            return
        self._say(f"got crm command: {text}")
        services[sid].command = (what, target)
        for other in self._others(sid, "positive"):
            if services[other].node != target:
                self._say(
                    f"crm command '{text}' - migrate service '{other}' to node '{target}' "
                    f"(service '{other}' in positive affinity with service '{sid}')"
                )
                services[other].command = (what, target)

    def _others(self, sid: str, affinity: str) -> list[str]:
        rules = [r for r in self._rules if r.affinity == affinity and sid in r.resources]
        others = {other for rule in rules for other in rule.resources - {sid}}
        return sorted(others & self._shared.services.keys())

    def _places(self, sid: str) -> set[str]:
        service = self._shared.services[sid]
        return {service.node, service.target} if service.state != "stopped" else set()

    # ── one service ──────────────────────────────────────────────────────────────────────────

    def _advance(self, sid: str, results: dict[str, dict[str, Exit]]) -> None:
        service = self._shared.services[sid]
        resource = self._shared.resources[sid]
        # A result counts once, and only for the order that it answers.
        result = results.get(service.node, {}).pop(service.uid, None)
        match service.state:
            case "stopped":
                self._stopped(sid, service, resource)
            case "started":
                self._started(sid, service, resource, result)
            case "request_start":
                self._turn(sid, "started", node=service.node)
            case "migrate" | "relocate":
                self._moved(sid, service, resource, result)
            case "request_stop":
                self._stopping(sid, service, result)
            case "recovery":
                self._recover(sid, service, resource)
            case "error":
                self._erred(sid, service, resource)
            case "freeze" if self._mode(service.node) == "active":
                self._turn(sid, "started" if resource.state == "started" else "request_stop")
        frozen = service.state in ("started", "stopped", "request_stop")
        if frozen and self._mode(service.node) == "restart":
            self._turn(sid, "freeze")

    def _mode(self, node: str) -> str:
        agent = self._shared.agents.get(node)
        return agent.mode if agent else "unknown"

    def _stopped(self, sid: str, service: Service, resource: Resource) -> None:
        if service.node != resource.node:
            self._say(f"fixup service '{sid}' location ({service.node} => {resource.node})")
            service.node = resource.node
        if service.command:
            (what, target), service.command = service.command, None
            if self._shared.nodes.get(target) == "online" and target != service.node:
                self._say(f"{what} service '{sid}' to node '{target}'")
                self._turn(sid, what, node=service.node, target=target)
                return
        if resource.state == "disabled":
            return
        if self._nodes.lost(service.node) and not self._maintained(service.node):
            self._turn(sid, "fence")
        elif resource.state == "started":
            self._turn(sid, "request_start", node=service.node)

    def _started(self, sid: str, service: Service, resource: Resource, result: Exit | None) -> None:
        node = service.node
        if self._shared.nodes.get(node) != "online":
            if not self._maintained(node):
                if self._nodes.lost(node):
                    self._turn(sid, "fence")
                return
            service.maintenance_node = node
        elif service.maintenance_node == node:
            self._say(
                f"service '{sid}': clearing stale maintenance node '{node}' setting "
                "(is current node)"
            )
            service.maintenance_node = ""
        if resource.state in ("disabled", "stopped"):
            self._turn(sid, "request_stop")
        elif service.command:
            (what, target), service.command = service.command, None
            self._asked(sid, service, what, target)
        elif resource.state == "started":
            self._run(sid, service, resource, result)

    def _asked(self, sid: str, service: Service, what: str, target: str) -> None:
        if self._shared.nodes.get(target) != "online":
            self._say(f"ignore service '{sid}' {what} request - node '{target}' not online")
        elif service.node == target:
            self._say(f"ignore service '{sid}' {what} request - service already there")
        else:
            self._say(f"{what} service '{sid}' to node '{target}'")
            self._turn(sid, what, node=service.node, target=target)

    def _run(self, sid: str, service: Service, resource: Resource, result: Exit | None) -> None:
        """Keep it where it belongs; elsewhere after its agent gave it up."""
        wish: Wish = "stay"
        if result == Exit.SUCCESS:
            if service.failed_nodes:
                failed = ", ".join(service.failed_nodes)
                self._say(
                    f"relocation policy successful for '{sid}' on node '{service.node}', "
                    f"failed nodes: {failed}"
                )
                service.failed_nodes = []
        elif result == Exit.ERROR:
            if not self._give_up_here(sid, service, resource):
                return
            wish = "next"
        elif result == Exit.WRONG_NODE:
            self._say(f"service '{sid}' is on another node than configured")
            self._turn(sid, "error")
            return
        target = choose(self._world, self._shared, self._rules, sid, self._nodes.online(), wish)
        if target and target != service.node:
            self._send(sid, service, target)
        elif wish == "next":
            service.uid = self._shared.uid()  # once more where it is

    def _give_up_here(self, sid: str, service: Service, resource: Resource) -> bool:
        """Whether it may be tried on another node; else it is in error now."""
        service.failed_nodes.append(service.node)
        if len(service.failed_nodes) > resource.max_relocate:
            self._say(
                f"recovery policy for service {sid} failed, entering error state. "
                f"Failed nodes: {', '.join(service.failed_nodes)}"
            )
            self._turn(sid, "error")
            return False
        self._say(f"starting service {sid} on node '{service.node}' failed, relocating service.")
        return True

    def _send(self, sid: str, service: Service, target: str) -> None:
        if service.maintenance_node == target:
            self._say(
                f"moving service '{sid}' back to '{target}', node came back from maintenance."
            )
            service.maintenance_node = ""
        live = self._world.moves_live(sid)
        what = "migrate" if live else "relocate"
        self._say(f"{what} service '{sid}' to node '{target}'{' (running)' if live else ''}")
        self._turn(sid, what, node=service.node, target=target)

    def _moved(self, sid: str, service: Service, resource: Resource, result: Exit | None) -> None:
        then = "started" if resource.state == "started" else "request_stop"
        if result == Exit.SUCCESS:
            self._turn(sid, then, node=service.target)
        elif result == Exit.WRONG_NODE:
            self._say(f"service '{sid}' - migration failed: service registered on wrong node!")
            self._turn(sid, "error")
        elif result is not None:
            self._say(f"service '{sid}' - migration failed (exit code {int(result)})")
            self._turn(sid, then, node=service.node)
        elif self._nodes.lost(service.node):
            self._turn(sid, "fence")

    def _stopping(self, sid: str, service: Service, result: Exit | None) -> None:
        if result is not None:
            self._turn(sid, "stopped" if result == Exit.SUCCESS else "error")
        elif self._nodes.lost(service.node):
            self._turn(sid, "fence")

    def _erred(self, sid: str, service: Service, resource: Resource) -> None:
        if resource.state == "disabled":
            service.failed_nodes = []
            self._turn(sid, "stopped")
        elif self._nodes.lost(service.node):
            self._turn(sid, "fence")

    # ── fencing and recovery ─────────────────────────────────────────────────────────────────

    def _fence(self) -> None:
        fenced: dict[str, bool] = {}
        for sid, service in sorted(self._shared.services.items()):
            if service.state != "fence":
                continue
            if service.node not in fenced:
                fenced[service.node] = self._nodes.fence(service.node)
            if fenced[service.node]:
                self._turn(sid, "recovery")
        # A node whose services went away meanwhile must not stay in fence for ever.
        for node in [n for n, state in sorted(self._shared.nodes.items()) if state == "fence"]:
            if node not in fenced:
                self._nodes.fence(node)

    def _recover(self, sid: str, service: Service, resource: Resource) -> None:
        old = service.node
        target = choose(self._world, self._shared, self._rules, sid, self._nodes.online(), "best")
        if not target:
            self._say(
                f"recovering service '{sid}' from fenced node '{old}' failed, no recovery node "
                "found"
            )
            if resource.state == "disabled":
                service.failed_nodes = []
                self._turn(sid, "stopped")  # there is no agent that could stop it
            return
        again = target == old
        self._say(
            f"recover service '{sid}' to previous failed and fenced node '{old}' again"
            if again
            else f"recover service '{sid}' from fenced node '{old}' to node '{target}'"
        )
        self._world.place(sid, target)
        resource.node = service.node = target
        self._turn(sid, "started" if resource.state == "started" else "request_stop", node=target)

    # ── words ────────────────────────────────────────────────────────────────────────────────

    def _maintained(self, node: str) -> bool:
        return self._shared.nodes.get(node) == "maintenance"

    def _turn(self, sid: str, state: str, *, node: str = "", target: str = "") -> None:
        service = self._shared.services[sid]
        told = [f"{k} = {v}" for k, v in (("node", node), ("target", target)) if v]
        text = f"  ({', '.join(told)})" if told else ""
        self._say(f"service '{sid}': state changed from '{service.state}' to '{state}'{text}")
        service.state, service.target, service.command = state, target, None
        service.node = node or service.node
        service.uid = self._shared.uid()

    def _say(self, what: str) -> None:
        self._world.log(f"{self._me}/crm", what)


__all__ = ["Manager", "company"]
