"""The door that Prometheus scrapes: what the store knows of the fleet, and how this process does.

Read-only: nothing can be changed through it, and no BMC or cluster is asked for a scrape.
"""

import ipaddress
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from metal import __version__
from metal.controller.fleet_state import read_state
from metal.controller.metrics import fleet_metrics, gauge, one
from metal.controller.workspace import Workspace
from metal.drivers.web import WebServer
from metal.model.errors import BadInput, MetalError

LOOPBACK = "127.0.0.1"
disable_created_metrics()  # type: ignore[no-untyped-call]  # a family more for each counter


class FleetCollector(Collector):
    """Reads the store anew for each scrape."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def describe(self) -> list[Metric]:
        """Nothing to be read before the first scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield gauge(
            "metal_build_info", "The version of metal.", ("version",), [((__version__,), 1)]
        )
        text = "1 while the state store answers this process."
        try:
            state = read_state(self._workspace)
        except MetalError:
            yield one("metal_store_up", text, 0)
            return
        yield one("metal_store_up", text, 1)
        yield from fleet_metrics(self._workspace.inventory, state)


class Meter:
    """A registry with the fleet, this process, and the rounds of a watcher in it."""

    def __init__(self, workspace: Workspace) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(FleetCollector(workspace))
        ProcessCollector(registry=self.registry)
        self._failures = Counter(
            "metal_watch_round_failures_total",
            "Rounds of this process that failed.",
            registry=self.registry,
        )
        self._seconds = Histogram(
            "metal_watch_round_seconds",
            "How long a round of this process took.",
            buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
            registry=self.registry,
        )
        self._leads = Gauge(
            "metal_watch_leads", "1 while this process leads.", registry=self.registry
        )

    @contextmanager
    def round(self) -> Iterator[None]:
        """Around a round: how long it took, or that it failed."""
        began = time.monotonic()
        try:
            yield
        except MetalError:
            self._failures.inc()
            raise
        self._seconds.observe(time.monotonic() - began)

    def leads(self, leads: bool) -> None:
        self._leads.set(leads)


class MetricsDoor:
    """Serves `meter` at http://HOST:PORT/metrics while the `with` block lasts."""

    def __init__(self, meter: Meter, listen: str) -> None:
        """`listen`: PORT (loopback), HOST:PORT or [IPV6]:PORT; BadInput for anything else."""
        host, port = _listen(listen)
        self._server = WebServer(_app(meter), host, port)
        self.url = f"{self._server.url}/metrics"
        self.open_to_all = not _loopback(host)

    def __enter__(self) -> "MetricsDoor":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()


def _app(meter: Meter) -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    def root(_request: Request) -> Response:
        return PlainTextResponse("metal: GET /metrics\n")

    def metrics(request: Request) -> Response:
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(meter.registry), headers={"Content-Type": kind})

    # Neither is a coroutine: starlette runs them in threads, as a scrape waits for the database.
    return Starlette(routes=[Route("/", root), Route("/metrics", metrics)])


def _listen(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    bare = ":" in host and not host.startswith("[")
    if bare or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise BadInput(
            f"{text!r} names no port to listen on",
            where="--metrics",
            mend="write it as 9464, 127.0.0.1:9464 or [::1]:9464",
        )
    return host.strip("[]") or LOOPBACK, int(port)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
