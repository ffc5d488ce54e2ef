"""Servers that inventory.toml has no more, or not by that name, while their passwords are kept."""

from collections.abc import Iterator
from dataclasses import dataclass

from metal.controller.targets import has_store
from metal.controller.workspace import Workspace
from metal.drivers.bmc import shown_fingerprint
from metal.enroll.door import secret_name
from metal.enroll.identity import same
from metal.model.errors import MetalError, Refused
from metal.model.facts import Facts
from metal.model.fleet import BmcAccess, Server

WAY_IN = "way in"
"""The record of how a server's BMC was reached when it was taken over: a BmcAccess."""


@dataclass(frozen=True)
class Gone:
    """A server of which the inventory has nothing, and the controller a password."""

    name: str
    facts: Facts
    way_in: BmcAccess


def former(workspace: Workspace, server: str) -> str | None:
    """The name that this server of the inventory had when its password was escrowed: one that the
    inventory has no more, by what was learned of it or its BMC's certificate. None where none is
    known: another machine may stand at the same address."""
    mine = workspace.inventory.servers[server]
    return next((gone.name for gone in _gone(workspace) if _is(gone, mine)), None)


def _is(gone: Gone, mine: Server) -> bool:
    if mine.learned:
        return same(gone.facts, mine.learned)
    kept, bmc = gone.way_in, mine.bmc
    pinned = bmc.fingerprint is not None and bmc.fingerprint == kept.fingerprint
    return pinned and _place(kept) == _place(bmc) and kept.node == bmc.node


def gone_from(workspace: Workspace, asked: BmcAccess) -> Gone | None:
    """The server that was taken over at that BMC and that the inventory has no more. None also
    where another certificate is shown, or none (IPMI): its password is for no other machine."""
    here = (gone for gone in _gone(workspace) if _place(gone.way_in) == _place(asked))
    gone = next((gone for gone in here if gone.way_in.fingerprint), None)
    if gone is None:
        return None
    try:
        shown = shown_fingerprint(gone.way_in)
    except MetalError:
        return None
    return gone if shown == gone.way_in.fingerprint else None


def _place(access: BmcAccess) -> tuple[str, int | None]:
    return access.address.lower(), access.port


def _gone(workspace: Workspace) -> Iterator[Gone]:
    if not has_store(workspace):
        return
    ways = workspace.store.records.all(WAY_IN)
    for name, record in workspace.store.records.all("facts").items():
        known = name in workspace.inventory.servers
        if known or not workspace.secrets.holds(secret_name(name)):
            continue
        try:
            way_in = BmcAccess.model_validate(ways[name].body) if name in ways else BmcAccess()
            yield Gone(name, Facts.model_validate(record.body), way_in)
        except ValueError:
            continue  # another version of metal wrote it


def refuse_renamed(workspace: Workspace, server: str) -> None:
    """Refused where the password of its BMC is kept under its former name: none that a person
    gives would open it."""
    if old := former(workspace, server):
        raise Refused(
            f"its BMC's password is kept under the name {old}, which the inventory has no more",
            where=server,
            mend=f"move what is kept: metal server rename {old} {server}",
        )
