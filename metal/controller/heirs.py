"""Who has the place of a server that its cluster has forgotten, by the journal."""

from collections.abc import Collection

from metal.model.life import Status
from metal.operations.journal import Journal

REPLACE = "cluster replace"
"""Kind of operation, and how the command is called that goes on with it."""


def heirs(journal: Journal, servers: Collection[str]) -> dict[str, str]:
    """Server that is none of `servers` any more → the one of them that has its place."""
    done = (o for o in journal.list() if o.kind == REPLACE and o.status is Status.DONE)
    found = {o.subject: str(o.params.get("heir", "")) for o in done}
    return {old: new for old, new in found.items() if new in servers and old not in servers}
