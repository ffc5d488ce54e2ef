"""Whether a gateway's proxy and resolver live, as keepalived asks.

A gateway of which one is dead gives the addresses away, but only to one where that engine lives:
dead on both, it stops nothing else. Weights could not do that: who does not preempt takes over
from nobody that still speaks, however low.
"""

from collections.abc import Iterator

from metal.network.gateways import Gateway, gateways
from metal.network.view import View

SCRIPT = "/etc/metal/alive"
PROXY_PORT = 8199
"""Where HAProxy tells the gateways that it lives."""
DNS_PORT = 53
SECONDS = 3
"""For an answer. What is dead is refused at once; a busy gateway takes its time."""


def engines_of(seen: View) -> dict[str, int]:
    """Engine → the port at which it says that it lives, at each gateway's own address."""
    if seen.gateways.count < 2:
        return {}
    return ({"haproxy": PROXY_PORT} if seen.proxies else {}) | {"unbound": DNS_PORT}


def render_alive(seen: View) -> str:
    """The script; "" where there is nobody to give the site to."""
    if not engines_of(seen):
        return ""
    return f"""\
# Gateways of site {seen.name}, rendered by metal: what is changed here by hand is lost.
# $1 here, $2 the other gateway, $3 a port. Ends badly where it is dead here and lives there.
answers() {{
    timeout {SECONDS} /bin/bash -c ": </dev/tcp/$1/$2" 2>/dev/null
}}
answers "$1" "$3" || ! answers "$2" "$3"
"""


def asked(seen: View, gateway: Gateway, engine: str, port: int) -> Iterator[str]:
    """keepalived's words for it."""
    (other,) = (g for g in gateways(seen) if g != gateway)
    here, there = gateway.inside4(seen).ip, other.inside4(seen).ip
    yield f"vrrp_script {engine} {{"
    yield f'    script "/bin/bash {SCRIPT} {here} {there} {port}"'
    yield "    interval 1"
    yield f"    timeout {2 * SECONDS + 1}"
    yield "    fall 2"
    yield "    rise 2"
    yield "}"
    yield ""
