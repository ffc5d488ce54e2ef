"""Donors' terms as a table, and as data."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from metal.cli.render.hang import hanging
from metal.schedule.terms import Use
from metal.tui.grid import Column, fit

COLUMNS = (
    Column("SITE"),
    Column("UNTIL", rank=1),
    Column("U", right=True),
    Column("WATTS", right=True),
    Column("IPV4", right=True),
    Column("GB/MONTH", rank=2, right=True),
    Column("MBIT/S", rank=4, right=True),
    Column("SERVERS", rank=3, right=True),
    Column("VMS", rank=3, right=True),
)
DUTIES = {
    "nothing": "the servers are ours",
    "servers": "the servers go back",
    "wiped": "the servers go back, every disk erased, with a record of each",
}


def donor_lines(found: Sequence[Use], today: date, width: int = 80) -> list[str]:
    """A line a site, "used/lent"; then who lends it, what is owed, and where it is too much."""
    rows = [_row(use) for use in found]
    grid = fit(COLUMNS, rows, width)
    lines = [grid.header, *(grid.line(row) for row in rows)]
    for use in found:
        lines += ["", *hanging("", f"{use.site}: {use.donor.name}, {use.donor.contact}", width)]
        for text in _said(use, today):
            lines += hanging("  ", text, width)
    return lines


def _row(use: Use) -> tuple[str, ...]:
    donor = use.donor
    watts = f"{use.watts}{'+?' if use.unknown_watts else ''}"
    return (
        use.site,
        donor.until.isoformat() if donor.until else "open",
        _of(str(use.units), donor.units),
        _of(watts, donor.watts),
        _of(str(use.addresses), donor.addresses),
        _of(str(use.traffic_gb), donor.traffic_gb),
        "" if donor.mbit is None else str(donor.mbit),
        str(len(use.servers)),
        str(use.vms),
    )


def _of(used: str, lent: int | None) -> str:
    return used if lent is None else f"{used}/{lent}"


def _said(use: Use, today: date) -> Iterator[str]:
    donor = use.donor
    yield DUTIES[donor.returns]
    if donor.until is not None and donor.notice_days:
        passed = ", which has passed" if donor.closing(today) else ""
        yield f"{donor.notice_days} days' notice: by {donor.notice_by}{passed}"
    for text in use.over(today):
        yield f"beyond the terms: {text}"


def donor_document(use: Use, today: date) -> dict[str, Any]:
    """`metal donors -o json`: one object a site."""
    return {
        "site": use.site,
        "donor": use.donor.model_dump(mode="json"),
        "notice_by": use.donor.notice_by and use.donor.notice_by.isoformat(),
        "used": {
            "units": use.units,
            "watts": use.watts,
            "unknown_watts": use.unknown_watts,
            "addresses": use.addresses,
            "traffic_gb": use.traffic_gb,
            "vms": use.vms,
        },
        "servers": use.servers,
        "beyond": use.over(today),
    }
