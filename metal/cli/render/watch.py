"""What a round of watching found, as lines."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from metal.cli.render.hang import hanging

if TYPE_CHECKING:
    from metal.controller.watchers import Watchers
    from metal.controller.watching import WatchReport


def watch_lines(report: "WatchReport", width: int = 80) -> list[str]:
    """Servers that are not healthy, what was (or would be) done, and what a person must see to."""
    return [line for text in _findings(report) for line in hanging("", text, width, under=2)]


def _findings(report: "WatchReport") -> Iterator[str]:
    ill = {name: d for name, d in report.diagnoses.items() if d.state != "healthy"}
    if report.leader:
        yield f"the watcher at {report.leader} leads; this one ({report.place}) only looks"
        return
    for name, diagnosis in ill.items():
        yield f"{name}: {diagnosis.state}: {'; '.join(diagnosis.evidence)}"
    all_of_them = len(report.diagnoses)
    if not all_of_them:
        yield "nothing to watch yet: no server is a member of a cluster, or all are held"
    else:
        yield f"{all_of_them - len(ill)} of {all_of_them} servers are healthy"
    for server in report.unlocked:
        yield f"{server}: it waited at boot and was given its disk's key"
    for action in report.actions:
        why = report.failed.get(action.id)
        yield f"{action.what}: {f'FAILED: {why}' if why else action.why}"
    known = {action.id for action in report.actions}
    for key, why in report.failed.items():
        if key not in known:
            yield f"{key}: FAILED: {why}"
    for wait in report.waits:
        yield f"nobody must act yet: {wait}"
    for hold in report.holds:
        yield f"A PERSON MUST SEE TO IT: {hold}"


def watcher_lines(found: "Watchers", width: int = 80) -> list[str]:
    """Who leads, and from where who looks."""
    told = "nobody leads: start `metal watch --act`"
    if found.leader is not None:
        told = (
            f"{found.leader} leads ({found.process}), for {found.seconds:.0f} s, term {found.term}"
        )
    lines = hanging("", told, width, under=2)
    for place in found.places:
        text = f"reached {place.reaches} of {place.of} hosts {place.age:.0f} s ago"
        lines += hanging(f"{place.name}: ", text, width, under=2)
    return lines
