"""The rack of pve-ha-manager's regression scenarios: a World with a script and a clock in rounds.

How a scenario runs is told in ha-scenarios.json's neighbour facts.md: a command list every five
rounds of 20 s, the end 500 s after the last one.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from metal.lab.ha.agent import Lrm
from metal.lab.ha.crm import Crm
from metal.lab.ha.shared import Exit, Resource, Rule, Service, Shared
from metal.lab.ha.usage import Size, by_number, by_size

ROUND, TICK = 20.0, 1.0
AFTER_LAST = 500.0
WATCHDOG = 60.0


@dataclass
class Box:
    """One node's hardware and what runs on it."""

    power: bool = False
    network: bool = False
    crm: Crm | None = None
    lrm: Lrm | None = None
    running: set[str] = field(default_factory=set)
    dogs: dict[str, float] = field(default_factory=dict)
    down: str = ""
    """shutdown or reboot, once it was told to."""
    skip_crm: int = 0
    restart_lrm: bool = False


class Rack:
    """One scenario. `events` is what happened: (seconds, who, what)."""

    def __init__(self, scenario: dict[str, Any]) -> None:
        self._scenario = scenario
        self.now = 0.0
        self.events: list[tuple[float, str, str]] = []
        self.boxes = {
            name: Box(told["power"] == "on", told["network"] == "on")
            for name, told in sorted(scenario["hardware_status"].items())
        }
        self.shared = _shared(scenario)
        self._todo = [list(commands) for commands in scenario["cmdlist"]]
        self._tries: dict[tuple[str, str], int] = {}
        self._locked: set[str] = set()
        self.down: dict[str, int] = {}
        """Service → in how many rounds it was to run and did not."""

    # ── World ────────────────────────────────────────────────────────────────────────────────

    def node_names(self) -> Collection[str]:
        return self.boxes

    def quorate(self, node: str) -> bool:
        up = sum(b.power and b.network for b in self.boxes.values())
        box = self.boxes[node]
        return box.power and box.network and 2 * up > len(self.boxes)

    def online(self, node: str) -> bool:
        return self.quorate(node)

    def order(self, node: str, sid: str, uid: str, what: str, target: str) -> Exit | None:
        box = self.boxes[node]
        if what == "started":
            return self._start(node, sid)
        if what == "stop":
            box.running.discard(sid)
            return Exit.SUCCESS
        return self._move(node, sid, what, target)

    def place(self, sid: str, node: str) -> None:
        self._locked.discard(sid)

    def score(self, sid: str, online: Collection[str]) -> dict[str, float]:
        services = self.shared.services
        stats = self._scenario["static_service_stats"]
        if not stats:
            return by_number(services, online)
        sizes = {s: Size(v["maxcpu"], v["maxmem"]) for s, v in stats.items()}
        nodes = {
            n: Size(v["maxcpu"], v["maxmem"]) for n, v in self._scenario["hardware_status"].items()
        }
        return by_size(sid, services, online, sizes, nodes)

    def moves_live(self, sid: str) -> bool:
        return sid.startswith("vm:")

    def watchdog(self, node: str, client: str, *, armed: bool) -> None:
        if armed:
            self.boxes[node].dogs[client] = self.now
        else:
            self.boxes[node].dogs.pop(client, None)

    def shutting_down(self, node: str) -> tuple[bool, bool]:
        down = self.boxes[node].down
        return bool(down), down == "reboot"

    def log(self, who: str, what: str) -> None:
        self.events.append((self.now, who, what))

    # ── guests ───────────────────────────────────────────────────────────────────────────────

    def _start(self, node: str, sid: str) -> Exit:
        box = self.boxes[node]
        if sid in box.running:
            return Exit.SUCCESS
        if self._fails("start", sid, node) or sid in self._locked:
            return Exit.ERROR
        box.running.add(sid)
        return Exit.SUCCESS

    def _move(self, node: str, sid: str, what: str, target: str) -> Exit:
        live = what == "migrate"
        self.log(f"{node}/lrm", f"service {sid} - start {what} to node '{target}'")
        box = self.boxes[node]
        if not live and sid in box.running:
            self.log(f"{node}/lrm", f"stopping service {sid} (relocate)")
            box.running.discard(sid)
        if self._fails("migrate", sid, node):
            self.log(f"{node}/lrm", f"service {sid} not moved (migration error)")
            return Exit.ERROR
        if sid in box.running:
            box.running.discard(sid)
            self.boxes[target].running.add(sid)
        self.shared.resources[sid].node = target
        self.log(f"{node}/lrm", f"service {sid} - end {what} to node '{target}'")
        return Exit.SUCCESS

    def _fails(self, act: str, sid: str, node: str) -> bool:
        """fa:1SM…: fails S times to start, M times to migrate; a sixth digit: on that node."""
        kind, _, number = sid.partition(":")
        if kind != "fa" or (number[5:6] not in ("", "0") and node != f"node{number[5]}"):
            return False
        self._tries[act, sid] = self._tries.get((act, sid), 0) + 1
        return self._tries[act, sid] <= int(number[1 if act == "start" else 2])

    # ── the run ──────────────────────────────────────────────────────────────────────────────

    def run(self) -> "Rack":
        last, wait_until, loops = 0.0, 0.0, 0
        while True:
            began = self.now
            for name in self.boxes:
                self._round(name)
            self.after_round()
            self.now = max(self.now, began + ROUND)
            if self.now < wait_until:
                continue
            if loops % 5 == 0:
                if not self._todo and self.now - last > AFTER_LAST:
                    return self
                for command in self._todo.pop(0) if self._todo else []:
                    last = self.now
                    delay = re.fullmatch(r"delay (\d+)", command)
                    wait_until = self.now + int(delay[1]) if delay else wait_until
                    self._command(command)
            loops += 1

    def after_round(self) -> None:
        """Whoever looks from outside does so now; what is down for how long is kept."""
        for sid, resource in self.shared.resources.items():
            copies = [name for name, box in self.boxes.items() if sid in box.running]
            assert len(copies) <= 1, f"{sid} runs on {copies} at {self.now:.0f} s"
            if resource.state == "started" and not copies:
                self.down[sid] = self.down.get(sid, 0) + 1

    def _round(self, name: str) -> None:
        box = self.boxes[name]
        if box.skip_crm:
            box.skip_crm -= 1
        elif box.crm:
            goes_on = box.crm.round()
            self.now += TICK
            if not goes_on:
                box.crm = None
                self._power_down(name, box)
        if box := self.boxes[name]:
            self._agent_round(name, box)

    def _agent_round(self, name: str, box: Box) -> None:
        if box.lrm:
            goes_on = box.lrm.round()
            self.now += TICK
            if not goes_on:
                box.lrm = None
                self._ended_lrm(name, box)
        elif box.restart_lrm:
            box.restart_lrm, box.lrm = False, Lrm(self, self.shared, name)
        if any(self.now - seen > WATCHDOG for seen in box.dogs.values()):
            self.log("watchdog", f"execute power {name} off")
            self._off(name)
            self.log("hardware", f"server '{name}' stopped by poweroff (watchdog)")

    def _ended_lrm(self, name: str, box: Box) -> None:
        if not box.down:
            box.restart_lrm = True
        elif box.crm:
            box.crm.ending = True

    def _power_down(self, name: str, box: Box) -> None:
        if box.down:
            again = box.down == "reboot"
            self._off(name)
            if again:
                self._on(name)

    def _on(self, name: str) -> None:
        box = self.boxes[name]
        box.power = box.network = True
        box.down, box.dogs = "", {}
        box.crm, box.lrm = Crm(self, self.shared, name), Lrm(self, self.shared, name)

    def _off(self, name: str) -> None:
        self.boxes[name] = Box()

    def _command(self, text: str) -> None:
        self.log("cmdlist", f"execute {text}")
        match text.split():
            case ["power", name, "on"]:
                if not self.boxes[name].power:
                    self._on(name)
            case ["power", name, "off"]:
                self._off(name)
            case ["network", name, state]:
                self.boxes[name].network = state == "on"
            case ["shutdown" | "reboot" as what, name]:
                self.boxes[name].down = what
                lrm = self.boxes[name].lrm
                assert lrm
                lrm.end()
            case ["restart-lrm", name]:
                lrm = self.boxes[name].lrm
                assert lrm
                lrm.end()
            case ["crm", name, "enable-node-maintenance"]:
                self.shared.maintenance.add(name)
            case ["crm", name, "disable-node-maintenance"]:
                self.shared.maintenance.discard(name)
            case ["skip-round", "crm", rounds]:
                for box in self.boxes.values():
                    box.skip_crm = int(rounds)
            case ["delay", _]:
                pass
            case ["service", sid, *rest]:
                self._service(sid, rest)
            case _:
                raise AssertionError(f"unknown command {text}")

    def _service(self, sid: str, words: list[str]) -> None:
        match words:
            case ["migrate", target]:
                self.shared.commands.append(("migrate", sid, target))
            case ["delete"]:
                del self.shared.resources[sid]
            case ["lock"]:
                self._locked.add(sid)
            case ["started" | "stopped" | "disabled" | "ignored" as state]:
                self.shared.resources[sid].state = state
            case _:
                raise AssertionError(f"unknown service command {words}")

    # ── the end ──────────────────────────────────────────────────────────────────────────────

    def outcome(self) -> dict[str, Any]:
        """In the shape of a scenario's `expected`."""
        services = self.shared.services
        return {
            "placement": {sid: s.node for sid, s in services.items()},
            "states": {sid: s.state for sid, s in services.items()},
            "node_status": dict(self.shared.nodes),
            "running_on": {sid: n for n, b in self.boxes.items() for sid in b.running},
        }


