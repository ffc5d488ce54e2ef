"""How a server gets to an installer: the best way that its BMC and its site allow. Pure.

In order of preference: what needs least of the network comes first, what needs a person last. A
way that was proven wins over one that nobody tried; one that was seen not to work is never taken.
"""

from collections.abc import Callable
from typing import Literal

from metal.model.base import Frozen
from metal.model.facts import BootDevice, BootMode
from metal.model.fleet import Inventory, Site
from metal.model.passport import BootProof, Method, Passport, Route

Verdict = Literal["proven", "untried", "last", "no"]
"""last: it works everywhere, and somebody has to travel for it."""


class _Said(Frozen):
    verdict: Verdict
    why: str


class _Case(Frozen):
    passport: Passport
    site: Site
    where: str
    """The site's name."""

    @property
    def dhcp(self) -> str:
        return f"sites.{self.where}.boot.dhcp is {self.site.boot.dhcp}"

    @property
    def v6_only(self) -> bool:
        return self.site.subnets.management.version == 6


def route(inventory: Inventory, server: str, passport: Passport | None) -> Route | None:
    """The way, why it is that one, and why not each of the others; None without a passport."""
    if passport is None:
        return None
    where = inventory.servers[server].site
    case = _Case(passport=passport, site=inventory.sites[where], where=where)
    said = {method: judge(case) for method, judge in JUDGES.items()}
    chosen = next(m for v in ("proven", "untried", "last") for m in said if said[m].verdict == v)
    return Route(
        method=chosen,
        why=said[chosen].why,
        rejected={m: _why_not(said[m], chosen) for m in said if m != chosen},
    )


def _why_not(said: _Said, chosen: Method) -> str:
    return f"possible too, but {chosen} comes first" if said.verdict == "proven" else said.why


def _redfish_iso(case: _Case) -> _Said:
    passport = case.passport
    if "redfish" not in passport.protocols:
        return _no("its BMC does not speak Redfish")
    if passport.virtual_media == ():
        return _no("its BMC has no virtual drive that takes an image")
    slots = ", ".join(passport.virtual_media or ())
    how = f"its BMC puts an image into {slots or 'a virtual drive'} and boots it"
    if passport.virtual_media is None:
        return _Said(verdict="untried", why=f"{how}, it seems: its drives were not told")
    return _by_boot(case, how, ("media",), "needs no DHCP and no card to be known")


def _uefi_http(case: _Case) -> _Said:
    if case.site.boot.dhcp == "none":
        return _no(f"nobody gives addresses: {case.dhcp}")
    return _by_boot(case, "its firmware fetches the installer by HTTP", ("http",), case.dhcp)


def _pxe(case: _Case) -> _Said:
    if case.site.boot.dhcp != "ours":
        return _no(f"metal gives no addresses there: {case.dhcp}")
    return _by_network(case, "its firmware boots by PXE")


def _proxy_dhcp(case: _Case) -> _Said:
    if case.site.boot.dhcp != "theirs":
        return _no(f"there is no DHCP of others to stand beside: {case.dhcp}")
    if case.v6_only:
        return _no("proxyDHCP is for IPv4, and the management network has IPv6 alone")
    return _by_network(case, "its firmware boots by PXE, beside the DHCP of others")


def _stick(case: _Case) -> _Said:
    return _Said(verdict="last", why="a person plugs in a stick: that works with every server")


def _by_network(case: _Case, how: str) -> _Said:
    if case.v6_only:
        return _by_boot(case, f"{how} over IPv6", ("network", "uefi"), case.dhcp)
    return _by_boot(case, how, ("network",), case.dhcp)


def _by_boot(
    case: _Case, how: str, wanted: tuple[BootDevice] | tuple[BootDevice, BootMode], more: str
) -> _Said:
    """By what was tried of that device, in that mode if one is named."""
    device = wanted[0]
    tried = [
        proof
        for proof in case.passport.boots
        if proof.device == device and (len(wanted) == 1 or proof.mode in (None, wanted[1]))
    ]
    if not tried:
        return _Said(verdict="untried", why=f"{how}, it seems: nobody tried ({more})")
    works = [proof for proof in tried if proof.works]
    if not works:
        return _no(f"booting from {device} once did not stick: {tried[0].why or 'no reason told'}")
    return _Said(verdict="proven", why=f"{how}{_modes(works)}; {more}")


def _modes(works: list[BootProof]) -> str:
    modes = [proof.mode for proof in works if proof.mode]
    return f" ({' or '.join(modes)})" if modes else ""


def _no(why: str) -> _Said:
    return _Said(verdict="no", why=why)


JUDGES: dict[Method, Callable[[_Case], _Said]] = {
    "redfish-iso": _redfish_iso,
    "uefi-http": _uefi_http,
    "pxe": _pxe,
    "proxy-dhcp": _proxy_dhcp,
    "stick": _stick,
}
"""In order of preference."""
