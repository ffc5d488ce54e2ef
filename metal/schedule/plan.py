"""Complete actions for VMs: what is missing is placed, what is stopped is started, what is reached
otherwise is told so.

Execution makes no choices: vmid, server and every address are in the action.
"""

from collections.abc import Collection, Iterator, Mapping

from metal.model.addresses import Addressing
from metal.model.fleet import Inventory
from metal.model.plan import DescribeVm, PlaceVm, Risk, StartVm, count
from metal.model.world import World
from metal.network.addresses import AddressPlan, plan_addresses
from metal.network.ipv6 import Use, prefixes, under
from metal.network.sites import Address, parse
from metal.schedule.give_way import LARGEST, Wish, in_the_way
from metal.schedule.place import Home, Placement, place
from metal.schedule.survival import UNIT_MIB
from metal.schedule.wishes import members, together_sets

VmAction = PlaceVm | StartVm | DescribeVm
FIRST_VMID = 100
"""Proxmox keeps those below for itself."""
MOST_NAMED = 12
"""VMs in one warning: more than that are counted."""


def plan_vms(
    inventory: Inventory, world: World, ready: Collection[str], needs: Mapping[str, str]
) -> tuple[tuple[VmAction, ...], tuple[str, ...]]:
    """(actions, warnings). `ready` clusters are formed or will be; `needs` is cluster → the id
    of the action that forms it. An applied plan's world gives no action."""
    placement = place(inventory, world, ready, forming=needs)
    addresses = plan_addresses(
        inventory,
        homes={vm: at[0] for vm, at in placement.fleet.where.items() if inventory.chosen(vm)},
        current={vm: seen.addresses for vm, seen in world.vms.items()},
        shared={vm: seen.shared for vm, seen in world.vms.items() if seen.shared},
    )
    new = {vm: home for vm, home in placement.homes.items() if vm in addresses.given}
    vmids = dict(zip(new, _vmids(world), strict=False))
    known = {vm: seen.vmid for vm, seen in world.vms.items()} | vmids
    groups = _groups(inventory, placement, known)
    sets = {
        vm: (first, tuple(sorted(known[v] for v in all_of_it if v in known)))
        for first, all_of_it in members(together_sets(inventory.vms)).items()
        for vm in all_of_it
    }
    places = tuple(
        _place(inventory, vm, vmids[vm], home, addresses.given[vm], needs, groups, sets)
        for vm, home in new.items()
    )
    warnings = (
        *_unseen(inventory, world, placement),
        *placement.fleet.notes,
        *_overfull(placement),
        *_unplaced(inventory, placement),
        *_give_way(inventory, in_the_way(inventory, world, ready, needs, placement)),
        *_gone(inventory, world, placement),
        *_astray(inventory, world, addresses),
        *(str(shortage) for shortage in addresses.shortages),
        *_unstarted(inventory, world),
    )
    described = _described(world, addresses)
    return (*places, *_starts(inventory, world), *described), warnings


def _vmids(world: World) -> Iterator[int]:
    """The smallest that no VM of the fleet has, in order: one number, one VM, at any site."""
    used = {seen.vmid for seen in world.vms.values()}
    vmid = FIRST_VMID
    while True:
        if vmid not in used:
            yield vmid
        vmid += 1


def _overfull(placement: Placement) -> Iterator[str]:
    """Servers whose VMs were given more memory than they may have: nobody's restart is sure."""
    for room, host in placement.fleet.hosts():
        node = host.node
        if host.known and node.free < 0:
            has, room_gib = node.used * UNIT_MIB / 1024, max(0, node.room) * UNIT_MIB / 1024
            largest = max(node.guests.values(), key=lambda g: (g.memory, g.name))
            yield (
                f"{host.name} is overfull: its VMs have {has:g} GiB of memory (most of it "
                f"{largest.name}: {largest.memory * UNIT_MIB / 1024:g}), and {room_gib:g} GiB "
                f"are for them → give them less, or move some: `metal balance` and "
                f"`metal plan --prove` show {room.name}"
            )


def _groups(
    inventory: Inventory, placement: Placement, vmids: Mapping[str, int]
) -> dict[tuple[str, str], tuple[int, ...]]:
    """(cluster, replica group) → the ids of the group's VMs there, where there are several."""
    found: dict[tuple[str, str], list[int]] = {}
    for vm, at in placement.fleet.where.items():
        wanted = inventory.vms.get(vm)
        if wanted and wanted.apart and vm in vmids:
            found.setdefault((at[0], wanted.apart), []).append(vmids[vm])
    return {key: tuple(sorted(ids)) for key, ids in found.items() if len(ids) > 1}


