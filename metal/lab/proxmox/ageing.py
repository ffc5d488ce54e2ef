"""The calls by which a cluster grows old: restarts, flags, daemons and OSDs that go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metal.lab.proxmox.calls import Call, handles
from metal.lab.proxmox.errors import ApiError, TaskError
from metal.lab.proxmox.tasks import Work


@handles("POST", "/nodes/{node}/status")
def switch(call: Call) -> None:
    dc, node = call.dc, call.node
    back = call.params["command"] == "reboot"
    dc.timeline.after(1, lambda: dc.restart(node, back=back))


@handles("PUT", "/cluster/ceph/flags/{flag}")
def set_flag(call: Call) -> None:
    flags, flag = call.cluster.ceph.flags, call.params["flag"]
    (flags.add if call.params["value"] else flags.discard)(flag)


@handles("GET", "/cluster/ceph/flags/{flag}")
def flag(call: Call) -> int:
    return int(call.params["flag"] in call.cluster.ceph.flags)


@handles("POST", "/nodes/{node}/ceph/osd/{osdid}/out")
def out(call: Call) -> None:
    ceph = call.cluster.ceph
    _osd(call).out = True
    ceph.moving_until = call.now + call.dc.pace.osd


@handles("GET", "/nodes/{node}/ceph/cmd-safety")
def safety(call: Call) -> dict[str, Any]:
    """`ceph osd safe-to-destroy`: of other actions and services the double knows nothing."""
    given, ceph = call.params, call.cluster.ceph
    if (given["service"], given["action"]) != ("osd", "destroy"):
        raise ApiError(501, "the lab's Ceph judges the destruction of OSDs only")
    osd = ceph.osds.get(int(given["id"]))
    if osd is None or (osd.out and call.now >= ceph.moving_until):
        return {"safe": 1, "status": ""}
    return {"safe": 0, "status": f"OSD(s) {given['id']} have 12 pgs currently mapped to them."}


@handles("POST", "/nodes/{node}/ceph/stop")
def stop(call: Call) -> str:
    service = call.params.get("service", "ceph")

    def work() -> Work:
        yield 1
        kind, _, number = service.partition(".")
        if kind == "osd" and number.isdigit():
            call.cluster.ceph.osds[int(number)].stopped = True
        return None

    return call.task("srvstop", service, work())


@handles("DELETE", "/nodes/{node}/ceph/osd/{osdid}")
def destroy_osd(call: Call) -> str:
    osd = _osd(call)
    if osd.node != call.node.name:
        raise ApiError(500, f"osd.{osd.number} does not belong to node '{call.node.name}'")
    if not (osd.out and osd.stopped):
        raise ApiError(500, f"osd.{osd.number} is still {'running' if osd.out else 'in'}")

    if call.now < call.cluster.ceph.moving_until:  # Proxmox does not mind
        call.dc.event(call.node.name, "osd destroyed before its data was elsewhere")

    def work() -> Work:
        yield call.dc.pace.ceph
        call.cluster.ceph.osds.pop(osd.number, None)
        for disk in call.node.disks:
            if disk.osd == osd.number:
                disk.osd, disk.used = -1, "" if call.params.get("cleanup") else "LVM"
        return None

    return call.task("cephdestroyosd", f"osd.{osd.number}", work())


def _osd(call: Call) -> Any:
    osd = call.cluster.ceph.osds.get(int(call.params["osdid"]))
    if osd is None:
        raise ApiError(500, f"no such OSD '{call.params['osdid']}'")
    return osd


@handles("DELETE", "/nodes/{node}/ceph/mon/{monid}")
def destroy_monitor(call: Call) -> str:
    name, ceph = call.params["monid"], call.cluster.ceph
    if ceph.monitors.get(name) != call.node.name:
        raise ApiError(500, f"monitor filesystem '/var/lib/ceph/mon/ceph-{name}' does not exist")
    if len(ceph.monitors) < 2:
        raise ApiError(500, "can't remove last monitor")
    return _gone(call, f"mon.{name}", lambda: ceph.monitors.pop(name, None))


@handles("DELETE", "/nodes/{node}/ceph/mgr/{id}")
def destroy_manager(call: Call) -> str:
    name, ceph = call.params["id"], call.cluster.ceph
    if ceph.managers.get(name) != call.node.name:
        raise ApiError(500, f"ceph manager directory '/var/lib/ceph/mgr/ceph-{name}' not found")
    return _gone(call, f"mgr.{name}", lambda: ceph.managers.pop(name, None))


def _gone(call: Call, ident: str, act: Callable[[], object]) -> str:
    def work() -> Work:
        yield call.dc.pace.ceph
        if not call.node.answers:
            raise TaskError("unexpected status")
        act()
        return None

    return call.task(f"cephdestroy{ident.partition('.')[0]}", ident, work())
