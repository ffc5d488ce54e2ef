"""What a Redfish BMC logged since the last look: one call where that is nothing.

A log may have thousands of entries, of which some BMCs show all and others a page. So no more is
asked for than its end; and neither the BMC's clock nor how it numbers entries is believed.
"""

from dataclasses import dataclass
from itertools import islice

from metal.drivers.redfish_answer import Body, link
from metal.drivers.redfish_log import entries_in, entry_of, hardware_logs, is_newest_first
from metal.drivers.redfish_tree import Tree
from metal.model.facts import LogMark, LogNews

MOST = 25
"""Entries of one look. Of more, the newest: they tell what is going on."""

PAGES = 25
"""Of one reading, where a BMC shows a page at a time."""


def read_news(tree: Tree, mark: LogMark | None) -> LogNews:
    """What follows the entry at which the last reading ended."""
    path = mark.where if mark else _path(tree)
    if not path:
        return LogNews()
    end = _end(tree, path, mark)
    if end is None:
        return LogNews()
    now = LogMark(
        where=path,
        count=end.count,
        last=_key(end.members[-1]) if end.members else "",
        newest_first=end.newest_first,
    )
    if mark is None or end.count < mark.count:
        return LogNews(mark=now, cleared=mark is not None)
    new = _new(end, mark)[-MOST:]
    return LogNews(mark=now, entries=tuple(entry_of(_whole(tree, member)) for member in new))


@dataclass(frozen=True)
class _End:
    """The last entries of a log, oldest first, and how many it has."""

    members: list[Body]
    count: int
    newest_first: bool


def _path(tree: Tree) -> str | None:
    """Where the entries are of the log that tells most of the hardware."""
    return next(filter(None, (link(log.get("Entries")) for log in hardware_logs(tree))), None)


def _end(tree: Tree, path: str, mark: LogMark | None) -> _End | None:
    """None: it shows a page of its log, and not the last one."""
    skip = max(0, mark.count - 1) if mark and not mark.newest_first else 0
    end = _read(tree, path, skip, mark)
    if end is None or (mark and not end.newest_first and _is_lost(end, mark)):
        # It was cleared, or is longer than what was shown, or wrapped: its last page then.
        count = _count(tree.session.get(path)) if end is None or not end.members else end.count
        end = _read(tree, path, max(0, count - (MOST if mark else 1)), mark)
    return end


def _is_lost(end: _End, mark: LogMark) -> bool:
    """What was last is not in it, though as many entries as then are there."""
    return bool(mark.last) and mark.last not in map(_key, end.members)


def _read(tree: Tree, path: str, skip: int, mark: LogMark | None) -> _End | None:
    """From `skip` on ($skip, DSP0266 7.3). None: the end of the log is not in it."""
    members: list[Body] = []
    for page in islice(tree.session.pages(f"{path}?$skip={skip}" if skip else path), PAGES):
        members += entries_in(page)
        count = max(_count(page), len(members))
        newest_first = is_newest_first(members) or bool(mark and mark.newest_first)
        if newest_first and not skip:
            return _End(members[::-1], count, newest_first)
        # Some ignore $skip: they show all, or their first page, which another one follows.
        rests = len(members) + skip == count and not page.get("Members@odata.nextLink")
        if len(members) == count or rests or (skip >= count and not members):
            return _End(members, count, newest_first=False)
    return None


def _count(page: Body) -> int:
    count = page.get("Members@odata.count")
    return count if isinstance(count, int) else len(entries_in(page))


def _new(end: _End, mark: LogMark) -> list[Body]:
    """Nothing where what was last is gone: a BMC that shows its log in another way since its
    firmware was updated has history in it. Entries may well be alike, so their number counts."""
    keys, grown = ["", *map(_key, end.members)], end.count - mark.count
    if grown >= len(keys):
        return end.members if end.newest_first else []
    if grown:
        return end.members[-grown:] if keys[-grown - 1] == mark.last else []
    wrapped = mark.last in keys[1:]
    return end.members[len(keys) - 1 - keys[::-1].index(mark.last) :] if wrapped else []


def _key(member: Body) -> str:
    """What an entry is known by: not its number, as some BMCs number anew from look to look."""
    said = [str(member[key]) for key in ("Created", "Message") if member.get(key)]
    return " ".join(said) or link(member) or ""


def _whole(tree: Tree, member: Body) -> Body:
    if "Message" in member or "Created" in member:
        return member
    path = link(member)
    return next(tree.bodies(iter([path])), {}) if path else {}
