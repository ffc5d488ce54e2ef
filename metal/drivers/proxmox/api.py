"""The cluster's API: reads go to a node that answers, writes look before they are repeated."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from metal.drivers.proxmox.node import ApiError, Node, is_busy, no_proxmox
from metal.drivers.proxmox.patience import Patience
from metal.model.errors import Failed, MetalError, Refused, Unreachable

log = logging.getLogger("metal.proxmox")


@dataclass(frozen=True)
class Standing:
    """What one node says of the cluster it is in: GET /cluster/status."""

    name: str | None
    """None: it is in no cluster."""
    quorate: bool
    nodes: dict[str, bool]
    """Members and whether they are online, as that node sees it."""

    @classmethod
    def of(cls, node: Node) -> "Standing":
        rows = node.get("cluster/status")
        try:
            cluster = next((r for r in rows if r["type"] == "cluster"), None)
            nodes = {r["name"]: bool(r.get("online")) for r in rows if r["type"] == "node"}
            if cluster is None:
                return cls(None, True, nodes)
            return cls(cluster["name"], bool(cluster.get("quorate")), nodes)
        except (TypeError, KeyError, AttributeError):
            raise no_proxmox(node.name) from None


class TaskFailed(Failed):
    """Its call answered 200 with a UPID; the task did not succeed."""

    @property
    def busy(self) -> bool:
        """Somebody else holds the lock: the same call may work in a moment."""
        return is_busy(self.what)


class Api:
    """Several nodes, one of them in use until it stops answering."""

    def __init__(self, nodes: dict[str, Node], patience: Patience) -> None:
        self.nodes, self.patience = nodes, patience
        self.silent: dict[str, str] = {}
        """Node → why it could not be asked, as of the last choice."""
        self._chosen: Node | None = None
        self._warnings: list[str] = []

    def choose(self) -> tuple[Node, Standing]:
        """A node to talk to: of a quorate cluster, else of any cluster, else any that answers.

        Unreachable if none answers; Refused if those that do let nobody in.
        """
        self.silent, found = {}, []
        errors: list[MetalError] = []
        for node in self._last_good_first():
            try:
                standing = Standing.of(node)
            except (Unreachable, Refused, ApiError) as error:
                self.silent[node.name] = error.what
                errors.append(error)
                continue
            found.append((node, standing))
            if standing.name and standing.quorate:
                break
        if not found:
            raise self._nobody(errors)
        best = max(found, key=lambda f: (bool(f[1].name) and f[1].quorate, bool(f[1].name)))
        self._chosen = best[0]
        return best

    def node(self) -> Node:
        """The node in use."""
        return self._chosen or self.choose()[0]

    def standing(self) -> Standing:
        """Of the node in use; one that has lost touch with the others is not asked any longer."""
        try:
            standing = Standing.of(self.node())
        except Unreachable:
            return self.choose()[1]
        return standing if standing.quorate else self.choose()[1]

    def forget(self) -> None:
        """Choose anew at the next call: the cluster has changed."""
        self._chosen = None

    def get(self, path: str, **params: Any) -> Any:
        """Read through a node that answers; on silence through the next one, once."""
        try:
            return self.node().get(path, **params)
        except Unreachable:
            return self.choose()[0].get(path, **params)

    def post(self, path: str, params: dict[str, Any] | None = None) -> Any:
        return self.node().post(path, params)

    def put(self, path: str, params: dict[str, Any] | None = None) -> Any:
        return self.node().put(path, params)

    def delete(self, path: str, params: dict[str, Any] | None = None) -> Any:
        return self.node().delete(path, params)

    def run(
        self, path: str, params: dict[str, Any] | None = None, seconds: float | None = None
    ) -> None:
        """POST a call that answers a UPID and follow that task to its end."""
        upid = self.post(path, params)
        if isinstance(upid, str) and upid.startswith("UPID:"):
            self.follow(upid, seconds=seconds)

    def follow(self, upid: str, through: Node | None = None, seconds: float | None = None) -> None:
        """Wait for the end of a task. Failed with the last lines of its log if it failed."""
        read = through.get if through else self.get
        node = upid.split(":")[1]
        path = f"nodes/{node}/tasks/{upid}"
        seen: dict[str, Any] = {}

        def ended() -> bool:
            seen.update(read(f"{path}/status"))
            return bool(seen["status"] == "stopped")

        self.patience.until(
            ended,
            seconds=self.patience.task if seconds is None else seconds,
            late="the task did not end",
            where=node,
        )
        result = str(seen.get("exitstatus", "no exit status"))
        if result.startswith("WARNINGS"):
            lines = "; ".join(self._warned(read, path))
            self._warnings.append(f"{node}: task {seen.get('type')} ended with {result}: {lines}")
            log.warning("%s", self._warnings[-1])
        elif result != "OK":
            raise TaskFailed(
                f"task {seen.get('type')} failed: {result}{self._tail(read, path, result)}",
                where=node,
                mend="the whole log is in its web interface under Tasks",
            )

    def warn(self, text: str) -> None:
        """Something that is as it should not be and stops nothing."""
        self._warnings.append(text)
        log.warning("%s", text)

    def take_warnings(self) -> tuple[str, ...]:
        """What tasks that succeeded warned of since this was last asked."""
        taken, self._warnings = tuple(self._warnings), []
        return taken

    def settle(
        self,
        done: Callable[[], bool],
        write: Callable[[], None],
        *,
        late: str,
        looked: bool = False,
    ) -> None:
        """Look, write, look: a write is repeated only after a look that shows it had no effect.

        Repeated for: no answer, and a lock that another task holds. `looked`: the caller has just
        seen that it is not done.
        """
        if not looked and done():
            return
        deadline = time.monotonic() + self.patience.lock
        while True:
            try:
                write()
            except Unreachable:
                if time.monotonic() >= deadline:
                    raise
            except Failed as error:
                # It may fail because an earlier call, whose answer was lost, did it already.
                if done():
                    return
                if not (isinstance(error, ApiError | TaskFailed) and error.busy):
                    raise
                if time.monotonic() >= deadline:
                    raise
            else:
                self.patience.until(done, seconds=self.patience.lock, late=late)
                return
            time.sleep(self.patience.poll)
            if done():
                return

    def _last_good_first(self) -> list[Node]:
        return sorted(self.nodes.values(), key=lambda node: node is not self._chosen)

    def _nobody(self, errors: list[MetalError]) -> MetalError:
        self._chosen = None
        reasons = "; ".join(f"{name}: {why}" for name, why in self.silent.items())
        refused = next((e for e in errors if isinstance(e, Refused)), None)
        if refused and len(errors) == 1:
            return refused
        if refused:
            return Refused(reasons, where=refused.where, mend=refused.mend)
        return Unreachable(
            f"no node answers ({reasons})",
            mend="check power and network of the nodes; the same command goes on from here",
        )

    @staticmethod
    def _warned(read: Callable[..., Any], path: str) -> list[str]:
        """The lines of a task's log that warn."""
        try:
            lines = [str(row["t"]).strip() for row in read(f"{path}/log", limit=500)]
        except MetalError:
            return []
        return [line for line in lines if line.lower().startswith(("warn", "warning"))][-5:]

    @staticmethod
    def _tail(read: Callable[..., Any], path: str, result: str) -> str:
        try:
            lines = [str(row["t"]) for row in read(f"{path}/log", limit=500)]
        except MetalError:
            return ""
        told = [line for line in lines if line.strip() and line != f"TASK ERROR: {result}"]
        return "".join(f"\n    {line}" for line in told[-5:])
