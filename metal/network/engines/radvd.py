"""radvd of a site: who the router is, what is on the link, who resolves names.

It runs on both gateways; both send from the pair's address, and so only the one that has it does.
Hosts are not told to make addresses up: a VM that called out from one would have no name.
"""

from collections.abc import Iterator

from metal.network.gateways import LINK_LOCAL, dns64_address
from metal.network.renumber import OVERLAP
from metal.network.view import View
from metal.network.zones import inner_domain

PREFERRED, VALID = 14_400, 86_400
"""Seconds: hours, so that a prefix can go; a gateway's failure takes nothing that long."""


def render_radvd(seen: View) -> str:
    lines = [
        f"# Gateways of site {seen.name}, rendered by metal: what is changed here by hand is lost.",
        f"interface {seen.gateways.inside} {{",
        "    AdvSendAdvert on;",
        "    IgnoreIfMissing on;",
        "    MinRtrAdvInterval 10;",
        "    MaxRtrAdvInterval 30;",
        "    AdvDefaultLifetime 90;",
        f"    AdvRASrcAddress {{ {LINK_LOCAL}; }};",
        *_prefixes(seen),
        f"    RDNSS {dns64_address(seen)} {{ }};",
        f"    DNSSL {inner_domain(seen.name)} {{ }};",
        "};",
    ]
    return "\n".join(lines) + "\n"


def _prefixes(seen: View) -> Iterator[str]:
    for prefix in seen.prefixes:
        current = prefix.use == "current"
        yield f"    prefix {prefix.vms} {{"
        yield "        AdvAutonomous off;"
        yield f"        AdvPreferredLifetime {PREFERRED if current else 0};"
        yield f"        AdvValidLifetime {VALID if current else OVERLAP};"
        yield "    };"
