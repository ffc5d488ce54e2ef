"""Keeps the incidents: what was seen, decided, done, and how it ended; and calls people once.

An alarm goes out when an incident begins, when its verdict changes, when something failed, and
when it is over: never for each look.
"""

from collections.abc import Iterator

from metal.controller.sensing import HEALING
from metal.controller.workspace import Workspace
from metal.heal.diagnosis import AT_ONCE, Diagnosis
from metal.heal.plan import Found
from metal.model.plan import Action, DrainServer
from metal.operations.incidents import Incident

SILENCE = frozenset({"unreachable", "cut-off"})
"""What an answer that was lost looks like, too."""
LASTING = 4
"""Looks in a row after which silence is trouble: one in a hundred answers gets lost."""


class IncidentBook:
    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._incidents, self._alarms = workspace.store.incidents, workspace.store.alarms

    def record(self, found: Found) -> None:
        """What one round saw: incidents begin, change, and end."""
        ill = dict(self._ill(found))
        for subject, (state, evidence) in ill.items():
            incident, news = self._incidents.open(subject, state)
            hold = found.said(subject)
            if news:
                remedy = self._remedy(found, subject)
                self._incidents.note(incident.id, "signal", evidence)
                self._incidents.note(incident.id, "verdict", state)
                body = "\n\n".join(filter(None, (hold or evidence, remedy)))
                self._tell(incident, f"{_name(subject)}: {state}", body)
                for text in filter(None, (hold, remedy)):
                    self._incidents.note(incident.id, "hold", text)
        for incident in self._incidents.list(open_only=True):
            if incident.subject not in ill:
                self._end(incident, found)

    def begun(self, action: Action) -> None:
        """An action that follows from an incident was begun, or is tried once more."""
        if incident := self._of(action):
            self._incidents.note(incident.id, "action", action.what, once=True)

    def over(self, action: Action, why: str) -> None:
        """It ended; `why` it failed, "" if it did not. It is tried again each round: nobody is
        called twice for the same reason."""
        if incident := self._of(action):
            said = f"FAILED: {action.what}: {why}" if why else f"done: {action.what}"
            if self._incidents.note(incident.id, "action", said, once=True) and why:
                self._tell(incident, f"{_name(incident.subject)}: a person must act", said)

    def died(self, action: DrainServer, why: str) -> None:
        """The server died while it was emptied: no person must act, its recovery follows."""
        if incident := self._of(action):
            said = f"{action.server} died while it was emptied: {why}"
            self._incidents.note(incident.id, "action", said)

    def stopped(self, name: str, why: str) -> None:
        """An evacuation of `name` stopped where only a person goes on: told, and no more of it is
        awaited here."""
        incident, _ = self._incidents.open(f"leaving {name}", "stopped")
        said = f"FAILED: leave {name}: {why}"
        self._incidents.note(incident.id, "action", said)
        self._tell(incident, f"leaving {name}: a person must act", said)
        self._incidents.close(incident.id, f"`metal evacuate {name} --act` goes on with it")

    def _of(self, action: Action) -> Incident | None:
        subject = f"server {getattr(action, 'server', '')}"
        return next((i for i in self._incidents.list(open_only=True) if i.subject == subject), None)

    def _ill(self, found: Found) -> Iterator[tuple[str, tuple[str, str]]]:
        """(subject, (state, evidence)). A site's or our own trouble is one incident, not many.

        What may be an answer that got lost counts once it lasts. A server that is long in trouble
        stays its own incident while others are silent for a moment.
        """
        sites: dict[str, list[str]] = {}
        for name, diagnosis in found.diagnoses.items():
            state = diagnosis.alone or diagnosis.state
            if state == "healthy" or (state in SILENCE and diagnosis.unseen < LASTING):
                continue
            if diagnosis.alone is None:
                yield f"server {name}", (state, _evidence(diagnosis, name))
            else:
                sites.setdefault(self._workspace.inventory.servers[name].site, []).append(name)
        for site, names in sites.items():
            for subject, told in self._together(found, site, names):
                yield subject, (told, _evidence(found.diagnoses[names[0]], names[0]))
        if "fleet" in found.holds and not any(d.alone for d in found.diagnoses.values()):
            yield "fleet", ("storm", found.holds["fleet"])

    def _remedy(self, found: Found, subject: str) -> str:
        kind, _, name = subject.partition(" ")
        return found.diagnoses[name].remedy if kind == "server" and name in found.diagnoses else ""

    def _together(self, found: Found, site: str, names: list[str]) -> list[tuple[str, str]]:
        """(subject, state) of servers of one site that are not judged alone."""
        if len(names) < AT_ONCE:
            return [(f"server {n}", found.diagnoses[n].alone or "") for n in names]
        if found.diagnoses[names[0]].state == "blind":
            return [("fleet", "blind")]
        return [(f"site {site}", "site-trouble")]

    def _end(self, incident: Incident, found: Found) -> None:
        kind, _, name = incident.subject.partition(" ")
        text = "it is over: nothing of it is seen any more"
        if kind == "server":
            if self._at_work(name):
                return
            diagnosis = found.diagnoses.get(name)
            if diagnosis and diagnosis.mute and incident.state == "degrading":
                return  # a BMC that is silent takes no complaint back
            if diagnosis is not None and diagnosis.state == "healthy":
                text = "it is well again"
            elif diagnosis is None:
                note = self._workspace.store.servers.get(name).note
                text = f"it is set aside until `metal release {name}`" + (
                    f": {note}" if note else ""
                )
            else:
                text = f"it became part of {diagnosis.state}"
        self._incidents.close(incident.id, text)
        self._tell(incident, f"{_name(incident.subject)}: over", text)

    def _at_work(self, server: str) -> bool:
        return any(
            o.kind in HEALING and o.params.get("action", {}).get("server") == server
            for o in self._workspace.store.journal.list(open_only=True)
        )

    def _tell(self, incident: Incident, subject: str, body: str) -> None:
        hooks = tuple(self._workspace.inventory.alarms)
        fleet = self._workspace.inventory.fleet.name
        more = f"{body}\n\nmetal incident show {incident.id}"
        if hooks:
            self._incidents.note(incident.id, "alarm", f"{subject}, to {', '.join(hooks)}")
        self._alarms.tell(incident.id, hooks, f"[{fleet}] {subject}", more)


def _name(subject: str) -> str:
    return subject.partition(" ")[2] or subject


def _evidence(diagnosis: Diagnosis, name: str) -> str:
    return f"{name}: {'; '.join(diagnosis.evidence)}"
