"""Laws over what is done to servers: install, form, drain, recover."""

from collections import Counter
from collections.abc import Iterator

from metal.model.laws.after import After
from metal.model.laws.breach import Breach
from metal.model.life import Life, Status
from metal.model.plan import DrainServer, FormCluster, InstallServer, RecoverServer, Risk


def server_laws(after: After) -> Iterator[Breach]:
    """A disk is wiped only with proof that nothing lives there; clusters of the installed."""
    for install in after.installs:
        for what in _install(install, after):
            yield Breach(law="install", subject=install.server, what=what)
    for form in after.forms:
        for what in _form(form, after):
            yield Breach(law="form", subject=form.cluster, what=what)
    for drain in after.drains:
        for what in _drain(drain, after):
            yield Breach(law="drain", subject=drain.server, what=what)
    for recovery in after.recoveries:
        for what in _recover(recovery, after):
            yield Breach(law="recover", subject=recovery.server, what=what)


def _install(action: InstallServer, after: After) -> Iterator[str]:
    server = after.inventory.servers[action.server]
    seen = after.seen(action.server)
    if seen.life not in (Life.ENROLLED, Life.TESTED):
        yield f"is {seen.life}; only an enrolled or tested server may be installed"
    if seen.status == Status.HELD:
        yield "is held: a person must look at it before its disk is wiped"
    if seen.node == "online":
        yield "answers as a node of a cluster; a node is never wiped"
    if guests := sorted(vm for vm, v in after.world.vms.items() if v.server == action.server):
        yield f"holds VMs: {', '.join(guests)}"
    if action.risk != Risk.DESTROYS:
        yield f"wipes a disk but the plan calls it {action.risk}"
    if (action.site, action.profile) != (server.site, server.profile):
        yield "is planned with another site or profile than the inventory says"
    if action.debian != after.inventory.profile(action.server).debian:
        yield f"gets Debian {action.debian}, which its profile does not say"
    yield from _hardware(action, after)


def _hardware(action: InstallServer, after: After) -> Iterator[str]:
    """The disk, card and machine are those recorded at enrolment."""
    server = after.inventory.servers[action.server]
    learned = server.learned
    if learned is None:
        yield "nothing was learned of it, so no disk of it may be wiped"
        return
    for name, serial in action.disks:
        disks = [d for d in learned.disks if d.name == name]
        if not disks:
            yield f"disk {name} is none of those recorded at enrolment"
        elif not any(d.serial == serial for d in disks):
            yield f"disk {name} was recorded with another serial number"
    if len(set(action.disks)) < len(action.disks):
        yield f"disk {action.disk} is to be the mirror of itself"
    if action.mac not in (server.boot_mac, *learned.macs):
        yield f"boots from {action.mac}, which is no card recorded at enrolment"
    if action.uuid != learned.uuid:
        yield "is planned for another system UUID than was recorded"


def _form(action: FormCluster, after: After) -> Iterator[str]:
    installing = {i.server: i.id for i in after.installs}
    for server, times in Counter(action.servers).items():
        if times > 1:
            yield f"takes {server} {times} times"
        if server in installing:
            if installing[server] not in after.before[action.id]:
                yield f"takes {server} without waiting for its installation"
        elif (life := after.seen(server).life) not in (Life.INSTALLED, Life.MEMBER):
            yield f"takes {server}, which is {life}: it must be installed first"
    yield from _beside(action, after)
    if action.ceph != after.inventory.clusters[action.cluster].ceph:
        yield "differs from the inventory over Ceph"
    yield from _osds(action, after)


def _beside(action: FormCluster, after: After) -> Iterator[str]:
    """A cluster is never made anew beside one that runs, nor of servers that carry its VMs;
    nobody joins beside a stranger, who may be that very server by another name."""
    seen = after.world.clusters.get(action.cluster)
    nodes = seen.nodes if seen else ()
    servers = after.inventory.clusters[action.cluster].servers
    if len(servers) < 2:
        return  # a solo machine: nothing is formed
    strangers, joining = set(nodes) - set(servers), set(action.servers) - set(nodes)
    if strangers and joining:
        yield f"lets {', '.join(sorted(joining))} join beside {', '.join(sorted(strangers))}"
    if seen and seen.formed and not set(action.servers) & set(nodes):
        yield f"is made anew, though it is formed of {', '.join(nodes) or 'others'}"
    for name, vm in sorted(after.world.vms.items()):
        here = vm.cluster == action.cluster and vm.server in action.servers
        if here and vm.state == "running" and vm.server not in nodes:
            yield f"takes {vm.server} in, on which {name} runs"


def _osds(action: FormCluster, after: After) -> Iterator[str]:
    """One OSD a disk, none on the disk that this plan gives to Debian."""
    system = {(i.server, serial or name) for i in after.installs for name, serial in i.disks}
    disks = Counter((osd.server, osd.serial or osd.device) for osd in action.osds)
    for (server, disk), times in disks.items():
        if server not in action.servers:
            yield f"puts an OSD on {server}, which it does not take"
        if times > 1:
            yield f"puts {times} OSDs on disk {disk} of {server}"
        if (server, disk) in system:
            yield f"puts an OSD on {disk} of {server}, the disk that gets Debian"


def _drain(action: DrainServer, after: After) -> Iterator[str]:
    seen = after.seen(action.server)
    if seen.life not in (Life.MEMBER, Life.DRAINING):
        yield f"is {seen.life}; only a member can be drained"
    left = [
        vm.name
        for vm in after.on(action.server)
        if vm.name in after.inventory.vms
        and (vm.came or after.world.vms[vm.name].state != "stopped")
    ]
    if left:
        yield f"is to be emptied but keeps {', '.join(sorted(left))}"


def _recover(action: RecoverServer, after: After) -> Iterator[str]:
    if after.seen(action.server).node == "online":
        yield "is online: what still runs must not be started elsewhere"
    restarts, shuts_out = action.restarts, after.inventory.clusters[action.cluster].shuts_out
    if restarts and restarts.planned and shuts_out and not restarts.shut_out:
        yield "could still write to the disks of its VMs: its Ceph clients are not shut out"
    for vm, vmid in action.vms.items():
        seen = after.world.vms.get(vm)
        if seen is None:
            continue
        if seen.server != action.server:
            yield f"{vm} is on {seen.server}, it did not die here"
        if seen.vmid != vmid:
            yield f"{vm} has vmid {seen.vmid}, the plan says {vmid}"
