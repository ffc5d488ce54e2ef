"""Incidents with what the operations about them did: one story in the order of time."""

from collections.abc import Iterable, Iterator

from metal.controller.sensing import HEALING
from metal.controller.workspace import Workspace
from metal.model.base import Frozen
from metal.operations.journal import Operation


class Moment(Frozen):
    """One line of a timeline."""

    at: float
    """Seconds since the epoch."""
    kind: str
    """signal, verdict, hold, action, step, alarm, end."""
    text: str


class Story(Frozen):
    id: int
    subject: str
    state: str
    began: float
    ended: float | None
    seconds: float
    """How long it lasted, or lasts."""
    moments: tuple[Moment, ...] = ()
    unsent: tuple[str, ...] = ()
    """Alarms that did not go out, each with the reason."""


def list_incidents(workspace: Workspace, *, everything: bool = False) -> tuple[Story, ...]:
    """Without their moments, oldest first."""
    store = workspace.store
    now = store.now()
    return tuple(
        Story(
            id=i.id,
            subject=i.subject,
            state=i.state,
            began=i.began,
            ended=i.ended,
            seconds=(i.ended or now) - i.began,
        )
        for i in store.incidents.list(open_only=not everything)
    )


def show_incident(workspace: Workspace, number: int) -> Story:
    """One, with every moment. BadInput if there is none of that number."""
    store = workspace.store
    incident, now = store.incidents.show(number), store.now()
    until = incident.ended or now
    moments = [Moment(at=n.at, kind=n.kind, text=n.text) for n in incident.notes]
    for operation in store.journal.list():
        if _about(operation, incident.subject) and incident.began <= operation.updated:
            moments += _once(
                Moment(at=event.at, kind="step", text=event.text)
                for event in store.events.since(0, operation=operation.id)
                if incident.began <= event.at <= until
            )
    alarms = store.alarms.about(number)
    return Story(
        id=incident.id,
        subject=incident.subject,
        state=incident.state,
        began=incident.began,
        ended=incident.ended,
        seconds=until - incident.began,
        moments=tuple(sorted(moments, key=lambda moment: moment.at)),
        unsent=tuple(f"{a.hook}: {a.subject}: {a.error}" for a in alarms if a.error),
    )


def _once(steps: Iterable[Moment]) -> Iterator[Moment]:
    """What failed is tried each round, for hours: the first time tells it all."""
    times: dict[str, int] = {}
    last = None
    for step in steps:
        times[step.text] = times.get(step.text, 0) + 1
        if times[step.text] == 1:
            yield step
        else:
            last = step
    if last:
        again = max(times.values()) - 1
        text = f"the same again, {again} times" if again > 1 else "the same again, once"
        yield Moment(at=last.at, kind="step", text=text)


def _about(operation: Operation, subject: str) -> bool:
    action = operation.params.get("action", {})
    return operation.kind in HEALING and subject == f"server {action.get('server')}"
