"""A site changes its IPv6 prefix: what to do, in which order, and how long to wait between.

After RFC 4192: the new prefix is carried before any name leads to it, and the old one is carried
until nobody can know it any more. Interface ids stay, so each VM's addresses differ in their
first half only. The inventory says how far a site is: `ipv6_next` stands while the new prefix is
made ready, `ipv6_old` while the old one runs out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address

from metal.network.ipv6 import Prefix
from metal.network.sites import parse
from metal.network.view import View
from metal.network.zones import TTL

OVERLAP = 7 * 86_400
"""Seconds that the old prefix is still carried once no name leads there: longer than resolvers
keep a name, and time for what was written down by hand somewhere."""


@dataclass(frozen=True)
class Step:
    """One thing to do."""

    what: str
    how: tuple[str, ...] = ()
    """Commands, or lines of the inventory."""
    wait: int = 0
    """Seconds to let pass afterwards, at least."""
    done: bool = False
    """Seen to be done."""


@dataclass(frozen=True)
class Renumbering:
    """The way from one prefix to another, from where the site stands."""

    site: str
    old: str
    new: str
    steps: tuple[Step, ...]


def renumbering(seen: View, has: Mapping[str, tuple[str, ...]]) -> Renumbering | None:
    """None for a site that keeps its prefix. `has` is VM → the addresses it was seen with."""
    current, *others = seen.prefixes
    if not others:
        return None
    (other,) = others
    if other.use == "next":
        steps = (*_ready(seen, has, other), *_switch(seen, current, other), *_end(seen, has, other))
        return Renumbering(seen.name, str(current.network), str(other.network), steps)
    steps = tuple(_end(seen, has, other))
    return Renumbering(seen.name, str(other.network), str(current.network), steps)


def _ready(seen: View, has: Mapping[str, tuple[str, ...]], new: Prefix) -> Iterator[Step]:
    words = seen.gateways
    to = words.uplink_ipv6.ip if words.uplink_ipv6 is not None else "the gateways"
    yield Step(f"have the donor route {new.network} to {to}, and delegate its reverse zones")
    yield Step(
        "let the gateways carry both prefixes",
        (f"metal network render --site {seen.name} --into DIR", "copy it to the gateways"),
    )
    missing = {vm: a for vm, a in _under(seen, new).items() if a not in parse(has.get(vm, ()))}
    yield Step(
        "give every VM its second address, beside the one it has",
        tuple(f"{vm}: {a}/{new.vms.prefixlen}" for vm, a in sorted(missing.items())),
        done=not missing,
    )
    yield Step("try the new addresses from outside: no name leads to them yet")


def _switch(seen: View, old: Prefix, new: Prefix) -> Iterator[Step]:
    yield Step(
        "let the names lead to the new prefix",
        (
            f'sites.{seen.name}.subnets: ipv6 = "{new.network}"',
            f'sites.{seen.name}.subnets: ipv6_old = "{old.network}", and no `ipv6_next`',
            "metal network render --into DIR: for the gateways and the name servers",
        ),
    )


def _end(seen: View, has: Mapping[str, tuple[str, ...]], other: Prefix) -> Iterator[Step]:
    """`other` is the prefix that is not current; the old one is what ends."""
    old = other if other.use == "old" else seen.prefixes[0]
    yield Step(
        f"wait: resolvers know the old addresses for {TTL // 60} minutes more, people for longer",
        wait=max(TTL, OVERLAP),
    )
    yield Step(
        "let the old prefix go",
        (
            f"sites.{seen.name}.subnets: remove `ipv6_old`",
            f"metal network render --site {seen.name} --into DIR: for the gateways",
        ),
    )
    held = {vm: a for vm, a in _under(seen, old).items() if a in parse(has.get(vm, ()))}
    yield Step(
        "take its old address from every VM, and tell the donor",
        tuple(f"{vm}: {a}/{old.vms.prefixlen}" for vm, a in sorted(held.items())),
        done=other.use == "old" and bool(has) and not held,
    )


def _under(seen: View, prefix: Prefix) -> dict[str, IPv6Address]:
    number = seen.prefixes.index(prefix)
    return {vm: seen.addresses6(vm)[number] for vm in seen.vms if seen.vms[vm].ipv6}
