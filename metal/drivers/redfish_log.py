"""The event log over Redfish: what the hardware reported, its last entries, and clearing it.

Sources: DSP2046, LogService and LogEntry.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from metal.drivers.redfish_answer import Body, link
from metal.drivers.redfish_tree import Tree
from metal.drivers.redfish_words import name_of
from metal.model.errors import Failed, Refused
from metal.model.facts import Health, LogEntry

LAST = 1000
BUDGET = 120.0
"""Seconds for entries that must be fetched one by one: a BMC may need one for each (R21)."""
HARDWARE = ("sel", "iml", "log1", "eventlog", "event", "logs")
"""Ids of the logs that hold what the hardware reported, by preference. Logs of log-ins, of
updates and of the BMC itself are others: they would drown it."""
SEVERITIES: dict[str, Health] = {"ok": "ok", "warning": "warning", "critical": "critical"}
BEFORE_BMCS = 2004
CLEAR = "#LogService.ClearLog"


def read_log(tree: Tree) -> tuple[LogEntry, ...]:
    """Oldest first, the last LAST of each log; empty where there is none.

    Cut by their order in the BMC, not by their time: the newest may have none, or an old one.
    """
    found = [entry for service in hardware_logs(tree) for entry in _entries_of(tree, service)]
    return tuple(sorted(found, key=lambda e: e.at or ""))


def hardware_logs(tree: Tree) -> list[Body]:
    """The log services of the hardware's events, the SEL first; else the only ones there are."""
    system = tree.system()
    owners = (system, tree.manager(system), *tree.chassis(system))
    services: dict[str, Body] = {}
    for owner in owners:
        for service in tree.parts(owner, "LogServices"):
            services.setdefault(str(service.get("@odata.id") or len(services)), service)
    known = sorted((s for s in services.values() if _rank(s) < len(HARDWARE)), key=_rank)
    return known or list(services.values())[:1]


def ensure_log_empty(tree: Tree) -> None:
    """Every log that `read_log` reads is cleared; that it was may be its first new entry."""
    for service in hardware_logs(tree):
        before = set(_entries_of(tree, service))
        if not before:
            continue
        complaint = _clear(tree, service)
        if before & set(_entries_of(tree, service)):
            raise Failed(
                f"the log {name_of(service)} was not cleared ({complaint})",
                where=tree.session.where,
                mend="clear it in the BMC's web page",
            )


def log_full(tree: Tree) -> bool | None:
    """Whether a log takes no more entries; None where none tells how many it can hold."""
    known: list[bool] = []
    for service in hardware_logs(tree):
        most, policy = service.get("MaxNumberOfRecords"), service.get("OverWritePolicy")
        if policy == "WrapsWhenFull":
            known.append(False)
        elif isinstance(most, int) and most > 0:
            count = tree.linked(service, "Entries").get("Members@odata.count")
            known += [count >= most] if isinstance(count, int) else []
    return any(known) if known else None


def moment(text: Any) -> str | None:
    """ISO 8601 in UTC; None for what is no time, or from before BMCs were built (1970)."""
    try:
        at = datetime.fromisoformat(str(text))
        at = at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at.isoformat(timespec="seconds") if at.year >= BEFORE_BMCS else None


def _clear(tree: Tree, service: Body) -> str:
    """What the BMC says to it. AMI wants to be told what to clear, others refuse to hear it."""
    actions = service.get("Actions")
    action = actions.get(CLEAR) if isinstance(actions, dict) else None
    target = action.get("target") if isinstance(action, dict) else None
    if not target:
        raise Refused(
            f"its log {name_of(service)} cannot be cleared over Redfish",
            where=tree.session.where,
            mend="clear it in the BMC's web page",
        )
    answer = tree.session.post(str(target), {})
    if not answer.ok:
        answer = tree.session.post(str(target), {"ClearType": "ClearAll"})
    return answer.complaint


def _rank(service: Body) -> int:
    name = str(service.get("Id")).lower()
    return HARDWARE.index(name) if name in HARDWARE else len(HARDWARE)


# ── Entries ──────────────────────────────────────────────────────────────────────────────────


def _entries_of(tree: Tree, service: Body) -> list[LogEntry]:
    path = link(service.get("Entries"))
    members = list(_members(tree, path))[-LAST:] if path else []
    return [entry_of(b) for b in _whole(tree, members) if b.get("Message") or b.get("Created")]


def _members(tree: Tree, path: str) -> list[Body]:
    """Oldest first. A log that is longer than LAST is read from there on where it can skip."""
    try:
        pages = [next(tree.session.pages(path), {})]
    except Failed:
        return []  # the link leads nowhere
    count = pages[0].get("Members@odata.count")
    total = count if isinstance(count, int) else 0
    first = entries_in(pages[0])
    if total > LAST and len(first) < total:
        skipped = _skip(tree, path, total - LAST)
        if skipped and not is_newest_first(first):
            return _rest(tree, skipped)
    found = _rest(tree, path)
    return found[::-1] if is_newest_first(found) else found


def _rest(tree: Tree, path: str) -> list[Body]:
    """From `path` on, LAST at most, whatever the number of pages (R22)."""
    found: list[Body] = []
    try:
        for page in tree.session.pages(path):
            found += entries_in(page)
            if len(found) >= LAST:
                break
    except Failed:
        if not found:
            raise
    return found


def _skip(tree: Tree, path: str, count: int) -> str | None:
    """$skip (DSP0266 7.3), if the BMC really skips."""
    skipping = f"{path}?$skip={count}"
    plain = entries_in(tree.session.get(path))
    body = next(tree.bodies(iter([skipping])), {})
    members = entries_in(body)
    return skipping if members and link(members[0]) != link(plain[0] if plain else None) else None


def entries_in(page: Body) -> list[Body]:
    members = page.get("Members")
    return [m for m in members if isinstance(m, dict)] if isinstance(members, list) else []


def is_newest_first(members: list[Body]) -> bool:
    """By what both ends say of their time, else by their numbers."""
    if len(members) < 2:
        return False
    ends = [moment(m.get("Created")) for m in (members[0], members[-1])]
    if all(ends) and ends[0] != ends[1]:
        return str(ends[0]) > str(ends[1])
    numbers = [(link(m) or "").rstrip("/").rsplit("/", 1)[-1] for m in (members[0], members[-1])]
    return all(n.isdigit() for n in numbers) and int(numbers[0]) > int(numbers[1])


def _whole(tree: Tree, members: list[Body]) -> list[Body]:
    """Entries stand in the collection whole, or are links: then the newest are fetched first."""
    until, found = time.monotonic() + BUDGET, []
    for member in reversed(members):
        if "Message" in member or "Created" in member:
            found.append(member)
        elif (path := link(member)) and time.monotonic() < until:
            found += _bodies(tree, path)
    return found[::-1]


def _bodies(tree: Tree, path: str) -> Iterator[Body]:
    return tree.bodies(iter([path]))


def entry_of(body: Body) -> LogEntry:
    return LogEntry(
        at=moment(body.get("Created") or body.get("EventTimestamp")),
        severity=SEVERITIES.get(str(body.get("Severity")).lower(), "unknown"),
        text=" ".join(str(body.get("Message") or body.get("Name") or "").split()),
    )
