"""What opens each server's disk, in which troubles it comes back by itself, and in which order all
come back. Pure: the inventory alone decides."""

from typing import Literal

from metal.install.cold_start import ColdStart, cold_start
from metal.model.base import Frozen
from metal.model.fleet import OUTSIDE, Inventory

Comes = Literal["by itself", "with a person", "never"]


class ServerKeys(Frozen):
    """One server, rebooted in worse and worse times."""

    server: str
    ways: tuple[str, ...]
    """ "a person, through dropbear"; "2 of the Tang servers t1 (vm keys at berlin), …"."""
    alone: Comes
    """All others run."""
    site: Comes
    """Its whole site is dark, the others run."""
    burnt: dict[str, Comes]
    """Another site → what if that one is lost for ever and all the rest runs."""


class KeyGraph(Frozen):
    servers: tuple[ServerKeys, ...]
    cold_start: ColdStart


def key_graph(inventory: Inventory) -> KeyGraph:
    return KeyGraph(
        servers=tuple(_server(inventory, name) for name in inventory.servers),
        cold_start=cold_start(inventory),
    )


def site_start(inventory: Inventory, site: str) -> ColdStart:
    """How one site comes back while all others run."""
    return cold_start(inventory, up=_elsewhere(inventory, site))


def _elsewhere(inventory: Inventory, site: str) -> list[str]:
    return [name for name, server in inventory.servers.items() if server.site != site]


def _server(inventory: Inventory, name: str) -> ServerKeys:
    site = inventory.servers[name].site
    others = [other for other in inventory.servers if other != name]
    alone = cold_start(inventory, up=others)
    dark = site_start(inventory, site)
    return ServerKeys(
        server=name,
        ways=_ways(inventory, name),
        alone=_comes(alone, name),
        site=_comes(dark, name),
        burnt={
            burnt: _comes(_without(inventory, name, burnt), name)
            for burnt in inventory.sites
            if burnt != site
        },
    )


def _without(inventory: Inventory, name: str, burnt: str) -> ColdStart:
    gone = [n for n, server in inventory.servers.items() if server.site == burnt]
    rest = [n for n in inventory.servers if n != name and n not in gone]
    return cold_start(inventory, up=rest, lost=gone)


def _comes(found: ColdStart, name: str) -> Comes:
    if name in found.never:
        return "never"
    return "with a person" if any(name in wave.persons for wave in found.waves) else "by itself"


def _ways(inventory: Inventory, name: str) -> tuple[str, ...]:
    unlock, ways = inventory.servers[name].unlock, []
    if "tpm2" in unlock.by:
        ways.append(f"its TPM, while PCR {', '.join(map(str, unlock.pcrs))} is as it was")
    if "tang" in unlock.by:
        named = ", ".join(f"{t} ({_home(inventory, t)})" for t in unlock.tang)
        ways.append(f"{unlock.threshold} of the Tang servers {named}")
    if "dropbear" in unlock.by:
        by = "a person or the controller" if unlock.held else "a person"
        ways.append(f"{by}, through dropbear")
    return tuple(ways)


def _home(inventory: Inventory, tang: str) -> str:
    home = inventory.tang[tang].runs_on
    if home == OUTSIDE:
        return "outside"
    if home in inventory.servers:
        return f"on {home}, {inventory.servers[home].site}"
    cluster = inventory.vms[home].cluster
    where = f"{cluster}, {inventory.site_of(cluster)}" if cluster else "any cluster"
    return f"VM {home}, {where}"
