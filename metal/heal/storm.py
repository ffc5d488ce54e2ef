"""When not to act: too much at once, or again and again. Pure.

A cure that is repeated kills more than the disease: a watcher that is wrong about one server is
wrong about the next, and a server that fails every hour is moved off and on for ever.
"""

from collections.abc import Sequence
from typing import TypeVar

from metal.heal.past import History
from metal.model.plan import DrainServer, RecoverServer, count
from metal.model.watch import WatchPolicy

HOUR = 3600.0
_Heal = TypeVar("_Heal", bound=RecoverServer | DrainServer)


def restrain(
    actions: Sequence[_Heal], history: History, policy: WatchPolicy
) -> tuple[tuple[_Heal, ...], str]:
    """(the actions that may be taken, why some may not or "").

    Recoveries go first: what is down already gains more than what still runs.
    """
    done = sum(ago < HOUR for ago in history.acted)
    room = max(0, policy.actions_an_hour - done)
    ordered = sorted(actions, key=lambda action: isinstance(action, DrainServer))
    if len(ordered) <= room:
        return tuple(ordered), ""
    kept, left = ordered[:room], ordered[room:]
    names = ", ".join(action.server for action in left)
    text = (
        f"{count(done + len(ordered), 'server')} in trouble within an hour, and metal acts on "
        f"{policy.actions_an_hour} at most: nothing is done about {names}. If this is no common "
        "cause, raise `actions_an_hour` in [watch], or act by hand: `metal drain`, "
        "`metal power off`."
    )
    return tuple(kept), text


def flapping(server: str, history: History, policy: WatchPolicy) -> bool:
    """Whether it failed so often that it is to be kept out, however well it looks now."""
    return history.failures.get(server, 0) >= policy.flaps