def _place(
    inventory: Inventory,
    vm: str,
    vmid: int,
    home: Home,
    addressing: Addressing,
    needs: Mapping[str, str],
    groups: Mapping[tuple[str, str], tuple[int, ...]],
    sets: Mapping[str, tuple[str, tuple[int, ...]]],
) -> PlaceVm:
    wanted = inventory.needs(vm)
    group = inventory.vms[vm].apart or ""
    apart = groups.get((home.cluster, group), ())
    first, company = sets.get(vm, (None, ()))
    return PlaceVm(
        what=f"create {vm} on {home.server} and start it",
        why=_why(inventory, vm, home, addressing),
        risk=Risk.SAFE,
        needs=(needs[home.cluster],) if home.cluster in needs else (),
        vm=vm,
        vmid=vmid,
        cluster=home.cluster,
        server=home.server,
        vcpus=wanted.vcpus,
        memory_mib=wanted.memory_mib,
        disk_gib=wanted.disk_gib,
        ha=inventory.clusters[home.cluster].restarts,
        apart=group if apart else None,
        apart_vmids=apart,
        together=first,
        together_vmids=company,
        home=tuple(
            s for s in inventory.vms[vm].home if s in inventory.clusters[home.cluster].servers
        ),
        cpu=inventory.vms[vm].cpu,
        addressing=addressing,
    )


def _why(inventory: Inventory, vm: str, home: Home, addressing: Addressing) -> str:
    """Why there and why those addresses, for someone who did not make the plan."""
    pinned = inventory.vms[vm].cluster is not None
    if not inventory.clusters[home.cluster].restarts:
        place = f"{home.cluster} is where the inventory pins it"
    elif home.server in inventory.vms[vm].home:
        place = "its home"
    elif home.freest:
        place = f"most memory free in {home.cluster}" if pinned else "most memory free of all"
    else:
        place = f"room in {home.cluster} that keeps every server's failure survivable"
    apart = f"; kept apart from {', '.join(home.mates)}" if home.mates else ""
    return f"{place}{apart}; {_address_text(addressing)}: {inventory.vms[vm].why}"


def _address_text(addressing: Addressing) -> str:
    match addressing.treatment:
        case "dedicated":
            return f"its own IPv4 {(addressing.public_ipv4 or '').partition('/')[0]}"
        case "nat":
            public = {f.public for f in addressing.forwards}
            ports = ", ".join(f"{f.protocol} {f.port}" for f in addressing.forwards)
            return f"{ports} of {public.pop()}" if public else "out through NAT only"
        case "proxy":
            public = {r.public for r in addressing.routes}
            return f"by name on {public.pop()}" if public else "behind the proxy"
        case _:
            return "no IPv4 from outside"


def _starts(inventory: Inventory, world: World) -> Iterator[StartVm]:
    for vm, seen in sorted(world.vms.items()):
        wanted = inventory.vms.get(vm)
        if not (wanted and wanted.running):
            continue
        if seen.state == "stopped" and _online(world, seen.server):
            yield StartVm(
                what=f"start {vm} on {seen.server}",
                why="it is in the inventory and was found stopped",
                risk=Risk.SAFE,
                vm=vm,
                vmid=seen.vmid,
                cluster=seen.cluster,
                server=seen.server,
            )


def _described(world: World, addresses: AddressPlan) -> Iterator[DescribeVm]:
    """What a VM that exists is reached by stands at it, or the next plan would not know."""
    for vm, seen in sorted(world.vms.items()):
        given = addresses.given.get(vm)
        if given is None or given.shared == seen.shared or not _online(world, seen.server):
            continue
        yield DescribeVm(
            what=f"write down at {vm} that it is reached by {given.shared or 'no shared address'}",
            why=f"there stands {seen.shared or 'none'}; so that it keeps it from now on",
            risk=Risk.SAFE,
            vm=vm,
            vmid=seen.vmid,
            cluster=seen.cluster,
            server=seen.server,
            addressing=given,
        )


def _online(world: World, server: str) -> bool:
    return server in world.servers and world.servers[server].node == "online"


def _unstarted(inventory: Inventory, world: World) -> Iterator[str]:
    for vm, seen in sorted(world.vms.items()):
        wanted = inventory.vms.get(vm)
        if not (wanted and wanted.running):
            continue
        if seen.state != "running" and not _online(world, seen.server):
            yield (
                f"{vm} is {seen.state} and its server {seen.server} is not online: "
                "nothing is started until that server is recovered"
            )


