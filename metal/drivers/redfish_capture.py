"""A live BMC → its tree of resources, path → body, with every secret taken out.

Polite: one session, one request after the other, bounded in number, size and time. What tells
nothing of the machine (schemas, registries, telemetry, certificates) is not fetched, and of long
logs the beginning is enough.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from metal.drivers.redfish_session import ROOT, Body, RedfishSession
from metal.drivers.redfish_shape import items
from metal.drivers.scrubbing import scrubbed
from metal.model.errors import Failed, Unreachable

MOST = 3000
"""Resources."""
LARGEST = 150_000
"""Characters of one body: what is longer is a registry or a dump."""
ENTRIES = 50
"""Of each log."""
SKIPPED = re.compile(
    r"/(?:JsonSchemas|Registries|TelemetryService|CertificateService|TaskService|EventService"
    r"|SessionService/Sessions)(?:/|$)|\$metadata|/odata$|/Assembly$",
    re.IGNORECASE,
)


def capture(
    session: RedfishSession, *, seconds: float, seen: Callable[[int], None] = lambda _n: None
) -> dict[str, Body]:
    """The tree from the root down, at most MOST resources, for at most `seconds`.

    A resource that cannot be read is left out: its link dangles, as it did on the machine.
    Unreachable when the BMC goes away altogether.
    """
    tree: dict[str, Body] = {}
    waiting, known = deque([ROOT]), {ROOT.rstrip("/")}
    deadline, lost = time.monotonic() + seconds, 0
    while waiting and len(tree) < MOST and time.monotonic() < deadline:
        path = waiting.popleft()
        try:
            body = session.get(path)
        except Failed:
            continue
        except Unreachable:
            lost += 1
            if lost == 3:
                raise
            continue
        if not body or len(str(body)) > LARGEST:
            continue
        body = _whole(session, body, path)
        tree[path if path == ROOT else path.rstrip("/")] = session.without_password(scrubbed(body))
        seen(len(tree))
        for target in _links(body, path):
            if target.rstrip("/") not in known:
                known.add(target.rstrip("/"))
                waiting.append(target)
    return tree


def _whole(session: RedfishSession, body: Body, path: str) -> Body:
    """A collection that comes in pages as one; of a log its first page is enough."""
    whole = {k: v for k, v in body.items() if not k.endswith("@odata.nextLink")}
    if len(whole) == len(body) or "/LogServices/" in path:
        return whole
    return whole | {
        "Members": [m for page in session.pages(path) for m in items(page.get("Members"))]
    }


def _links(body: Body, path: str) -> Iterator[str]:
    """Paths that a body points to, in its order; of a log only the first entries."""
    left = ENTRIES if re.search(r"/LogServices/.+/Entries/?$", path) else MOST
    for target in _targets(body):
        plain = target.partition("#")[0]
        if not plain.startswith("/redfish/") or SKIPPED.search(plain):
            continue
        if plain.rstrip("/").startswith(path.rstrip("/") + "/"):
            left -= 1
            if left < 0:
                continue
        yield plain


def _targets(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("@odata.id", "@Redfish.ActionInfo") and isinstance(inner, str):
                yield inner
            else:
                yield from _targets(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _targets(inner)
