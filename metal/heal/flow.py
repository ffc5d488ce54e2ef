"""Recover what ran on a dead server; empty one that is about to die.

Recovering proves that the server is off, keeps it off, and sees what becomes of its VMs. What the
cluster's HA manages it starts, once each, and nothing of that is started here; restart.py starts
the rest, once HA has taken the room that its own VMs need.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from metal.drivers.ports import PowerSwitch
from metal.heal.abreast import Abreast
from metal.heal.evidence import switch_off
from metal.heal.ports import HealPorts
from metal.heal.restart import DELETED, Proof, restart
from metal.model.errors import Failed, Refused, Unreachable
from metal.model.plan import DrainServer, MigrateVm, RecoverServer, Restarts
from metal.operations.run import Run

__all__ = ["HealPorts", "drain", "recover"]
TRIES = 4
STALE = 20.0
"""Seconds after which nothing is switched off on the strength of a look."""


def recover(run: Run, action: RecoverServer, ports: HealPorts) -> dict[str, Any]:
    """The server is proven off and held, and each of its VMs was seen running elsewhere.

    Or it came back by itself before it was switched off: then it is left alone.

    Unreachable when what switches it is silent: then nothing at all is concluded. Failed when VMs
    stay down, each named with the reason.
    """
    server = action.server
    off = Proof(server, ports)
    run.progress(0.0, f"prove {server} off")
    proof = ports.power.step(
        run,
        f"prove {server} off",
        lambda switch: _prove_off(run, server, switch, ports, off),
        why=f"its VMs are restarted elsewhere once it is off: {action.why}",
        tries=TRIES,
        backoff=ports.every,
    )
    if proof.get("back"):
        run.progress(1.0, f"{server} is back in its cluster: nothing is switched off")
        return {"server": server, "back": True}
    run.progress(0.2, f"keep {server} out")
    by = proof.get("by", "its BMC")
    note = f"fenced: {', '.join(proof['readings'])} read back from {by}; {action.why}"
    run.step(f"hold {server}", lambda: ports.hold(server, note))
    if action.restarts is not None:
        landed = restart(run, action, action.restarts, ports, off)
        return {"server": server, "proof": proof, "vms": landed}
    managed = run.step(
        "ask which VMs HA restarts",
        lambda: sorted(ports.hypervisor.ha_managed()),
        tries=TRIES,
        backoff=ports.every,
    )
    awaited = {vm: vmid for vm, vmid in action.vms.items() if vmid in managed}
    others = {vm: "HA does not manage it" for vm in action.vms if vm not in awaited}
    landed = _each(
        lambda: _see_them_run(run, server, awaited, ports),
        lambda: restart(
            run, action, Restarts(stranded=others), ports, off, lambda n: _is_deleted(n, ports)
        ),
    )
    return {"server": server, "proof": proof, "vms": landed}


def drain(run: Run, action: DrainServer, ports: HealPorts) -> dict[str, Any]:
    """Every VM of the plan was moved live, in order, and none is left on the server."""
    server, total = action.server, len(action.moves)
    run.step(f"mark {server} draining", lambda: ports.draining(server))
    with ports.crew(action.at_once) as crew:
        moves = {move.vm: partial(_move, move, action.mib_s, ports) for move in action.moves}
        abreast = Abreast(crew, action.at_once, moves)
        for done, move in enumerate(action.moves):
            text = f"move {move.vm} to {move.target}"
            run.progress(done / (total + 1), f"{text} ({done + 1}/{total})")
            act = partial(abreast.result, move.vm)
            run.step(text, act, tries=TRIES, backoff=ports.every)
    run.progress(total / (total + 1), f"see that {server} is empty")
    run.step(f"see that {server} is empty", lambda: _see_empty(server, ports), tries=TRIES)
    return {"server": server, "moved": [move.vm for move in action.moves]}


def _each(*parts: Callable[[], dict[str, str]]) -> dict[str, str]:
    """What all of them did. One that failed does not keep the next from its work."""
    landed: dict[str, str] = {}
    failed: list[Failed | Refused] = []
    for part in parts:
        try:
            landed |= part()
        except (Failed, Refused) as error:
            failed.append(error)
    if len(failed) > 1:
        texts = "; ".join(error.what for error in failed)
        raise Failed(texts, where=failed[0].where, mend=failed[0].mend)
    if failed:
        raise failed[0]
    return landed


# ── steps ───────────────────────────────────────────────────────────────────────────────────────


def _prove_off(
    run: Run, server: str, switch: PowerSwitch, ports: HealPorts, off: Proof
) -> dict[str, Any]:
    """What was decided on may be long ago: nothing is cut that its cluster sees again."""
    if switch.power() != "off":
        asked = ports.monotonic()
        cluster, nodes, _ = ports.hypervisor.look()
        if nodes.get(server) == "online":
            return {"back": True}
        if cluster.quorate is not True or nodes.get(server) != "offline":
            raise Unreachable("no quorate cluster says that it is lost", where=server)
        run.progress(0.1, f"switch {server} off")  # raises where another watcher took over
        if ports.monotonic() - asked > STALE:
            raise Unreachable("this process stood still: what it saw is old", where=server)
    elif _seen(server, ports):
        raise _contradicted(server, switch.by, "its cluster sees it online")
    readings = switch_off(server, switch, lambda: ports.pause(ports.every))
    if ports.answers(server):
        raise _contradicted(server, switch.by, "its host answers")
    off.read_off()
    return {"by": switch.by, "readings": readings}


def _contradicted(server: str, by: str, said: str) -> Failed:
    """What switches a server may lie; one that is off does not speak."""
    return Failed(
        f"{by} reads off, and yet {said}: it runs, and nothing restarts elsewhere",
        where=server,
        mend="go there: is it the BMC of another server? pull the plugs of the right one, then "
        f"`metal fence {server} --i-have-pulled-the-plug`",
    )


def _seen(server: str, ports: HealPorts) -> bool:
    """No answer of its cluster contradicts nothing."""
    with suppress(Unreachable):
        return _is_back(server, ports)
    return False


def _see_them_run(run: Run, server: str, vms: dict[str, int], ports: HealPorts) -> dict[str, str]:
    """VM → the node it was seen running on. One deadline for all."""
    landed: dict[str, str] = {}

    def all_run() -> dict[str, str] | None:
        for vm, vmid in vms.items():
            if vm in landed:
                continue
            try:
                node, state = ports.hypervisor.where(vmid)
            except Failed:
                if not _is_deleted(vmid, ports):
                    raise
                landed[vm] = DELETED
                run.progress(0.3 + 0.7 * len(landed) / len(vms), f"{vm} was deleted meanwhile")
                continue
            if state == "running" and (node != server or _is_back(server, ports)):
                landed[vm] = node
                run.progress(0.3 + 0.7 * len(landed) / len(vms), f"{vm} runs on {node}")
        return dict(landed) if len(landed) == len(vms) else None

    late = "HA was not seen to restart every VM"
    try:
        seen: dict[str, str] = run.wait(
            f"the VMs of {server} run elsewhere",
            all_run,
            seconds=ports.patience,
            every=ports.every,
            late=late,
        )
    except Failed as error:
        if not error.what.startswith(late):
            raise
        missing = ", ".join(sorted(set(vms) - set(landed)))
        raise Failed(
            f"HA has not restarted {missing} within {ports.patience:g} s",
            where=server,
            mend="see HA and Ceph in Proxmox: is there room, is the pool writable? "
            f"then metal run resume {run.id}",
        ) from error
    return seen


def _is_deleted(vmid: int, ports: HealPorts) -> bool:
    """A quorate cluster has no such VM any more: Proxmox tells of those on dead nodes, too."""
    cluster, _, vms = ports.hypervisor.look()
    return cluster.quorate is True and all(vm.vmid != vmid for vm in vms.values())


def _is_back(server: str, ports: HealPorts) -> bool:
    """Its power came back before HA was done: then its VMs were started where they were."""
    cluster, nodes, _ = ports.hypervisor.look()
    return cluster.quorate is True and nodes.get(server) == "online"


def _move(move: MigrateVm, mib_s: int, ports: HealPorts) -> None:
    try:
        ports.hypervisor.ensure_migrated(move.vmid, move.target, mib_s)
    except Refused as error:
        raise Refused(
            f"{move.vm} stays where it is: {error.what}", where=error.where, mend=error.mend
        ) from error


def _see_empty(server: str, ports: HealPorts) -> None:
    cluster, _nodes, vms = ports.hypervisor.look()
    if cluster.quorate is not True:
        raise Unreachable("no quorate cluster tells whether it is empty", where=server)
    left = sorted(n for n, vm in vms.items() if vm.server == server and vm.state != "stopped")
    if left:
        raise Failed(
            f"still there: {', '.join(left)}, which the plan did not move",
            where=server,
            mend="the server stays draining; move what is not in the inventory by hand, "
            "and plan again for the rest",
        )
