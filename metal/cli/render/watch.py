"""What a round of watching found, as lines."""

from typing import TYPE_CHECKING

from metal.tui.grid import safe

if TYPE_CHECKING:
    from metal.controller.watching import WatchReport


def watch_lines(report: "WatchReport") -> list[str]:
    """Servers that are not healthy, what was (or would be) done, and what a person must see to."""
    lines = [
        f"{name}: {found.state}: {safe('; '.join(found.evidence))}"
        for name, found in report.diagnoses.items()
        if found.state != "healthy"
    ]
    healthy = len(report.diagnoses) - len(lines)
    lines.append(f"{healthy} of {len(report.diagnoses)} servers are healthy")
    for action in report.actions:
        why = report.failed.get(action.id)
        lines.append(f"{action.what}: {'FAILED: ' + safe(why) if why else safe(action.why)}")
    known = {action.id for action in report.actions}
    lines += [
        f"{key}: FAILED: {safe(why)}" for key, why in report.failed.items() if key not in known
    ]
    return lines + [f"A PERSON MUST SEE TO IT: {safe(hold)}" for hold in report.holds]