def _give_way(inventory: Inventory, wishes: Collection[Wish]) -> Iterator[str]:
    """The fewest words of the inventory that, taken out, give every VM a place."""
    if wishes:
        said = " and ".join(f"`{w.key} = {w.value}` of {inventory.told(w.vm)}" for w in wishes)
        which = "this wish" if len(wishes) == 1 else f"these {len(wishes)} wishes"
        fewest = "no fewer do" if len(wishes) <= LARGEST else "not with any one of them back"
        yield f"every VM has a place without {which}, and {fewest}: {said}"


def _unseen(inventory: Inventory, world: World, placement: Placement) -> Iterator[str]:
    """What nobody saw is unknown: an empty plan does not say that it is well."""
    for cluster in placement.fleet.silent:
        servers = inventory.clusters[cluster].servers
        told = {s: world.silent[f"node {s}"] for s in servers if f"node {s}" in world.silent}
        whole = world.silent.get(f"cluster {cluster}")
        reasons = dict.fromkeys([*told.values(), *([whole] if whole else [])])
        why = f" ({'; '.join(reasons)})" if reasons else ""
        vms = [v for v, w in inventory.vms.items() if w.cluster == cluster and v not in world.vms]
        named = ", ".join([*vms[:MOST_NAMED], *(["…"] if vms[MOST_NAMED:] else [])])
        there = f" and its {count(len(vms), 'VM')} ({named})" if vms else ""
        yield (
            f"{cluster} could not be seen{why}: what has become of it{there} is unknown, and "
            f"nothing is planned for it. Get {', '.join(servers)} to answer, and plan again"
        )


def _gone(inventory: Inventory, world: World, placement: Placement) -> Iterator[str]:
    """Adopted VMs that their cluster does not have any more: nobody knows what was on them."""
    for vm, wanted in sorted(inventory.vms.items()):
        silent = wanted.cluster in placement.fleet.silent
        if wanted.adopted and vm not in world.vms and not silent:
            was = f'{wanted.adopted.vmid} "{wanted.adopted.called}"'
            yield (
                f"{vm} is not in {wanted.cluster} any more, where it was adopted as {was}: metal "
                f"does not make it anew. Restore it there from a backup, or remove [vms.{vm}]"
            )


def _unplaced(inventory: Inventory, placement: Placement) -> Iterator[str]:
    """One line for all VMs that wait for the same thing."""
    alike: dict[tuple[str, str], list[str]] = {}
    for left in placement.unplaced:
        alike.setdefault((left.why, left.mend), []).append(left.vm)
    for (why, mend), vms in alike.items():
        verb = "is" if len(vms) == 1 else "are"
        yield f"{', '.join(map(inventory.told, vms))} {verb} not placed: {why} → {mend}"


def _astray(inventory: Inventory, world: World, addresses: AddressPlan) -> Iterator[str]:
    """What runs otherwise than the inventory says, and is left so."""
    for vm, seen in sorted(world.vms.items()):
        if vm not in inventory.vms:
            continue
        pin = inventory.vms[vm].cluster
        if pin not in (None, seen.cluster):
            yield f"{vm} runs in {seen.cluster} but is pinned to {pin}: it is left where it is"
        given = addresses.given.get(vm)
        if given is None or not seen.addresses:
            continue
        if seen.shared and given.shared and given.shared != seen.shared:
            yield (
                f"{vm} was on the shared address {seen.shared} and comes to {given.shared}: tell "
                "its gateways (`metal network apply`), and its name servers"
            )
        site = inventory.site_of(seen.cluster)
        wants = set(parse(tuple(a for a in _own(given) if a)))
        wants |= _under(inventory, site, given, "next")
        # While a site is renumbered the old addresses may stay, and need not.
        has = set(parse(seen.addresses)) - _under(inventory, site, given, "old")
        if wants != has:
            missing = ", ".join(sorted(map(str, wants - has))) or "nothing more"
            extra = ", ".join(sorted(map(str, has - wants))) or "nothing"
            yield (
                f"{vm} has other addresses than planned: it should get {missing} and lose {extra}; "
                "metal does not change the addresses of a VM that exists: do it in Proxmox"
            )


def _under(inventory: Inventory, site: str, given: Addressing, use: Use) -> set[Address]:
    """Its addresses under the site's prefixes of that use."""
    networks = [p.vms for p in prefixes(inventory, site) if p.use == use]
    return {under(given.ipv6, network) for network in networks if given.ipv6}


def _own(addressing: Addressing) -> tuple[str | None, ...]:
    return (addressing.private_ipv4, addressing.public_ipv4, addressing.ipv6)
