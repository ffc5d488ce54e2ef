"""A burn-in that was interrupted goes on by the same command, and by no other."""

from typing import Any

from metal.burnin.flow import KIND
from metal.controller.workspace import Workspace
from metal.model.errors import Refused


def refuse_other_wishes(workspace: Workspace, server: str, params: dict[str, Any]) -> None:
    """Refused while a burn-in of `server` with other wishes is open: that one is named.

    `params`: {"minutes", "overwrite"}, as the operation keeps them.
    """
    for other in workspace.store.journal.list(open_only=True):
        if (other.kind, other.subject) == (KIND, server) and other.params != params:
            raise Refused(
                f"a burn-in {_words(other.params)} is "
                f"{'running' if other.alive else 'not finished'}, and this would be one "
                f"{_words(params)}",
                where=server,
                mend=f"`metal burnin {server}{_options(other.params)}` goes on with it; "
                f"metal run cancel {other.id} gives it up",
            )


def _words(params: dict[str, Any]) -> str:
    minutes = params.get("minutes", 0)
    plural = "" if minutes == 1 else "s"
    writes = " that writes on blank disks" if params.get("overwrite") else ""
    return f"of {minutes:g} minute{plural}{writes}"


def _options(params: dict[str, Any]) -> str:
    blank = " --overwrite-blank-disks" if params.get("overwrite") else ""
    return f" --minutes {params.get('minutes', 0):g}{blank}"
