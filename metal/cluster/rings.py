"""Give corosync of a running cluster the links that the inventory says.

Each node tries the new file under a dead man's switch of its own, for a cluster that falls apart
can tell no node anything. It is kept, and made the cluster's, once every link of every node gets
through.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from metal.cluster.doubts import Doubts, is_well, no_doubt
from metal.model.errors import Refused
from metal.model.plan import SetRings
from metal.network.engines.corosync import changed
from metal.operations.run import Run

TRIES = 4
NEVER = float("inf")
"""When a node takes its old links back that has these links already."""


class RingShell(Protocol):
    """Root's shell on a node. Every call may be repeated."""

    def config(self) -> str: ...
    def try_config(self, text: str, seconds: float) -> bool: ...
    def keep_config(self, text: str) -> bool | None: ...
    def share_config(self, text: str) -> None: ...
    def lost_links(self, text: str) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class RingPorts:
    """For one cluster."""

    shell: Callable[[str], RingShell]
    doubts: Doubts
    every: float = 1.0
    trial: float = 40.0
    """Seconds after which a node takes its old links back: sooner than a watchdog would fence."""
    monotonic: Callable[[], float] = time.monotonic


def change_rings(run: Run, action: SetRings, ports: RingPorts) -> dict[str, str]:
    nodes = tuple(action.rings)
    run.step("all of it is well", partial(_no_doubt, ports, action.cluster))
    texts = run.step("read its links", partial(_texts, ports, nodes[0], action.rings))
    for number, text in enumerate(texts, 1):
        run.progress(number / (len(texts) + 1), f"links of {action.cluster}, {number}. change")
        tried: dict[str, float] = {}
        run.wait(
            f"every link gets through ({number} of {len(texts)})",
            partial(_through, ports, nodes, text, tried),
            seconds=3 * ports.trial,
            every=ports.every,
            late=f"{action.cluster}: not every link got through, and its old ones are back",
        )
        run.step(
            f"make it the cluster's ({number} of {len(texts)})",
            partial(ports.shell(nodes[0]).share_config, text),
            tries=TRIES,
            backoff=ports.every,
        )
    return {"cluster": action.cluster}


def _texts(ports: RingPorts, node: str, rings: Mapping[str, Sequence[str]]) -> list[str]:
    try:
        return changed(ports.shell(node).config(), rings)
    except ValueError as error:
        raise Refused(
            f"its corosync.conf is not as it should be: {error}",
            where=node,
            mend="see /etc/pve/corosync.conf there, and `pvecm status`",
        ) from error


def _through(
    ports: RingPorts, nodes: Sequence[str], text: str, tried: dict[str, float]
) -> bool | None:
    """Each process begins once on each node. Kept by none before every link of all is there: once
    the time is over they have the old ones, and the first that is asked says so."""
    for node in nodes:
        if node not in tried:
            begun = ports.shell(node).try_config(text, ports.trial)
            tried[node] = ports.monotonic() + ports.trial if begun else NEVER
    over = ports.monotonic() > min(tried.values())
    if not over and (_lost(ports, nodes, text) or not is_well(ports.doubts)):
        return None
    kept = [ports.shell(node).keep_config(text) for node in nodes if tried[node] < NEVER]
    return True if all(kept) else None


def _lost(ports: RingPorts, nodes: Sequence[str], text: str) -> bool:
    return any(ports.shell(node).lost_links(text) for node in nodes)


def _no_doubt(ports: RingPorts, cluster: str) -> None:
    no_doubt(
        ports.doubts,
        where=cluster,
        what="its links are not touched",
        mend="links change only while all of it is well",
    )
