"""What `metal balance --across` says: who is in need, who goes where, and how."""

from collections.abc import Iterator

from metal.cli.render.hang import hanging
from metal.controller.across import call
from metal.model.plan import count
from metal.schedule.across import Across, Relieved, Transfer
from metal.tui.grid import Column, fit

COLUMNS = (
    Column("VM"),
    Column("PRIO", rank=3, right=True),
    Column("FROM"),
    Column("TO"),
    Column("GIB", right=True),
    Column("ADDRESSES", rank=2),
)


def across_lines(found: Across, width: int = 80) -> list[str]:
    """A line a cluster in need, then the moves and their calls."""
    if not (found.clusters or found.unknown):
        return ["Every cluster survives the loss of any of its servers: nothing to move."]
    lines: list[str] = []
    if found.unknown:
        text = f"nobody answers of {', '.join(found.unknown)}: what they survive is not known"
        lines += hanging("- ", text, width)
    lines += [line for c in found.clusters for line in hanging("- ", _need(c), width)]
    if found.transfers:
        rows = [_row(step) for step in found.transfers]
        grid = fit(COLUMNS, rows, width)
        lines += ["", grid.header, *(grid.line(row) for row in rows), ""]
    for text in _notes(found):
        lines += hanging("- ", text, width)
    return lines


def _need(cluster: Relieved) -> str:
    needs: list[str] = []
    if cluster.fatal:
        needs.append(f"{', '.join(cluster.fatal)} may not die")
    if cluster.over_gib:
        needs.append(f"{cluster.over_gib} GiB more than its disks hold are promised")
    text = f"{cluster.cluster}: {', and '.join(needs)}"
    if cluster.why:
        return f"{text}; nothing is moved: {cluster.why}"
    text += f", and no moves inside it mend that: {count(cluster.moves, 'VM')} to other clusters do"
    text += _afterwards(cluster)
    if cluster.allowed < cluster.moves:
        text += f"; {cluster.allowed} of them may go today (moves_a_day in [balance], or --moves N)"
    return text


def _afterwards(cluster: Relieved) -> str:
    """What they do not mend."""
    if cluster.inside:
        inside = count(cluster.inside, "move")
        return f", with {inside} inside it afterwards (`metal balance`)"
    left = [f"{', '.join(cluster.left)} may not die even then"] if cluster.left else []
    left += [f"{cluster.left_gib} GiB remain too many"] if cluster.left_gib else []
    return f" some of it; {', and '.join(left)}: nobody else may leave who helps" if left else ""


def _row(step: Transfer) -> tuple[str, ...]:
    return (
        step.vm,
        str(step.priority),
        "/".join(step.source),
        "/".join(step.target),
        str(step.gib),
        "new" if step.renumbered else "",
    )


def _notes(found: Across) -> Iterator[str]:
    for step in found.transfers:
        yield f"`{call(step)}`"
    new = [step.vm for step in found.transfers if step.renumbered]
    if new:
        yield (
            f"{', '.join(new)} {'come' if new[1:] else 'comes'} to another site: give "
            f"{'them' if new[1:] else 'it'} addresses of it when there, and the names"
        )
    yield from found.warnings
