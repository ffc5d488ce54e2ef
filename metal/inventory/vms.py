"""VMs: what they wish for can be had where they are to run."""

from metal.inventory.draft import Draft
from metal.model.fleet import Vm
from metal.network.sites import spans


def check_vms(draft: Draft) -> None:
    for name, vm in draft.vms.items():
        if not vm.why.strip():
            what = "`why` is empty: the next volunteer must be able to judge the wish"
            draft.at_value(("vms", name, "why"), what, "say it in a few words")
        _services(draft, name, vm)
        _ingress(draft, name, vm)
        _needs(draft, name, vm)
        if vm.adopted is None:  # it runs as it is, whatever would be chosen for a new one
            _treatment(draft, name, vm)
            _alone(draft, name, vm)
    _groups(draft)
    _names(draft)


def _services(draft: Draft, name: str, vm: Vm) -> None:
    """A port once; behind a proxy once for each host name."""
    seen: list[tuple[str, str | None, int, int]] = []
    for i, service in enumerate(vm.serves):
        path = ("vms", name, "serves", i)
        told_by = service.name if vm.ipv4 == "proxy" else None
        first, last = service.ports
        if first > last:
            what = f"the range of ports ends at {last}, before it begins at {first}"
            draft.at_value(path, what, "`port` is the first, `last` the last one")
        elif any(
            (p, t) == (service.protocol, told_by) and first <= b and a <= last
            for p, t, a, b in seen
        ):
            what = f"{service.protocol} port {first} is served twice"
            draft.at_value(path, what, "remove one of the two")
        if vm.ipv4 == "proxy" and service.name and last != first:
            what = "a proxy tells names apart on single ports, not on a range"
            draft.at_value(path, what, 'remove `last`, or give the VM ipv4 = "nat"')
        seen.append((service.protocol, told_by, first, last))


def _ingress(draft: Draft, name: str, vm: Vm) -> None:
    """What is forwarded to Kubernetes goes to an address that Kubernetes hands out there."""
    for i, service in enumerate(vm.serves):
        if service.to is None:
            continue
        path = ("vms", name, "serves", i, "to")
        if vm.ipv4 not in ("nat", "proxy") or (vm.ipv4 == "proxy" and service.name):
            what = f"only ports that are forwarded lead to {service.to}"
            draft.at_value(path, what, 'ipv4 = "nat", or remove `to`')
        for site in _sites(draft, vm):
            ranges = spans(draft.sites[site].subnets.metallb)
            if not any(low <= int(service.to) <= high for low, high in ranges):
                what = f"{service.to} is in no `metallb` range of {site}, where the VM may run"
                draft.at_value(path, what, "pin the VM to a cluster there, or give one of its own")
                break


def _needs(draft: Draft, name: str, vm: Vm) -> None:
    """What a VM needs can be had with the treatment it asks for."""
    for i, need in enumerate(vm.needs):
        path = ("vms", name, "needs", i)
        if need in vm.needs[:i]:
            draft.at_value(path, f"`{need}` stands here twice", "remove one")
        if vm.ipv4 not in ("dedicated", "nat"):
            what = f"needs `{need}`, which `{vm.ipv4}` cannot give"
            draft.at_value(path, what, 'ipv4 = "nat", or "dedicated"')
    if "ipsec" in vm.needs:
        served = [(s.protocol, *s.ports) for s in vm.serves]
        for port in (500, 4500):
            if not any(p == "udp" and a <= port <= b for p, a, b in served):
                what = f"needs `ipsec` but does not serve udp port {port}"
                mend = f'add {{ port = {port}, protocol = "udp" }} to its `serves`'
                draft.at_value(("vms", name, "needs", vm.needs.index("ipsec")), what, mend)


