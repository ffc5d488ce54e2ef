"""A server is called otherwise from now on; its comments and its place in the file stay."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metal.inventory import positions
from metal.inventory.edit import Change, Data, none_is_called
from metal.inventory.mistakes import suggest
from metal.inventory.splice import Splicer
from metal.model.errors import BadInput

CLUSTER_NAME = 15
"""Characters that Proxmox allows."""
BY_SERVER = (("clusters", "servers"), ("vms", "home"), ("tang", "runs_on"))
BY_CLUSTER = (("vms", "cluster"), ("vms", "prefers"))
"""(section, key) whose values name a server, or a cluster."""


def renaming(old: str, new: str) -> Change:
    """`old` is `new`, wherever the inventory names it, and so is a cluster of that name that it
    has for itself. Done already where there is no `old` any more.

    BadInput if there is neither; Taken if a server or VM is called `new`.
    """

    def make(splicer: Splicer, data: Data, file: Path) -> None:
        servers = data.get("servers", {})
        if old not in servers and new in servers:
            return
        if old not in servers:
            mend = suggest(old, servers, "server")
            raise BadInput(f"there is no server {old}", where=str(file), mend=mend)
        none_is_called(new, servers, "server", file)
        none_is_called(new, data.get("vms", {}), "VM", file)
        _rename(splicer, data, "servers", old, new, BY_SERVER)
        clusters = data.get("clusters", {})
        alone = clusters.get(old, {}).get("servers") == [new]
        if alone and new not in clusters and len(new) <= CLUSTER_NAME:
            _rename(splicer, data, "clusters", old, new, BY_CLUSTER)

    return Change(make)


def _rename(
    splicer: Splicer,
    data: Data,
    section: str,
    old: str,
    new: str,
    named: tuple[tuple[str, str], ...],
) -> None:
    data[section] = {new if n == old else n: body for n, body in data[section].items()}
    splicer.rename((section, old), new)
    for where, key in named:
        for name, table in data.get(where, {}).items():
            value = table.get(key)
            for path in _at((where, name, key), value, old):
                splicer.replace(path, new)
            if isinstance(value, list):
                table[key] = [new if item == old else item for item in value]
            elif value == old:
                table[key] = new


def _at(path: positions.Path, value: Any, old: str) -> Iterator[positions.Path]:
    if value == old:
        yield path
    elif isinstance(value, list):
        yield from ((*path, i) for i, item in enumerate(value) if item == old)
