"""The IPv4 budget as a table, and what one address more or less would do."""

from collections.abc import Iterator, Sequence

from metal.cli.render.hang import hanging
from metal.network.worth import Change, SiteWorth

HEADINGS = ("SITE", "POOL", "GATEWAYS", "OWN", "SHARED", "OTHERS", "FREE", "NAT", "PROXY", "IPV6")


def ipv4_lines(found: Sequence[SiteWorth], nowhere: Sequence[str], width: int) -> list[str]:
    rows = [HEADINGS, *(_row(site) for site in found)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(HEADINGS))]
    lines = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]
    for site in found:
        lines += ["", f"{site.site}:"]
        for text in _said(site):
            lines += hanging("  ", text, width)
    if nowhere:
        lines += ["", *hanging("", f"no home yet, so counted nowhere: {', '.join(nowhere)}", width)]
    return lines


def _row(site: SiteWorth) -> tuple[str, ...]:
    b, by = site.budget, site.by_treatment
    counted = (b.pool, b.gateways, b.dedicated, b.shared, b.foreign, b.free)
    return (site.site, *map(str, counted), *(str(len(by[k])) for k in ("nat", "proxy", "ipv6")))


def _said(site: SiteWorth) -> Iterator[str]:
    if site.without:
        yield f"goes without: {', '.join(site.without)}"
    if site.gain.vms:
        yield f"one address more: {_change(site.gain)} would be served"
    else:
        yield "one address more: nobody needs it"
    if site.budget.pool == 0:
        return
    if site.loss.vms:
        also = ", and nothing there would have a way out" if site.loss.way_out else ""
        yield f"one address less: {_change(site.loss)} would go without{also}"
    elif site.loss.way_out:
        yield "one address less: the gateways would have no way out"
    else:
        yield "one address less: costs nothing"
    if site.flows > site.flows_carried:
        yield (
            f"its VMs may open {site.flows} connections to one place, its shared addresses "
            f"carry {site.flows_carried}"
        )
    if not site.proven:
        yield "not proven to be the best: install the extra `solver` (OR-tools) to settle it"


def _change(change: Change) -> str:
    return f"{', '.join(change.vms)} (priority {change.priority} in all)"
