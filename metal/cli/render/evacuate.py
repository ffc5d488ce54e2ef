"""An evacuation as people read it: the days, what cannot go, and what goes back."""

from collections.abc import Iterator, Sequence

from metal.cli.render.hang import hanging
from metal.model.plan import count
from metal.schedule.evacuate import SHARE, Departure, Evacuation, HandBack
from metal.schedule.missing import Missing
from metal.tui.grid import Column, fit

MOVES = (
    Column("BEGINS"),
    Column("VM"),
    Column("PRIO", rank=3, right=True),
    Column("TO"),
    Column("GIB", right=True),
    Column("TAKES", right=True),
    Column("ADDRESSES", rank=2),
)
SERVERS = (
    Column("SERVER"),
    Column("RACK", rank=2),
    Column("U", rank=2, right=True),
    Column("MODEL", rank=1),
    Column("SERIAL"),
    Column("TO ERASE", grows=True),
)
DUTIES = {
    "nothing": "the servers are ours: fetch them",
    "servers": "the servers go back",
    "wiped": "the servers go back, every disk erased, with a record of each: `metal wipe SERVER`",
}


def evacuate_lines(
    found: Evacuation,
    short: Sequence[Missing],
    owed: dict[str, tuple[str, ...]],
    width: int = 80,
) -> list[str]:
    lines = [line for text in _summary(found) for line in hanging("", text, width)]
    if found.departures:
        rows = [_move(d) for d in found.departures]
        grid = fit(MOVES, rows, width)
        lines += ["", grid.header, *(grid.line(row) for row in rows)]
    for text in _obstacles(found, short):
        lines += hanging("- ", text, width)
    lines += ["", *hanging("", f"Hand-back: {DUTIES[_duty(found.hand_back)]}", width)]
    rows = [_server(back, owed[back.server]) for back in found.hand_back]
    grid = fit(SERVERS, rows, width)
    return [*lines, grid.header, *(grid.line(row) for row in rows)]


def _summary(found: Evacuation) -> Iterator[str]:
    number = len(found.departures)
    text = f"{found.name}: {count(number, 'VM')} can go elsewhere, {found.gib} GiB in all"
    if found.ends is not None and number and not found.unknown:
        begins = found.departures[0].begins
        days = (found.ends - begins).total_seconds() / 86_400 if begins else 0
        text += f", in {days:.1f} days: done {found.ends:%Y-%m-%d %H:%M}"
    stays = found.departures or found.relocation.stranded or found.relocation.unmanaged
    yield text if stays else f"{found.name}: no VM is left there"
    if found.by is not None:
        yield f"All must be gone by {found.by:%Y-%m-%d %H:%M}."
    if found.departures:
        yield (
            f"Each is sent over {SHARE:.0%} of the slower uplink, while it runs; where metal has "
            "no token of its new cluster it goes by a backup, and is down so long."
        )


def _move(departure: Departure) -> tuple[str, ...]:
    begins, hours = departure.begins, departure.hours
    return (
        f"{begins:%Y-%m-%d %H:%M}" if begins else "?",
        departure.vm,
        str(departure.priority),
        f"{departure.cluster}/{departure.server}",
        str(departure.gib),
        "?" if hours is None else f"{hours:.1f} h",
        "new" if departure.renumbered else "",
    )


def _obstacles(found: Evacuation, short: Sequence[Missing]) -> Iterator[str]:
    for left in found.relocation.stranded:
        yield f"{left.vm} has nowhere to go: {left.why} → {left.mend}"
    if short:
        yield f"all would have a place with {short[0]}" + "".join(f", or {m}" for m in short[1:3])
    elif found.relocation.stranded:
        yield "more memory, disks or addresses at one cluster alone would not do"
    if found.relocation.unmanaged:
        names = ", ".join(found.relocation.unmanaged)
        yield f"not in the inventory, so nobody planned for them: {names}"
    if found.late:
        yield f"too late: {', '.join(found.late)}"
    if found.unknown:
        names = ", ".join(found.unknown)
        yield f"nobody told what the uplink of {names} carries: `mbit` of the donor, or --mbit"
    if found.relocation.unpinned:
        yield f"their pin must go from the inventory: {', '.join(found.relocation.unpinned)}"
    if found.helpers:
        names = ", ".join(found.helpers)
        yield f"Tang servers that disks elsewhere may need go too: {names}; see `metal keys graph`"
    yield from found.warnings


def _duty(backs: Sequence[HandBack]) -> str:
    return backs[0].duty if backs else "nothing"


def _server(back: HandBack, owed: tuple[str, ...]) -> tuple[str, ...]:
    made = " ".join(filter(None, (back.vendor, back.model)))
    told = back.serial or back.sku or "not known"
    if back.duty != "wiped":
        erase = "nothing"
    elif not back.wipe:
        erase = "disks not known"
    else:
        erase = ", ".join(owed) or "all erased"
    return back.server, back.rack, str(back.unit or ""), made, told, erase
