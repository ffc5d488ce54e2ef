"""Edits of inventory.toml that keep its comments, its order and every other byte.

An edit is tried before it is written: the new text must load and hold exactly what was asked.
The file is replaced at once or not at all, and two processes never lose each other's edits.
"""

import fcntl
import os
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from metal.inventory.loading import load
from metal.inventory.mistakes import suggest
from metal.inventory.splice import CannotSplice, Splicer
from metal.model.errors import BadInput, Failed, Refused
from metal.model.fleet import BmcAccess, Learned, Server

Data = dict[str, Any]


def record_server(workspace: Path, name: str, learned: Learned, bmc: Data) -> None:
    """Write what enrolment learned: [servers.NAME.learned] and the fields of `bmc` given.

    `bmc` has keys of BmcAccess; None takes one away, those not given stay. The same data again
    leaves the file untouched. BadInput for an unknown server or field, InventoryErrors if the
    inventory would not load with it (a MAC address that another server has), Failed if it
    could not be written; nothing is changed then.
    """
    facts = learned.model_dump(mode="json", exclude_none=True)
    facts = {key: facts.get(key) or None for key in Learned.model_fields}

    def change(splicer: Splicer, data: Data) -> None:
        server = _server(data, name)
        _merge(server.setdefault("bmc", {}), bmc)
        _merge(server.setdefault("learned", {}), facts)
        _valid(BmcAccess.model_validate, server["bmc"], name)
        splicer.update(("servers", name, "bmc"), bmc)
        splicer.update(("servers", name, "learned"), facts)

    _edit(workspace, change)


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
) -> None:
    """Write a server that is not in the inventory yet, and put it into a cluster.

    `cluster` may be there already (the server is added at its end) or be new; without one the
    server becomes a cluster of its own, by its own name. Refused if the server is there already.
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
    wanted = {k: v for k, v in wanted.items() if v is not None}
    _valid(Server.model_validate, wanted, name)
    home = cluster or name

    def change(splicer: Splicer, data: Data) -> None:
        if name in data.get("servers", {}):
            raise Refused(
                f"there is a server {name} already",
                where=str(workspace / "inventory.toml"),
                mend="choose another name",
            )
        data.setdefault("servers", {})[name] = wanted
        splicer.append_table(("servers", name), wanted, after=("servers",))
        clusters = data.setdefault("clusters", {})
        if home in clusters:
            clusters[home]["servers"].append(name)
            splicer.append_item(("clusters", home, "servers"), name)
        else:
            clusters[home] = {"servers": [name], "ceph": False}
            splicer.append_table(("clusters", home), clusters[home], after=("clusters",))

    _edit(workspace, change)


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


def _edit(workspace: Path, change: Callable[[Splicer, Data], None]) -> None:
    """Change the file under a lock: read, splice, check the outcome, replace."""
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
            change(splicer, wanted)
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
