"""From a request to its handler: path, who calls, parameters, quorum, the way to other nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from metal.lab.proxmox import access, tasks
from metal.lab.proxmox.answers import wrong
from metal.lab.proxmox.errors import ApiError
from metal.lab.proxmox.schema import judge, schema
from metal.lab.proxmox.state import Cluster, Node

if TYPE_CHECKING:
    from metal.lab.proxmox.datacenter import Datacenter


@dataclass(frozen=True)
class Call:
    """One request that may be answered."""

    dc: Datacenter
    node: Node
    """Who does it: for /nodes/{node}/… that node, however it was reached."""
    caller: access.Caller
    params: dict[str, Any]
    """Those of the path too, well-typed."""

    @property
    def cluster(self) -> Cluster:
        return self.node.cluster

    @property
    def now(self) -> float:
        return self.dc.timeline.now

    def task(self, kind: str, ident: str, work: tasks.Work) -> str:
        """Begin a task on the node; its UPID."""
        return tasks.begin(self.dc, self.node, kind, ident, self.caller.name, work).upid

    def without(self, *names: str) -> dict[str, Any]:
        return {name: value for name, value in self.params.items() if name not in names}


Handler = Callable[[Call], Any]
HANDLERS: dict[tuple[str, str], Handler] = {}


def handles(method: str, path: str) -> Callable[[Handler], Handler]:
    """The function answers `method` of the schema's `path`."""

    def register(handler: Handler) -> Handler:
        assert method in schema().paths[path], f"{method} {path} is not carried"
        HANDLERS[method, path] = handler
        return handler

    return register


def answer(
    dc: Datacenter,
    asked: Node,
    method: str,
    path: str,
    given: dict[str, Any],
    headers: dict[str, str],
) -> Any:
    """What `asked` answers; ApiError for everything else."""
    known = schema(asked.major)
    template, inside = known.find(method, path)
    call = known.paths[template][method]
    caller = access.WORLD
    if dc.timeline.now < asked.silent_until:
        raise ApiError(401, "authentication failure")
    if call.get("permissions", {}).get("user") != "world":
        caller = access.identify(asked.cluster, method, headers)
    node = _responsible(dc, asked, inside.get("node") if call.get("proxyto") == "node" else None)
    params = judge(call.get("parameters", {}), given | inside)
    access.allow(asked.cluster, caller, call, params)
    handler = HANDLERS.get((method, template))
    if handler is None:
        raise ApiError(501, f"The lab does not simulate '{method} {template}'")
    if method != "GET" and template != "/access/ticket" and not node.quorate(dc.timeline.now):
        raise ApiError(500, "no quorum")
    told = handler(Call(dc, node, caller, params))
    if dc.judging and (found := list(wrong(call.get("returns"), told))):
        dc.misstated += [f"{method} {template}: {complaint}" for complaint in found]
    return told


def _responsible(dc: Datacenter, asked: Node, name: str | None) -> Node:
    """The node that a call is proxied to."""
    if name is None or name in (asked.name, "localhost"):
        return asked
    other = asked.cluster.members.get(name)
    if other is None:
        raise ApiError(
            500,
            f"hostname lookup '{name}' failed - failed to get address info for: {name}: "
            "Name or service not known",
        )
    if not (other.answers and asked.answers):
        raise ApiError(595, "No route to host")
    return other