def _shared(scenario: dict[str, Any]) -> Shared:
    policy = ((scenario["datacenter_cfg"] or {}).get("ha") or {}).get("shutdown_policy")
    shared = Shared(shutdown_policy=policy or "conditional", rules=rules(scenario["rules_config"]))
    for sid, told in scenario["service_config"].items():
        state = told.get("state", "stopped")
        shared.resources[sid] = Resource(
            told["node"],
            "started" if state == "enabled" else state,
            int(told.get("max_restart", 1)),
            int(told.get("max_relocate", 1)),
        )
    before = scenario["manager_status"] or {}
    shared.nodes = dict(before.get("node_status", {}))
    for sid, told in before.get("service_status", {}).items():
        shared.services[sid] = Service(
            told["state"], told["node"], told["uid"], told.get("target", "")
        )
    return shared


def rules(text: str | None) -> list[Rule]:
    """Of the section-config text that /etc/pve/ha/rules.cfg is."""
    found = []
    for kind, name, body in re.findall(r"^([\w-]+): (\S+)\n((?:\t.*\n?)*)", text or "", re.M):
        told = dict(line.split(" ", 1) for line in body.split("\n\t") if line.strip())
        told = {key.strip(): value.strip() for key, value in told.items()}
        nodes = [pair.partition(":") for pair in told.get("nodes", "").split(",") if pair]
        found.append(
            Rule(
                name,
                kind,
                frozenset(told["resources"].split(",")),
                tuple((node, int(priority or 0)) for node, _, priority in nodes),
                told.get("strict") == "1",
                told.get("affinity", ""),
            )
        )
    return found
