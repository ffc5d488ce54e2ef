"""The BMCs of the fleet, each asked once, side by side: one bad one never stops the others."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from metal.controller.progress import Progress
from metal.controller.sweeping import side_by_side
from metal.controller.targets import not_enrolled
from metal.controller.workspace import Workspace
from metal.inventory.mistakes import refuse_unknown
from metal.model.base import Frozen
from metal.model.errors import BadInput, MetalError

log = logging.getLogger(__name__)

WORKERS = 64
Result = TypeVar("Result", bound="Told")


class Told(Frozen):
    """What became of one server's BMC."""

    server: str
    error: str | None = None
    exit_code: int = 0


def chosen(workspace: Workspace, names: Sequence[str], *, everything: bool) -> list[list[str]]:
    """The servers that are meant, those behind one BMC together.

    `everything`: all that are enrolled. BadInput for a name that is no server's, or none at all.
    """
    inventory = workspace.inventory
    if names and everything:
        raise BadInput("servers are named, and --all is given", mend="give one of both")
    if not names and not everything:
        raise BadInput("name servers, or give --all", mend="metal server list")
    for name in names:
        refuse_unknown(name, inventory.servers, "server")
    left = set(not_enrolled(workspace)) if everything else set()
    wanted = [n for n in inventory.servers if n not in left] if everything else list(names)
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(wanted):
        groups.setdefault(inventory.behind(name)[0], []).append(name)
    return list(groups.values())


def left_out(workspace: Workspace) -> str:
    """What `everything` leaves out, and what to do about it; "" if that is nothing."""
    names = [n for n in not_enrolled(workspace) if workspace.inventory.servers[n].has_bmc]
    if not names:
        return ""
    return f"not enrolled, so not asked: {', '.join(names)}\n  → `metal enroll --all`"


def each(
    groups: Sequence[list[str]],
    verb: str,
    act: Callable[[list[str], threading.Event], list[Result]],
    failed: Callable[[str, str, int], Result],
    progress: Progress,
) -> list[Result]:
    """`act` on the servers behind each BMC; what it raises becomes `failed` of each of them."""
    stop = threading.Event()

    def one(names: list[str]) -> list[Result]:
        label = ", ".join(names)
        progress.begin(label, f"{verb} {label}")
        try:
            results = act(names, stop)
        except MetalError as error:
            results = [failed(name, str(error), error.exit_code) for name in names]
        except Exception as error:
            log.exception("%s %s", verb, label)
            why = f"{label}: a defect in metal: {type(error).__name__}: {error}"
            results = [failed(name, f"{why}\n  → report it", 1) for name in names]
        bad = next((r.error for r in results if r.error), "")
        progress.end(label, not bad, bad or "")
        return results

    nested = side_by_side(groups, one, workers=WORKERS, stop=stop)
    return [result for results in nested for result in results]
