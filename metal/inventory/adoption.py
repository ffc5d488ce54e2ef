"""Write what an adoption found: tables that are not there are added, others get its keys."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from metal.inventory.edit import Change, Data
from metal.inventory.splice import Splicer

Table = tuple[tuple[str, ...], Mapping[str, Any]]


def tables(wanted: Sequence[Table]) -> Change:
    """Every table holds its keys; all else, comments included, stays as it is."""

    def make(splicer: Splicer, data: Data, file: Path) -> None:
        for path, pairs in wanted:
            there = _reach(data, path)
            if there is None:
                _put(data, path, dict(deepcopy(pairs)))
                splicer.append_table(path, pairs, after=_beside(splicer, path))
            else:
                there.update(deepcopy(dict(pairs)))
                splicer.update(path, pairs)

    return Change(make)


def _reach(data: Data, path: tuple[str, ...]) -> Data | None:
    found: Any = data
    for part in path:
        if not isinstance(found, dict) or part not in found:
            return None
        found = found[part]
    return found if isinstance(found, dict) else None


def _put(data: Data, path: tuple[str, ...], value: Data) -> None:
    for part in path[:-1]:
        data = data.setdefault(part, {})
    data[path[-1]] = value


def _beside(splicer: Splicer, path: tuple[str, ...]) -> tuple[str, ...]:
    """Behind the table it belongs to; one that is new itself goes behind the section's last."""
    for above in (path[:-1], path[:1]):
        if any(p[: len(above)] == above for p in splicer.found.tables):
            return above
    return ()
