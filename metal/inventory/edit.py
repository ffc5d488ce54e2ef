"""Edits of inventory.toml that keep its comments, its order and every other byte.

An edit is tried before it is written: the new text must load and hold exactly what was asked.
The file is replaced at once or not at all, and two processes never lose each other's edits.
"""

import fcntl
import os
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from metal.inventory.loading import load
from metal.inventory.mistakes import suggest
from metal.inventory.splice import WIDTH, CannotSplice, Splicer, pair
from metal.model.errors import BadInput, Failed, Refused
from metal.model.fleet import BmcAccess, Learned, Server

Data = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """One edit, to be made with others or alone: of the text, and of the data it must then hold."""

    make: Callable[[Splicer, Data, Path], None]


class KnownBmc(Refused):
    """Another server of the inventory has that BMC; `server` is its name."""

    def __init__(self, server: str, address: str, file: Path) -> None:
        super().__init__(
            f"the BMC {address} is that of {server} already",
            where=str(file),
            mend=f"enrol {server}",
        )
        self.server = server


class Taken(Refused):
    """The name of a new server, of its own cluster, or its address is another's already."""


def record_server(workspace: Path, name: str, learned: Learned, bmc: Data) -> None:
    """Write what enrolment learned: [servers.NAME.learned] and the fields of `bmc` given.

    `bmc` has keys of BmcAccess; None takes one away, those not given stay. The same data again
    leaves the file untouched. BadInput for an unknown server or field, InventoryErrors if the
    inventory would not load with it (a MAC address that another server has), Failed if it
    could not be written; nothing is changed then.
    """
    edit(workspace, [recording(name, learned, bmc)])


def recording(name: str, learned: Learned, bmc: Data) -> Change:
    """What `record_server` does."""
    facts = learned.model_dump(mode="json", exclude_none=True)
    facts = {key: facts.get(key) or None for key in Learned.model_fields}

    def make(splicer: Splicer, data: Data, file: Path) -> None:
        server = _server(data, name)
        _merge(server.setdefault("bmc", {}), bmc)
        _merge(server.setdefault("learned", {}), facts)
        _valid(BmcAccess.model_validate, server["bmc"], name)
        splicer.update(("servers", name, "bmc"), bmc)
        splicer.update(("servers", name, "learned"), facts)

    return Change(make)


def add_server(
    workspace: Path,
    name: str,
    *,
    site: str,
    rack: str,
    profile: str,
    address: str,
    bmc: Data,
    unit: int | None = None,
    boot_mac: str | None = None,
    cluster: str | None = None,
    learned: Learned | None = None,
) -> None:
    """Write a server that is not in the inventory yet, and put it into a cluster.

    `cluster` may be there already (the server is added at its end) or be new; without one the
    server becomes a cluster of its own, by its own name. KnownBmc if another server has that BMC,
    Taken if another has the name or the address.
    """
    wanted: Data = {
        "site": site,
        "rack": rack,
        "unit": unit,
        "profile": profile,
        "address": address,
        "boot_mac": boot_mac,
        "bmc": {k: v for k, v in bmc.items() if v is not None},
    }
    edit(workspace, [adding(name, wanted, cluster=cluster, learned=learned)])


def adding(
    name: str,
    wanted: Data,
    *,
    cluster: str | None = None,
    learned: Learned | None = None,
    alone: bool = False,
) -> Change:
    """What `add_server` does; `wanted` has the keys of Server. `alone`: in a cluster of its own,
    Taken if there is one of that name."""
    wanted = {k: v for k, v in wanted.items() if v is not None}
    _valid(Server.model_validate, wanted, name)
    home = cluster or name
    facts = learned.model_dump(mode="json", exclude_none=True) if learned else {}
    facts = {key: value for key, value in facts.items() if value}

    def make(splicer: Splicer, data: Data, file: Path) -> None:
        servers = data.setdefault("servers", {})
        clusters = data.setdefault("clusters", {})
        _no_other_has(wanted["bmc"], servers, file)  # first of all: that is the same server
        none_is_called(name, servers, "server", file)
        none_is_called(home if alone else "", clusters, "cluster", file)
        _no_other_stands_at(wanted["address"], servers, file)
        servers[name] = deepcopy(wanted)
        own = dict(wanted)
        bmc = own.pop("bmc") if len(pair("bmc", wanted["bmc"])) > WIDTH else None
        splicer.append_table(("servers", name), own, after=("servers",))
        if bmc:
            splicer.append_table(("servers", name, "bmc"), bmc, after=("servers",))
        if facts:
            servers[name]["learned"] = facts
            splicer.append_table(("servers", name, "learned"), facts, after=("servers",))
        if home in clusters:
            clusters[home]["servers"].append(name)
            splicer.append_item(("clusters", home, "servers"), name)
        else:
            clusters[home] = {"servers": [name], "ceph": False}
            splicer.append_table(("clusters", home), clusters[home], after=("clusters",))

    return Change(make)