def _names(draft: Draft) -> None:
    """A name leads to one VM of a site: where both are pinned, that is known already."""
    taken: dict[tuple[str, str, int], str] = {}
    for name, vm in draft.vms.items():
        sites = _sites(draft, vm) if vm.ipv4 == "proxy" else []
        for i, service in enumerate(vm.serves if len(sites) == 1 else ()):
            if service.name is None:
                continue
            other = taken.setdefault((sites[0], service.name, service.port), name)
            if other != name:
                what = f"{service.name} port {service.port} is served by `{other}` at {sites[0]}"
                mend = "a proxy sends a name to one VM: rename one, or pin it elsewhere"
                draft.at_value(("vms", name, "serves", i), what, mend)


def _treatment(draft: Draft, name: str, vm: Vm) -> None:
    path = ("vms", name, "ipv4")
    if vm.ipv4 == "proxy" and not any(s.name and s.protocol == "tcp" for s in vm.serves):
        what = "`proxy` without a named service: nothing tells this VM from others"
        mend = 'serves = [{ port = 443, name = "www.example.org" }], or ipv4 = "nat"'
        draft.at_value(path, what, mend)
    if vm.ipv4 == "nat" and not vm.serves:
        what = "`nat` without a port to forward"
        draft.at_value(path, what, 'add `serves = [{ port = … }]`, or ipv4 = "ipv6"')
    sites = _sites(draft, vm)
    if not sites:
        return
    where = f"at {sites[0]}" if len(sites) == 1 else "at any site"
    if vm.ipv4 == "ipv6":
        if vm.serves and not any(draft.sites[s].subnets.ipv6 for s in sites):
            what = f"serves the world over IPv6 only, but there is no IPv6 {where}"
            draft.at_value(path, what, "pin it to another cluster, or add `ipv6` to the subnets")
    elif not any(draft.sites[s].ipv4_pool for s in sites):
        what = f"asks for `{vm.ipv4}`, but there is no public IPv4 {where}"
        mend = "pin it to a cluster at another site, add an `ipv4_pool`, or take `ipv6`"
        draft.at_value(path, what, mend)


def _sites(draft: Draft, vm: Vm) -> list[str]:
    """Where it may run; empty when a mistake elsewhere leaves that open."""
    clusters = [vm.cluster] if vm.cluster else list(draft.clusters)
    sites = [draft.site_of(c) for c in clusters]
    known = [s for s in sites if s in draft.sites]
    return list(dict.fromkeys(s for s in known if s)) if len(known) == len(sites) else []


def _alone(draft: Draft, name: str, vm: Vm) -> None:
    """A cluster of one, or without shared storage, restarts nothing: what is pinned there has a
    replica elsewhere, or waits."""
    cluster = draft.clusters.get(vm.cluster or "")
    if cluster is None or cluster.restarts or vm.may_wait:
        return
    replicas = [n for n, v in draft.vms.items() if v.apart == vm.apart and n != name]
    if vm.apart is None or all(draft.vms[r].cluster == vm.cluster for r in replicas):
        whose = "a single server" if len(cluster.servers) == 1 else "without shared storage"
        what = f"is pinned to `{vm.cluster}`, {whose}, without a replica elsewhere"
        mend = (
            "give it an `apart` group with a VM on another cluster, pin it to another, or say "
            "`may_wait = true`: it is gone then until that server is back"
        )
        draft.at_value(("vms", name, "cluster"), what, mend)


def _groups(draft: Draft) -> None:
    """An apart group needs as many servers as it has VMs, in all and where they are pinned."""
    groups: dict[str, list[str]] = {}
    for name, vm in draft.vms.items():
        if vm.apart is not None:
            groups.setdefault(vm.apart, []).append(name)
    for group, vms in groups.items():
        _crowd(draft, group, vms, len(draft.declared["servers"]), "in all")
        for cluster, fleet in draft.clusters.items():
            pinned = [v for v in vms if draft.vms[v].cluster == cluster]
            _crowd(draft, group, pinned, len(set(fleet.servers)), f"in cluster `{cluster}`")


def _crowd(draft: Draft, group: str, vms: list[str], servers: int, where: str) -> None:
    if len(vms) > servers:
        what = f"group `{group}` has {len(vms)} VMs, but there are {servers} servers {where}"
        mend = "replicas never share a server: fewer of them, or another cluster for some"
        draft.at_value(("vms", vms[servers], "apart"), what, mend)
