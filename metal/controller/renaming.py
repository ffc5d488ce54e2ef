"""Call a server otherwise: in the inventory, the store, the escrow and the pins.

A durable operation: killed anywhere, the same command goes on. Where somebody changed the name in
inventory.toml by hand, it moves what is still kept under the old one.
"""

import re
from collections.abc import Sequence
from itertools import takewhile

from metal.controller.examining import OURS
from metal.controller.workspace import Workspace
from metal.enroll.handover import slug
from metal.inventory.edit import edit
from metal.inventory.mistakes import suggest
from metal.inventory.renaming import renaming
from metal.model.errors import BadInput, Failed, Refused
from metal.model.fleet import NAME, OUTSIDE
from metal.model.life import Life, Status
from metal.operations.journal import Operation
from metal.operations.renaming import rename as rename_records
from metal.operations.run import Run, perform

KIND = "server rename"
SECRETS = ("bmc", "bmc-next", "disk", "disk-next", "header", "power", "root")
"""What secrets are called before the name of their server."""


def rename(workspace: Workspace, old: str, new: str) -> None:
    """BadInput for a name that is none; Refused where the server's own system has the name, or
    something is kept under `new` already. Failed if it could not be written; the same goes on."""
    subject, store = f"{old} {new}", workspace.store
    mine = [o for o in store.journal.list() if (o.kind, o.subject) == (KIND, subject)]
    if not any(o.open for o in mine):
        _check(workspace, old, new, before=bool(mine), begun=_begun(mine))
    operation = store.journal.open(KIND, subject, (f"server {old}", f"server {new}"), {})
    outcome = perform(store, operation, lambda run: _flow(run, workspace, old, new))
    workspace.reload()
    if outcome.status is not Status.DONE:
        what, _, mend = (outcome.error or str(outcome.status)).partition("\n  → ")
        again = f"the same again: metal server rename {old} {new}"
        raise Failed(what, where=old, mend=f"{mend}; then {again}" if mend else again)


def _begun(mine: Sequence[Operation]) -> bool:
    """Whether one was cancelled after the last that ended: what it moved is moved."""
    unfinished = takewhile(lambda o: o.status is not Status.DONE, reversed(mine))
    return any(o.status is Status.CANCELLED for o in unfinished)


def _flow(run: Run, workspace: Workspace, old: str, new: str) -> None:
    def move_secrets() -> None:
        for name in kept_as(workspace, old):
            workspace.secrets.rename(name, _called(name, new))

    run.step("inventory", lambda: edit(workspace.folder, [renaming(old, new)]))
    run.step("records", lambda: rename_records(workspace.store.database, old, new, run))
    run.step("secrets", move_secrets)
    run.step("pins", lambda: workspace.host_keys.rename(old, new))


def kept_as(workspace: Workspace, server: str) -> list[str]:
    """The secrets of a server of that name, whether the inventory has it or not."""
    parts = ((name, name.split("/")) for name in workspace.secrets.kept())
    return [n for n, (kind, *rest) in parts if kind in SECRETS and rest[:1] == [server]]


def _called(secret: str, server: str) -> str:
    kind, _, *rest = secret.split("/")
    return "/".join((kind, server, *rest))


def _check(workspace: Workspace, old: str, new: str, *, before: bool, begun: bool) -> None:
    """`before`: the same was asked for before, and is done. `begun`: or it is half done, and what
    is kept under `new` may be its own; what is another's is refused file by file then."""
    inventory = workspace.inventory
    if not re.fullmatch(NAME, new):
        near = slug(new)
        raise BadInput(
            "is no name for a server: it becomes its host name",
            where=repr(new),
            mend=f"such as {near}" if near else "lower-case letters, digits and hyphens",
        )
    if new == OUTSIDE:
        what = "is where Tang servers of others run: no server can be called so"
        raise BadInput(what, where=repr(new), mend="choose another name")
    if new == old:
        raise BadInput("it is called so already", where=old, mend="give the name it is to get")
    life, secrets = workspace.life(old), kept_as(workspace, old)
    if (
        old not in inventory.servers
        and not before
        and not (new in inventory.servers and (secrets or life is not Life.FOUND))
    ):
        mend = suggest(old, inventory.servers, "server")
        what = f"there is no server {old}, and nothing is kept under that name"
        raise BadInput(what, where="inventory.toml", mend=mend)
    if old in inventory.servers and new in {*inventory.servers, *inventory.vms}:
        what = f"there is a {new} in the inventory already"
        raise Refused(what, where=old, mend="choose another name")
    if life in OURS:
        raise Refused(
            f"it is {life}: its own system is called {old}, and so is its node",
            where=old,
            mend="release it first, and install it anew under its new name"
            if old in inventory.servers
            else f"call it {old} in inventory.toml again",
        )
    pins = workspace.host_keys
    if pins.knows(new) and (old in inventory.servers or pins.knows(old)):
        raise Refused(
            f"host keys are pinned for a server that was called {new}: pins/{new}",
            where=old,
            mend=f"take pins/{new} away if that server is gone; else choose another name",
        )
    taken = kept_as(workspace, new)
    if (taken and secrets and not begun) or (
        life is not Life.FOUND and workspace.life(new) is not Life.FOUND
    ):
        raise Refused(
            f"something is kept under the name {new} already: {', '.join(taken) or 'its record'}",
            where=old,
            mend=f"choose another name; secrets/ tells what belongs to {new}",
        )
