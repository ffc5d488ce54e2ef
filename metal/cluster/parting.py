"""A server leaves its cluster: one that still runs, or one that is dead and will be replaced."""

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from metal.drivers.ports import Ages, Shell
from metal.model.errors import Failed, Refused, Unreachable
from metal.operations.run import Run
from metal.operations.switching import Switching

VERSION = 2
TRIES = 4
COPIES = 3
"""Of all data in Ceph, each on a server of its own."""
HA_TAKES = 600.0
"""Seconds: HA has fenced a server that fell after some two or three minutes, and then restarts."""


@dataclass(frozen=True)
class PartingPorts:
    """For one server and its cluster."""

    ages: Ages
    shell: Callable[[str], Shell]
    power: Switching
    retire: Callable[[str], None]
    """Records that the server is out of the cluster for good."""
    names: Mapping[int, str] = field(default_factory=dict)
    """What its guests were called when they were last seen, by number."""
    every: float = 1.0
    healing: float = 7 * 86400.0
    """Seconds for Ceph to copy all of a server's data to the others."""


def leave(run: Run, server: str, ports: PartingPorts) -> dict[str, Any]:
    """A server that runs and is empty: its data moved, its daemons gone, switched off, out."""
    ages = ports.ages
    step = partial(_step, run, ports)
    step(f"see that {server} may go", lambda: refuse_leave(server, ages))
    osds = step(f"ask which OSDs {server} has", lambda: list(ages.osds_of(server)))
    if osds:
        step("let its data move to the others", lambda: ages.ensure_osds_out(server))
        run.wait(
            "its data is with the others",
            # Healthy is not enough: what only lies elsewhere than it should is no complaint.
            lambda: None if ages.needed_osds(server) or ages.condition().doubts() else True,
            seconds=ports.healing,
            every=ports.every,
            late="its data is not with the others yet, or Ceph is not healthy",
        )
        for number in osds:
            step(f"remove osd.{number}", partial(ages.ensure_no_osd, server, number))
    step("remove its monitor and manager", lambda: ages.ensure_no_daemons(server))
    step(f"shut {server} down", lambda: _shut_down(server, ages))
    _prove_off(run, server, ports, "it leaves its cluster")
    step("take it out of the cluster", lambda: ages.ensure_removed_node(server))
    step("let its addresses in no more", lambda: ages.ensure_no_peer(server))
    step(f"record that {server} left", lambda: ports.retire(server))
    return {"server": server, "osds": osds}


def bury(run: Run, server: str, ports: PartingPorts) -> dict[str, Any]:
    """A dead server, the first one of the cluster included: proven off, then forgotten by Ceph,
    corosync and pmxcfs. Its data is on the others; a new one takes its place by forming again,
    HA's wishes included: Proxmox takes no rule for a node that it does not have yet.
    """
    ages = ports.ages
    step = partial(_step, run, ports)
    why = "it is replaced by another"
    _prove_off(run, server, ports, why, first=lambda: _still_lost(server, ages))
    at = step("choose a server to speak from", lambda: _other(server, ages))
    names = ports.names
    step(f"see that nothing waits for {server}", lambda: _nothing_waits(server, ages, names))
    shell = ports.shell
    osds = step("ask which OSDs it had", lambda: list(ages.osds_of(server)))
    ceph = step("ask whether there is Ceph", lambda: ages.condition().ceph is not None)
    for number in osds:
        step(f"forget osd.{number}", partial(_forget_osd, ages, shell, at, server, number))
    if ceph:
        step("forget its monitor", lambda: shell(at).forget_monitor(server))
        step("forget its place in CRUSH", lambda: shell(at).forget_host(server))
    step("take it out of the cluster", lambda: ages.ensure_removed_node(server))
    step("let its addresses in no more", lambda: ages.ensure_no_peer(server))
    step("forget its configuration", lambda: shell(at).forget_node(server))
    step(f"record that {server} is out", lambda: ports.retire(server))
    return {"server": server, "osds": osds}


def _step(run: Run, ports: PartingPorts, what: str, act: Callable[[], Any]) -> Any:
    run.say(what)
    return run.step(what, act, tries=TRIES, backoff=ports.every)


def _prove_off(
    run: Run,
    server: str,
    ports: PartingPorts,
    why: str,
    first: Callable[[], None] = lambda: None,
) -> None:
    """`first`: raises where one that has power is not to be cut off it."""

    def off(switch: Any) -> None:
        try:
            proven(switch)
        except Unreachable as error:
            raise Unreachable(
                error.what,
                where=error.where,
                mend=f"make it answer. If it never will: pull all power cords of {server}, then "
                f"`metal fence {server} --i-have-pulled-the-plug`",
            ) from error

    def proven(switch: Any) -> None:
        if switch.power() != "off":
            first()
        switch.ensure_power("off")
        if switch.power() != "off":
            raise Failed("it was told to switch off, and does not read off", where=server)

    ports.power.step(run, f"prove {server} off", off, why=why, tries=TRIES, backoff=ports.every)


def _still_lost(server: str, ages: Ages) -> None:
    """What was looked at before may be long ago: a switch was silent, or HA was waited for."""
    if ages.condition().nodes.get(server):
        raise Refused(
            "its cluster sees it online again: it was not switched off",
            where=server,
            mend="`metal run cancel` of this replacement lets it live. If it is to go anyway: "
            f"`metal fence {server} --force`, then the same command again",
        )


