"""What `metal balance` says of each cluster, above its plan."""

from metal.cli.render.hang import hanging
from metal.cli.render.plan import action_lines, summary
from metal.model.plan import Plan
from metal.schedule.balance import Balance, Evened
from metal.tui.grid import Column, fit

COLUMNS = (Column("CLUSTER"), Column("SCORE"), Column("AFTER"), Column("MOVES"))


def balance_lines(plan: Plan, found: Balance, width: int = 80) -> list[str]:
    """A line a cluster, then the moves; one line says so when there are none."""
    rows = [_row(c) for c in found.clusters]
    grid = fit(COLUMNS, rows, width)
    lines = [grid.header, *(grid.line(row) for row in rows)]
    for cluster in found.clusters:
        lines += [line for text in _notes(cluster) for line in hanging("- ", text, width)]
    lines.append("")
    for action in plan.actions:
        lines += action_lines(action, width)
    lines += ["", summary(plan)] if plan.actions else ["Nothing to move."]
    return lines + [line for text in plan.warnings for line in hanging("- ", text, width)]


def _row(cluster: Evened) -> tuple[str, ...]:
    if cluster.why:
        return cluster.cluster, "", "", "0"
    return (
        cluster.cluster,
        f"{cluster.before:.2f}",
        f"{cluster.after:.2f}",
        str(cluster.moves),
    )


def _notes(cluster: Evened) -> list[str]:
    notes = [f"{cluster.cluster} is left alone: {cluster.why}"] if cluster.why else []
    if cluster.broken:
        names = ", ".join(cluster.broken)
        found = "do mend it" if cluster.hopeless else "were found that mend it"
        notes.append(
            f"{names} may not die, and no moves inside {cluster.cluster} {found}: "
            "`metal balance --across` looks beyond it, `metal plan --prove` says what would"
        )
    return notes
