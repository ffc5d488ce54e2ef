"""The proxy of one site: host names told apart by TLS-SNI, plain HTTP by its Host header.

TLS is passed through: the VMs keep their own certificates, the gateway holds no key. A name
that no VM serves is refused, never sent to some default.
"""

from collections.abc import Iterator

from metal.model.addresses import Addressing
from metal.network.engines.alive import PROXY_PORT
from metal.network.gateways import gateways
from metal.network.view import View, bare

HTTP_PORT = 80
"""The one port that speaks plain HTTP; every other one is TLS."""

HEADER = """\
# Proxy of site {site}, rendered by metal: what is changed here by hand is lost.
global
    log stdout format raw daemon

defaults
    log global
    option dontlognull
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-request 10s
"""


def render_haproxy(seen: View) -> str:
    """haproxy.cfg of the site's gateways; empty when nothing there is proxied."""
    vms = seen.vms
    doors: dict[tuple[int, str], list[tuple[str, str]]] = {}
    for vm, has in vms.items():
        for route in has.routes:
            doors.setdefault((route.port, route.public), []).append((route.name, vm))
    if not doors:
        return ""
    lines = list(_alive(seen))
    for (port, public), routes in sorted(doors.items()):
        lines += ["", *_frontend(public, port, sorted(routes))]
    for port, vm in sorted({(port, vm) for (port, _), routes in doors.items() for _, vm in routes}):
        lines += ["", *_backend(vm, port, vms[vm])]
    return HEADER.format(site=seen.name) + "\n".join(lines) + "\n"


def _alive(seen: View) -> Iterator[str]:
    """At every gateway's own address: each binds all, and is asked at its own."""
    if seen.gateways.count > 1:
        yield ""
        yield "frontend alive"
        for gateway in gateways(seen):
            yield f"    bind {gateway.inside4(seen).ip}:{PROXY_PORT}"
        yield "    mode http"
        yield "    http-request return status 200"


def _frontend(public: str, port: int, routes: list[tuple[str, str]]) -> Iterator[str]:
    names = " ".join(name for name, _ in routes)
    yield f"frontend port-{port}"
    yield f"    bind {public}:{port}"
    if port == HTTP_PORT:
        yield "    mode http"
        yield "    option httplog"
        yield "    option forwardfor"
        match = "req.hdr(host),host_only -i"
        yield f"    http-request deny deny_status 404 unless {{ {match} {names} }}"
    else:
        yield "    mode tcp"
        yield "    option tcplog"
        yield "    tcp-request inspect-delay 5s"
        match = "req.ssl_sni -i"
        yield f"    tcp-request content accept if {{ {match} {names} }}"
        yield "    tcp-request content reject if { req.ssl_hello_type 1 }"
        yield "    tcp-request content reject if WAIT_END"
    for name, vm in routes:
        yield f"    use_backend {vm}-{port} if {{ {match} {name} }}"


def _backend(vm: str, port: int, has: Addressing) -> Iterator[str]:
    yield f"backend {vm}-{port}"
    yield f"    mode {'http' if port == HTTP_PORT else 'tcp'}"
    told = any(route.proxy_protocol for route in has.routes if route.port == port)
    by = " send-proxy-v2" if told else ""
    yield f"    server {vm} {bare(has.private_ipv4)}:{port}{by}"