def refuse_leave(server: str, ages: Ages) -> None:
    """What no work of anybody mends comes first."""
    condition = ages.condition()
    others = [node for node in condition.nodes if node != server]
    if ages.osds_of(server) and (left := sum(bool(ages.osds_of(n)) for n in others)) < COPIES:
        raise Refused(
            f"Ceph keeps {COPIES} copies on as many servers, and {left} with disks would be left",
            where=server,
            mend="let another join first: among the cluster's `servers` in inventory.toml, then "
            "`metal apply`",
        )
    if len(others) < 2:
        raise Refused(
            "one server alone would be left, and a cluster of two lives by both",
            where=server,
            mend="`pvecm expected 1` on the one that stays lets it go on alone; by hand",
        )
    if condition.nodes.get(server) is False:
        raise Refused(
            "it is offline: only one that runs can leave",
            where=server,
            mend=f"bring it up, or, if it is dead: `metal cluster replace {server}`",
        )
    if doubts := condition.doubts():
        raise Refused(f"not now: {'; '.join(doubts)}", where=server, mend="mend that first")
    if guests := ages.guests_on(server):
        raise Refused(
            f"it still has {', '.join(guests)}",
            where=server,
            mend=f"`metal drain {server}` moves what runs; move or remove the rest in Proxmox",
        )


def refuse_burial(server: str, cluster: str, ages: Ages, names: Mapping[int, str]) -> None:
    """Before anything is touched: it must be lost for its cluster, and only HA wait for it.

    `names`: as in PartingPorts.
    """
    if ages.condition().nodes.get(server):
        guests = ", ".join(ages.guests_on(server)) or "no guest"
        raise Refused(
            f"it is not dead: {cluster} sees it online, with {guests}",
            where=server,
            mend=f"`metal drain {server}` and `metal cluster leave {server}` take it out. If it is "
            f"sick, or cannot be done without: `metal fence {server} --force` proves it dead first",
        )
    _other(server, ages)
    _nothing_waits(server, ages, names, but=_recovered_by_ha(server, ages, names))


def _shut_down(server: str, ages: Ages) -> None:
    if ages.condition().nodes.get(server):
        ages.shut_down(server)


def _other(server: str, ages: Ages) -> str:
    condition = ages.condition()
    online = sorted(name for name, up in condition.nodes.items() if up and name != server)
    if not condition.quorate or not online:
        raise Refused("no quorate rest of its cluster answers", where=server, mend="bring it up")
    return online[0]


def await_ha(server: str, ages: Ages, names: Mapping[int, str], pause: Callable[[], None]) -> None:
    """Return once HA has restarted elsewhere what it manages; by itself, so nothing is begun yet.

    Refused where it does not: it would be forgotten with the server.
    """
    waiting = _recovered_by_ha(server, ages, names)
    over = time.monotonic() + HA_TAKES
    while waiting and time.monotonic() < over:
        pause()
        with suppress(Unreachable):
            waiting = _recovered_by_ha(server, ages, names)
    if not waiting:
        return
    raise Refused(
        f"HA has not restarted {', '.join(waiting)} elsewhere",
        where=server,
        mend="`ha-manager status` on another node says why. Is there no room, or a wish that too "
        "few servers can grant? Take `apart` or `home` back in inventory.toml until the new one is "
        "there: `metal apply`, then the same command again",
    )


def _recovered_by_ha(server: str, ages: Ages, names: Mapping[int, str]) -> list[str]:
    recovers = ages.ha_recovers()
    guests = _guests_on(server, ages, names)
    return [guest for guest in guests if int(guest.split()[0]) in recovers]


def _guests_on(server: str, ages: Ages, names: Mapping[int, str]) -> list[str]:
    """ "101 git"; of a dead server's guests its cluster may tell the numbers alone."""
    told = (guest.partition(" ") for guest in ages.guests_on(server))
    return [f"{number} {name or names.get(int(number), '')}".strip() for number, _, name in told]


def _nothing_waits(
    server: str, ages: Ages, names: Mapping[int, str], but: Collection[str] = ()
) -> None:
    if guests := [guest for guest in _guests_on(server, ages, names) if guest not in but]:
        moves = "; ".join(
            f"mv /etc/pve/nodes/{server}/qemu-server/{guest.split()[0]}.conf "
            "/etc/pve/nodes/OTHER/qemu-server/"
            for guest in guests
        )
        raise Refused(
            f"{', '.join(guests)} {'is' if len(guests) == 1 else 'are'} still there for the "
            "cluster, and would be forgotten with it",
            where=server,
            mend="`metal watch --act` restarts elsewhere what ran and is in the inventory. Of the "
            "rest, those whose disks are in Ceph move by their configuration, on any other node: "
            f"{moves}. The others are restored from a backup; then remove what is left there",
        )
    condition = ages.condition()
    if lost := [text for text in condition.complaints if text.startswith(LOST)]:
        raise Refused(
            f"Ceph misses data without it: {'; '.join(lost)}",
            where=server,
            mend="its disks are needed: get them back before anything is forgotten",
        )


LOST = ("PG_AVAILABILITY", "OBJECT_UNFOUND", "PG_DAMAGED")
"""What Ceph says when the copies that are left are not all there is."""


def _forget_osd(
    ages: Ages, shell: Callable[[str], Shell], at: str, server: str, number: int
) -> None:
    if number in ages.osds_of(server):
        shell(at).forget_osd(number)
