"""Upgrade a cluster, let a server leave it, put another into a dead one's place."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from metal.cluster import parting, upgrade
from metal.controller.heirs import REPLACE
from metal.controller.look import look, names_of
from metal.controller.performing import Shown
from metal.controller.planning import drain_action
from metal.controller.powering import switching
from metal.controller.progress import Progress
from metal.controller.rehearsing import refuse_if_pinned
from metal.controller.unlocking import unlock_held
from metal.controller.workspace import Workspace
from metal.drivers.ports import Shell
from metal.drivers.proxmox.nodeshell import NodeShell
from metal.drivers.ssh import Ssh
from metal.inventory.edit import edit
from metal.inventory.mistakes import refuse_unknown
from metal.inventory.replacing import replacing, standing_alone
from metal.model.errors import Failed, Refused, Unreachable
from metal.model.hypervisor import Checked
from metal.model.life import Life, Status
from metal.operations.leading import Term
from metal.operations.run import Run, perform

UPGRADE, LEAVE = "cluster upgrade", "cluster leave"
"""Kinds of operations, and how the commands are called that go on with them."""
QUORUM = 3
"""Servers below which the restart of one costs the others their quorum."""
AGED = frozenset({Life.MEMBER, Life.DRAINING})
COMING = frozenset({Life.ENROLLED, Life.TESTED, Life.INSTALLED})

ShellOf = Callable[[str], Shell]


def shell_of(workspace: Workspace) -> ShellOf:
    """Root's shell on an installed server, logged in to with the controller's own key."""
    return lambda server: NodeShell(Ssh(workspace.ssh_host(server)))


def upgrade_cluster(
    workspace: Workspace, name: str, progress: Progress, shell: ShellOf | None = None
) -> dict[str, Any]:
    """Every server in turn; Failed at the first doubt, saying where it stands."""
    shell = shell or shell_of(workspace)
    servers = may_upgrade(workspace, name, shell)
    ports = _upgrade_ports(workspace, name, shell)
    return carried_out(
        workspace,
        UPGRADE,
        name,
        _claims(name, *servers),
        lambda run: upgrade.upgrade(run, servers, ports),
        progress,
        upgrade.VERSION,
    )


def may_upgrade(workspace: Workspace, name: str, shell: ShellOf | None = None) -> tuple[str, ...]:
    """Its servers; an error, before anything is begun, where it cannot be done now."""
    servers = _servers(workspace, name)
    if len(servers) < QUORUM:
        raise Refused(
            f"it has {len(servers)} server{'s'[: len(servers) != 1]}: while one restarts, the rest "
            "has no quorum and its VMs stop",
            where=name,
            mend="upgrade it by hand, when its VMs may be down: apt update && apt dist-upgrade",
        )
    if not _under_way(workspace, UPGRADE, name, _claims(name, *servers)):
        upgrade.refuse(name, servers, workspace.proxmox(name), shell or shell_of(workspace))
    return servers


def checklist(workspace: Workspace, name: str, shell: ShellOf | None = None) -> dict[str, Checked]:
    """Server → what forbids and what warns of the next release, by Proxmox's own script."""
    servers, ask = _servers(workspace, name), shell or shell_of(workspace)
    versions = workspace.proxmox(name).condition().versions
    told = {}
    for server in servers:
        if server not in versions:
            raise Unreachable("it is offline", where=server, mend="bring it up, then ask again")
        told[server] = Checked(runs=versions[server])
        if not told[server].there:
            fail, warn = ask(server).checklist()
            told[server] = Checked(runs=versions[server], fail=fail, warn=warn)
    return told


def leave_cluster(
    workspace: Workspace, server: str, progress: Progress, shell: ShellOf | None = None
) -> dict[str, Any]:
    """A server that runs is taken out, and stands alone in the inventory afterwards."""
    cluster = may_leave(workspace, server)
    ports = _parting_ports(workspace, server, cluster, shell or shell_of(workspace))
    done = carried_out(
        workspace,
        LEAVE,
        server,
        _claims(cluster, server),
        lambda run: parting.leave(run, server, ports),
        progress,
        parting.VERSION,
    )
    edit(workspace.folder, [standing_alone(server)])
    workspace.reload()
    return done


