"""A cluster that grows old: its condition, restarts, and nodes that go.

What Proxmox's API has no call for is in nodeshell.py.
"""

from typing import Any

from metal.drivers.proxmox import ceph
from metal.drivers.proxmox.api import Api
from metal.drivers.proxmox.guests import labels, managed
from metal.drivers.proxmox.node import ApiError
from metal.model.errors import Failed, Refused
from metal.model.hypervisor import Condition

NOOUT = "noout"
"""Ceph's flag that keeps it from copying all of a node's data because it restarts."""
OURS = f"{NOOUT} flag(s) set"


def condition(api: Api) -> Condition:
    """Read now; a node that is not asked because it is down has no version."""
    standing = api.standing()
    versions = {
        name: str(api.get(f"nodes/{name}/version")["version"])
        for name, online in standing.nodes.items()
        if online
    }
    health, checks = _ceph(api)
    return Condition(
        quorate=standing.quorate,
        nodes=standing.nodes,
        versions=versions,
        ceph=health,
        complaints=checks,
        troubled=_troubled(api) if standing.name else (),
    )


def _ceph(api: Api) -> tuple[str | None, tuple[str, ...]]:
    """(HEALTH_…, what it complains of, our own flag left out); None where there is no Ceph."""
    try:
        health = api.get("cluster/ceph/status")["health"]
    except ApiError as error:
        if ceph.unset(error):
            return None, ()
        raise
    checks = {
        name: str((told.get("summary") or {}).get("message", name))
        for name, told in (health.get("checks") or {}).items()
    }
    mine = {name for name, text in checks.items() if name == "OSDMAP_FLAGS" and text == OURS}
    told = tuple(f"{name}: {text}" for name, text in checks.items() if name not in mine)
    status = str(health["status"])
    return ("HEALTH_OK" if mine and not told else status), told


def _troubled(api: Api) -> tuple[str, ...]:
    """What the HA manager has not in hand: services in error, nodes being fenced."""
    rows = api.get("cluster/ha/status/current")
    bad = ("error", "fence", "recovery")
    return tuple(f"{r['sid']} is in {r['state']}" for r in rows if r.get("state") in bad)


def ensure_flag(api: Api, *, on: bool) -> None:
    path = f"cluster/ceph/flags/{NOOUT}"
    api.settle(
        lambda: bool(int(api.get(path))) == on,
        lambda: api.put(path, {"value": int(on)}),
        late=f"Ceph's flag {NOOUT} is not {'set' if on else 'taken away'}",
    )


def booted(api: Api, node: str) -> int:
    """When it was booted, in seconds since 1970 by its own clock; to within two seconds."""
    now = int(api.get(f"nodes/{node}/time")["time"])
    return now - int(api.get(f"nodes/{node}/status")["uptime"])


def reboot(api: Api, node: str) -> None:
    """Asks for it, and returns at once. Not safe to repeat: the caller looks at `booted`."""
    api.post(f"nodes/{node}/status", {"command": "reboot"})


def shut_down(api: Api, node: str) -> None:
    api.post(f"nodes/{node}/status", {"command": "shutdown"})


def guests_on(api: Api, node: str) -> tuple[str, ...]:
    """ "101 git", of all kinds; the number alone where neither the list nor HA has a name."""
    rows = [row for row in api.get("cluster/resources", type="vm") if row["node"] == node]
    labelled = labels(api) if any(not row.get("name") for row in rows) else {}
    names = {int(row["vmid"]): row.get("name") for row in rows}
    told = {number: label.name for number, label in labelled.items()}
    return tuple(f"{n} {name or told.get(n, '')}".strip() for n, name in names.items())


def ha_recovers(api: Api) -> frozenset[int]:
    """What is `stopped` goes elsewhere too; what is `disabled` or `ignored` stays with its node."""
    resources = api.get("cluster/ha/resources")
    return managed([row for row in resources if row.get("state") not in ("disabled", "ignored")])


def ensure_removed(api: Api, node: str) -> None:
    """It is no member any more. It must be off, and never come back into that network as it is."""
    standing = api.standing()
    if node not in standing.nodes:
        return
    if standing.nodes[node]:
        raise Refused(
            "it is online: a node is taken out of its cluster once it is off for good",
            where=node,
            mend="switch it off",
        )
    if not standing.quorate:
        raise Failed("the cluster has no quorum", where=node, mend="bring its other nodes up")
    api.settle(
        lambda: node not in api.standing().nodes,
        lambda: api.delete(f"cluster/config/nodes/{node}"),
        late=f"{node} is still a member",
    )


# ── Ceph, on a node that still runs ─────────────────────────────────────────────────────────────


def osds_of(api: Api, node: str) -> tuple[int, ...]:
    """Numbers of the OSDs that CRUSH has on that host; none where there is no Ceph."""
    try:
        tree = api.get(f"nodes/{api.node().name}/ceph/osd")
    except ApiError as error:
        if ceph.unset(error):
            return ()
        raise
    return tuple(sorted(int(leaf["id"]) for leaf in _leaves(tree.get("root") or {}, node)))


def _leaves(at: dict[str, Any], host: str) -> list[dict[str, Any]]:
    if at.get("type") == "host" and at.get("name") != host:
        return []
    if at.get("type") == "osd":
        return [at]
    return [leaf for child in at.get("children") or [] for leaf in _leaves(child, host)]


def ensure_osds_out(api: Api, node: str) -> None:
    """Their data moves to the others from now on; how far that is, `needed_osds` says."""
    for number in osds_of(api, node):
        api.post(f"nodes/{node}/ceph/osd/{number}/out")


def needed_osds(api: Api, node: str) -> tuple[int, ...]:
    """Asked of Ceph itself (`ceph osd safe-to-destroy`): its health stays good while data moves
    off an OSD that is up, and lags behind what it is told."""
    about = {"service": "osd", "action": "destroy"}
    path = f"nodes/{node}/ceph/cmd-safety"
    return tuple(n for n in osds_of(api, node) if not api.get(path, id=n, **about).get("safe"))


def ensure_no_osd(api: Api, node: str, number: int) -> None:
    if number not in osds_of(api, node):
        return
    api.run(f"nodes/{node}/ceph/stop", {"service": f"osd.{number}"})
    api.settle(
        lambda: number not in osds_of(api, node),
        lambda: api.follow(str(api.delete(f"nodes/{node}/ceph/osd/{number}", {"cleanup": 1}))),
        late=f"osd.{number} is still there",
        looked=True,
    )


def ensure_no_daemons(api: Api, node: str) -> None:
    """Its manager and its monitor are gone, the manager first."""
    for kind in ("mgr", "mon"):
        path = f"nodes/{api.node().name}/ceph/{kind}"

        def gone(path: str = path) -> bool:
            return not any(row["name"] == node for row in api.get(path) or [])

        def remove(kind: str = kind) -> None:
            api.follow(str(api.delete(f"nodes/{node}/ceph/{kind}/{node}")))

        api.settle(gone, remove, late=f"{node} still has a {kind}")