def _no_other_has(bmc: Data, servers: Data, file: Path) -> None:
    mine = [bmc.get(key) for key in ("address", "port", "node")]
    for name, server in servers.items():
        other = server.get("bmc") if isinstance(server, dict) else None
        if isinstance(other, dict) and [other.get(k) for k in ("address", "port", "node")] == mine:
            raise KnownBmc(name, str(bmc["address"]), file)


def none_is_called(name: str, others: Data, kind: str, file: Path) -> None:
    if name in others:
        raise Taken(
            f"there is a {kind} {name} already", where=str(file), mend="choose another name"
        )


def _no_other_stands_at(address: str, servers: Data, file: Path) -> None:
    for name, server in servers.items():
        if isinstance(server, dict) and server.get("address") == address:
            raise Taken(
                f"{address} is the address of {name}", where=str(file), mend="choose another"
            )


def _server(data: Data, name: str) -> Data:
    servers = data.get("servers", {})
    if name not in servers:
        raise BadInput(
            f"there is no server {name}",
            where="inventory.toml",
            mend=suggest(name, servers, "server"),
        )
    return dict(servers)[name]  # type: ignore[no-any-return]


def _merge(into: Data, pairs: Data) -> None:
    into.update(pairs)
    for key in [k for k, v in into.items() if v is None]:
        del into[key]


def _valid(validate: Callable[[Data], object], data: Data, name: str) -> None:
    try:
        validate(data)
    except ValidationError as error:
        # Not the values: a caller that mistook a password for a field must not print it.
        fields = ", ".join(".".join(map(str, e["loc"])) for e in error.errors())
        raise BadInput(f"bad {fields}", where=f"server {name}", mend="correct it") from None


def edit(workspace: Path, changes: Sequence[Change]) -> None:
    """Make all the changes or none, under a lock: read, splice, check the outcome, replace."""
    file = (workspace / "inventory.toml").resolve()
    with _locked(file.parent):
        try:
            text = file.read_bytes().decode()
            splicer = Splicer(text)
        except (OSError, ValueError):
            load(workspace)  # says what is wrong with it, and where
            raise
        wanted = deepcopy(splicer.data)
        try:
            for change in changes:
                change.make(splicer, wanted, file)
        except CannotSplice as unknown:
            raise _hand_work(file, str(unknown)) from None
        new = splicer.result()
        if new == text:
            return
        try:
            sound = tomllib.loads(new) == wanted
        except tomllib.TOMLDecodeError:
            sound = False
        if not sound:
            raise _hand_work(file, "servers")
        load(workspace, new)
        _replace(file, new)


def _hand_work(file: Path, what: str) -> Failed:
    return Failed(
        f"`{what}` is written in a way that metal does not know how to edit",
        where=str(file),
        mend="write each server under a header of its own, [servers.NAME], and try again",
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One editor at a time. The folder is locked: the file itself is replaced by each edit."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _replace(file: Path, text: str) -> None:
    """The whole new file or the whole old one, whatever happens; its mode stays."""
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        with os.fdopen(handle, "wb") as out:
            out.write(text.encode())
            out.flush()
            os.fchmod(out.fileno(), file.stat().st_mode & 0o7777)
            os.fsync(out.fileno())
        Path(temporary).replace(file)
    except OSError as error:
        with suppress(OSError):
            if temporary:
                Path(temporary).unlink()
        raise Failed(
            f"cannot be written: {error.strerror}",
            where=str(file),
            mend="make room or correct the permissions; the file is as it was",
        ) from error
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