def may_leave(workspace: Workspace, server: str) -> str:
    """Its cluster; Refused, with the way out, before anything is begun where it cannot go."""
    cluster = _cluster_of(workspace, server, gone=True)
    if not _under_way(workspace, LEAVE, server, _claims(cluster, server)):
        parting.refuse_leave(server, workspace.proxmox(cluster))
    return cluster


def may_replace(workspace: Workspace, old: str, new: str) -> str:
    """The cluster of `old`; Refused, with the way out, where that is not dead, or `new` cannot take
    its place."""
    cluster = _cluster_of(workspace, old, gone=True)
    if new != old:
        _may_inherit(workspace, cluster, old, new)
    if not _replacing(workspace, cluster, old, new):
        names = names_of(workspace, cluster)
        parting.refuse_burial(old, cluster, workspace.proxmox(cluster), names)
    return cluster


def _may_inherit(workspace: Workspace, cluster: str, old: str, new: str) -> None:
    inventory = workspace.inventory
    refuse_unknown(new, inventory.servers, "server")
    if inventory.servers[new].site != inventory.servers[old].site:
        raise Refused(
            f"it is at {inventory.servers[new].site}, {old} at {inventory.servers[old].site}",
            where=new,
            mend="a cluster never spans sites",
        )
    if workspace.life(new) not in COMING and inventory.cluster_of(new) != cluster:
        raise Refused(
            f"it is {workspace.life(new)}", where=new, mend=f"enrol it first: `metal enroll {new}`"
        )


def replace_server(
    workspace: Workspace, old: str, new: str, progress: Progress, shell: ShellOf | None = None
) -> dict[str, Any]:
    """`old`, dead, is forgotten by its cluster, and `new` stands in its place in the inventory."""
    cluster = may_replace(workspace, old, new)
    if not _replacing(workspace, cluster, old, new):
        _await_ha(workspace, old, cluster, progress)
    ports = _parting_ports(workspace, old, cluster, shell or shell_of(workspace))
    done = carried_out(
        workspace,
        REPLACE,
        old,
        _claims(cluster, old),
        lambda run: parting.bury(run, old, ports),
        progress,
        parting.VERSION,
        _heir(new),
    )
    if new != old:
        edit(workspace.folder, [replacing(old, new)])
        workspace.reload()
    else:
        workspace.store.servers.move(old, Life.FOUND)
    return done


def _await_ha(workspace: Workspace, server: str, cluster: str, progress: Progress) -> None:
    key, done = f"HA restarts elsewhere what {server} held", False
    pause = workspace.inventory.fleet.poll_seconds
    progress.begin(key, key)
    try:
        names = names_of(workspace, cluster)
        parting.await_ha(server, workspace.proxmox(cluster), names, lambda: time.sleep(pause))
        done = True
    finally:
        progress.end(key, done, "")


def carried_out(
    workspace: Workspace,
    kind: str,
    subject: str,
    claims: Sequence[str],
    flow: Callable[[Run], Any],
    progress: Progress,
    version: int,
    params: dict[str, Any] | None = None,
    term: Term | None = None,
) -> dict[str, Any]:
    """What the flow returns; Failed, saying how to go on, when it stopped.

    With `term`, nothing is begun or written once that is over (Deposed, LeaseLost).
    """
    store, result = workspace.store, {}

    def kept(run: Run) -> None:
        result.update(flow(run))

    operation = store.journal.open(kind, subject, claims, params or {}, version, term)
    key = f"{kind} {subject}"
    progress.begin(key, key)
    with Shown(workspace, operation.id, key, progress):
        outcome = perform(store, operation, kept, version=version, term=term)
    done = outcome.status is Status.DONE
    progress.end(key, done, "" if done else (outcome.error or "stopped").splitlines()[0])
    if not done:
        raise Failed(
            outcome.error or "it was stopped",
            mend=f"`metal {key}` goes on from there; `metal run cancel {operation.id}` gives it up",
        )
    return result


