"""Where the VMs of a dead server run again, where no HA decides that. Pure.

By the survival plan that `metal whatif` shows, while there is one; else what fits, most important
first, and the reason for each that does not.
"""

from collections.abc import Collection
from ipaddress import IPv6Interface, ip_interface

from metal.model.addresses import Addressing
from metal.model.fleet import Inventory
from metal.model.plan import Restart, Restarts
from metal.model.world import SeenVm, World
from metal.network.addresses import plan_addresses
from metal.schedule.capacity import Fleet, Host, Room, carries, survey
from metal.schedule.moves import find_homes, most_important_first, why_stranded
from metal.schedule.prove import lose
from metal.schedule.survival import Guest


def plan_restarts(
    inventory: Inventory, world: World, server: str, vms: Collection[str]
) -> Restarts:
    """What becomes of those of `vms` that are on `server`, which is dead.

    What nobody told does not count: a server with a VM of unknown size takes nothing.
    """
    cluster = inventory.cluster_of(server)
    if cluster is None or not inventory.clusters[cluster].restarts:
        return Restarts(stranded=dict.fromkeys(vms, f"its disk is on {server} alone"))
    fleet = survey(inventory, world, inventory.clusters, ())
    room = fleet.rooms[cluster]
    source = room.hosts[server]
    guests = [g for g in most_important_first(inventory, source) if g.name in vms]
    targets = _targets(fleet, room, world, source)
    homes, waits = _homes(room, world, source, guests, targets)
    given = _given(inventory, world, fleet)
    homes = {vm: home for vm, home in homes.items() if vm in given}
    stranded = {
        g.name: why_stranded(g, room, source, targets)
        if g.name in given
        else "its addresses are not known"
        for g in guests
        if g.name not in homes and g.name not in waits
    }
    strangers = sorted(set(vms) - {g.name for g in guests})
    unknown = "it is not in the inventory, so nobody knows what it is to be"
    return Restarts(
        planned=tuple(
            _restart(inventory, world.vms[g.name], g.name, homes[g.name], given[g.name])
            for g in guests
            if g.name in homes
        ),
        waits=waits,
        stranded=stranded | dict.fromkeys(strangers, unknown),
        shut_out=ceph_addresses(inventory, server) if inventory.clusters[cluster].shuts_out else (),
    )


def where_it_is(inventory: Inventory, world: World, vm: str) -> Restart:
    """On the server where its definition is: whoever put it there died before he started it."""
    given = _given(inventory, world, survey(inventory, world, inventory.clusters, ()))
    seen = world.vms[vm]
    return _restart(inventory, seen, vm, seen.server, given[vm])


def ceph_addresses(inventory: Inventory, server: str) -> tuple[str, ...]:
    """Where Ceph may have seen the server's clients come from."""
    places = inventory.places(server, inventory.links(server))
    own = str(inventory.servers[server].address)
    on_ceph = [str(places["ceph"].address.ip)] if "ceph" in places else []
    return tuple(dict.fromkeys((*on_ceph, own)))


def _targets(fleet: Fleet, room: Room, world: World, source: Host) -> list[Host]:
    return [
        host
        for host in room.hosts.values()
        if host is not source
        and not host.closed
        and carries(world, host.name)
        and fleet.unsized.isdisjoint(host.node.guests)
    ]


def _homes(
    room: Room, world: World, source: Host, guests: list[Guest], targets: list[Host]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """(VM → server, those that wait for theirs)."""
    names = {guest.name for guest in guests}
    proven = lose(
        room, source.name, {h.name for h in room.hosts.values() if carries(world, h.name)}
    )
    sound = {host.name for host in targets}
    if proven.verdict == "survivable" and sound.issuperset(proven.restarts.values()):
        homes = {vm: home for vm, home in proven.restarts.items() if vm in names}
        return homes, tuple(vm for vm in proven.waits if vm in names)
    return find_homes(guests, targets), ()


def _given(inventory: Inventory, world: World, fleet: Fleet) -> dict[str, Addressing]:
    """Every VM's addresses by plan: those it has, where it has any."""
    return plan_addresses(
        inventory,
        homes={vm: at[0] for vm, at in fleet.where.items() if vm in inventory.vms},
        current={vm: seen.addresses for vm, seen in world.vms.items()},
        shared={vm: seen.shared for vm, seen in world.vms.items() if seen.shared},
    ).given


def _restart(
    inventory: Inventory, seen: SeenVm, vm: str, target: str, given: Addressing
) -> Restart:
    needs = inventory.needs(vm)
    return Restart(
        vm=vm,
        vmid=seen.vmid,
        target=target,
        vcpus=seen.vcpus or needs.vcpus,
        memory_mib=seen.memory_mib or needs.memory_mib,
        disk_gib=needs.disk_gib,
        cpu=inventory.vms[vm].cpu,
        addressing=_kept(inventory, seen, given),
    )


def _kept(inventory: Inventory, seen: SeenVm, given: Addressing) -> Addressing:
    """The addresses that it had: a restart gives no others, whatever is planned by now."""
    private = inventory.sites[inventory.site_of(seen.cluster)].subnets.private_ipv4
    had: dict[str, str | None] = {"private_ipv4": given.private_ipv4}
    for text in seen.addresses:
        address = ip_interface(text)
        if isinstance(address, IPv6Interface):
            had["ipv6"] = text
        else:
            own = private is not None and address.ip in private
            had["private_ipv4" if own else "public_ipv4"] = text
    if not seen.addresses:
        return given
    had.setdefault("ipv6", None)
    had.setdefault("public_ipv4", None)
    return given.model_copy(update=had)
