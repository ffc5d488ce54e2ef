"""Who is called for what fails each round, and how it reads."""

from pathlib import Path
from typing import Any

from metal.controller.incident_book import IncidentBook
from metal.controller.incidents import show_incident
from metal.lab.storms.storm import Storm
from metal.model.errors import Failed
from metal.model.plan import RecoverServer, Risk
from metal.model.watch import Hook
from metal.operations.run import Run, perform

WHY: dict[str, Any] = {"what": "recover alba1", "why": "it died", "risk": Risk.SAFE}
RECOVER = RecoverServer(server="alba1", cluster="alba", vms={}, **WHY)


def test_what_fails_in_every_round_calls_somebody_once(tmp_path: Path) -> None:
    storm = Storm(tmp_path, 1, days=1, every=0)
    workspace, store = storm._person, storm.store
    page = {"page": Hook(kind="script", to="page.sh")}
    workspace.inventory = workspace.inventory.model_copy(update={"alarms": page})
    incident, _ = store.incidents.open("server alba1", "dead")
    book = IncidentBook(workspace)
    params = {"action": RECOVER.model_dump(mode="json")}

    def fails(run: Run) -> None:
        run.progress(0.0, "prove alba1 off")
        raise Failed("git stays down: no room")

    for _ in range(5):
        book.begun(RECOVER)
        operation = store.journal.open("recover", RECOVER.id, ["server alba1"], params)
        book.over(RECOVER, perform(store, operation, fails).error)
    (alarm,) = store.alarms.due()
    assert alarm.subject.endswith("alba1: a person must act")
    book.over(RECOVER, "wiki stays down: no room")
    assert len(store.alarms.due()) == 2, "another reason is news"
    told = [(m.kind, m.text) for m in show_incident(workspace, incident.id).moments]
    assert told.count(("action", "recover alba1")) == 1
    assert told.count(("step", "prove alba1 off")) == 1
    assert ("step", "the same again, 4 times") in told
    storm.close()