def _upgrade_ports(workspace: Workspace, name: str, shell: ShellOf) -> upgrade.UpgradePorts:
    servers = workspace.store.servers
    hypervisor = workspace.proxmox(name)

    def left(server: str) -> list[str]:
        managed = hypervisor.ha_managed()
        return sorted(
            vm
            for vm, seen in hypervisor.look()[2].items()
            if seen.server == server and seen.vmid in managed and seen.state == "running"
        )

    def moves(server: str) -> list[upgrade.Move]:
        planned = drain_action(workspace.inventory, look(workspace), server).moves
        return [
            {"vm": m.vm, "vmid": m.vmid, "source": m.source, "target": m.target} for m in planned
        ]

    return upgrade.UpgradePorts(
        ages=hypervisor,
        shell=shell,
        left=left,
        moves=moves,
        away=lambda server: servers.move(server, Life.DRAINING),
        back=lambda server: servers.move(server, Life.MEMBER),
        rehearse=lambda server: refuse_if_pinned(workspace, server),
        unlock=lambda server: unlock_held(workspace, server),
        every=workspace.inventory.fleet.poll_seconds,
    )


def _parting_ports(
    workspace: Workspace, server: str, cluster: str, shell: ShellOf
) -> parting.PartingPorts:
    servers = workspace.store.servers

    def retire(name: str) -> None:
        if servers.get(name).life is Life.MEMBER:
            servers.move(name, Life.DRAINING)
        servers.move(name, Life.RETIRED)
        servers.release(name)
        servers.unpin(name)

    return parting.PartingPorts(
        ages=workspace.proxmox(cluster),
        shell=shell,
        power=switching(workspace, server),
        retire=retire,
        names=names_of(workspace, cluster),
        every=workspace.inventory.fleet.poll_seconds,
    )


def _servers(workspace: Workspace, name: str) -> tuple[str, ...]:
    clusters = workspace.inventory.clusters
    refuse_unknown(name, clusters, "cluster")
    if formed := tuple(s for s in clusters[name].servers if workspace.life(s) in AGED):
        return formed
    raise Refused("it is not formed yet", where=name, mend=f"`metal cluster form {name}`")


def _claims(cluster: str, *servers: str) -> tuple[str, ...]:
    return (f"cluster {cluster}", *(f"server {server}" for server in servers))


def _replacing(workspace: Workspace, cluster: str, old: str, new: str) -> bool:
    return _under_way(workspace, REPLACE, old, _claims(cluster, old), _heir(new))


def _heir(name: str) -> dict[str, Any]:
    return {"heir": name}


def _under_way(
    workspace: Workspace,
    kind: str,
    subject: str,
    claims: Sequence[str],
    params: dict[str, Any] | None = None,
) -> bool:
    """One that was begun goes on from where it stopped, whatever it did to its cluster since.

    Refused where another holds what this one needs: before anybody is asked.
    """
    journal = workspace.store.journal
    this = (kind, subject, params or {})
    if any((o.kind, o.subject, o.params) == this for o in journal.list(open_only=True)):
        return True
    journal.refuse_held(kind, subject, claims)
    return False


def _cluster_of(workspace: Workspace, server: str, *, gone: bool = False) -> str:
    inventory = workspace.inventory
    refuse_unknown(server, inventory.servers, "server")
    cluster = inventory.cluster_of(server)
    lives = AGED | ({Life.RETIRED} if gone else set())
    if cluster is None or workspace.life(server) not in lives:
        raise Refused(f"it is {workspace.life(server)}, no member of a cluster", where=server)
    return cluster
