"""Who is to be together and who apart: wishes that cannot all be had are named as a circle.

Together is passed on: a with b and b with c make a with c. What is apart, pinned elsewhere or
bound to another processor somewhere along that way is a contradiction.
"""

from itertools import combinations

from metal.inventory.draft import Draft
from metal.inventory.mistakes import suggest
from metal.inventory.positions import Path

Way = list[tuple[str, str, Path]]
"""(a, b, where it stands that a and b are together), one after the other."""


def check_affinity(draft: Draft) -> None:
    _names(draft)
    _one_kind(draft)
    for vms in _sets(draft):
        for a, b in combinations(vms, 2):
            _contradiction(draft, a, b)
    _too_few(draft)


def _names(draft: Draft) -> None:
    for vm in draft.vms:
        for key, section in (("together", "vms"), ("prefers", "clusters"), ("home", "servers")):
            for i, name in enumerate(getattr(draft.vms[vm], key)):
                path: Path = ("vms", vm, key, i)
                if name not in draft.declared[section]:
                    noun = "VM" if section == "vms" else section.removesuffix("s")
                    mend = suggest(name, draft.declared[section], noun)
                    draft.at_value(path, f"there is no {noun} `{name}`", mend)
                elif name == vm:
                    draft.at_value(path, "is together with itself", "remove it")


def _one_kind(draft: Draft) -> None:
    """A group is apart by one thing."""
    first: dict[str, str] = {}
    for name, vm in draft.vms.items():
        if vm.apart is None:
            if draft.written(("vms", name, "apart_by")) is not None:
                what = "`apart_by` without a group to be apart from"
                draft.at_value(("vms", name, "apart_by"), what, "add `apart = …`")
            continue
        other = first.setdefault(vm.apart, name)
        if draft.vms[other].apart_by != vm.apart_by:
            by = draft.vms[other].apart_by
            what = f"group `{vm.apart}` is apart by {vm.apart_by} here"
            what += f", but by {by} for `{other}` ({_at(draft, ('vms', other, 'apart'))})"
            path: Path = ("vms", name, "apart_by")
            if draft.written(path) is None:
                path = ("vms", name, "apart")
            draft.at_value(path, what, f'write apart_by = "{by}" for all of them, or another group')


def _edges(draft: Draft) -> dict[str, list[tuple[str, Path]]]:
    edges: dict[str, list[tuple[str, Path]]] = {}
    for name, vm in draft.vms.items():
        for i, other in enumerate(vm.together):
            if other in draft.vms and other != name:
                path: Path = ("vms", name, "together", i)
                edges.setdefault(name, []).append((other, path))
                edges.setdefault(other, []).append((name, path))
    return edges


def _sets(draft: Draft) -> list[list[str]]:
    edges, sets, seen = _edges(draft), [], set[str]()
    for name in draft.vms:
        if name in edges and name not in seen:
            reached = [name]
            for vm in reached:
                reached += [o for o, _ in edges[vm] if o not in reached]
            seen.update(reached)
            sets.append([vm for vm in draft.vms if vm in reached])
    return sets


def _contradiction(draft: Draft, a: str, b: str) -> None:
    one, two = draft.vms[a], draft.vms[b]
    if one.apart is not None and one.apart == two.apart:
        key, said = "apart", f"both are of the group `{one.apart}`, which is apart"
    elif None not in (one.cluster, two.cluster) and one.cluster != two.cluster:
        key, said = "cluster", f"`{a}` is pinned to {one.cluster}, `{b}` to {two.cluster}"
    else:
        return
    steps = [f"`{x}` is together with `{y}` ({_at(draft, p)})" for x, y, p in _way(draft, a, b)]
    ends = [_at(draft, ("vms", vm, key)) for vm in (a, b)]
    what = f"{', '.join(steps)}, but {said} ({' and '.join(ends)})"
    draft.at_value(("vms", b, key), what, "these wishes cannot all be had: give up one of them")


def _way(draft: Draft, a: str, b: str) -> Way:
    """The shortest way from a to b over what is together."""
    edges = _edges(draft)
    ways: dict[str, Way] = {a: []}
    edge = [a]
    while b not in ways:
        vm = edge.pop(0)
        for other, path in edges[vm]:
            if other not in ways:
                ways[other] = [*ways[vm], (vm, other, path)]
                edge.append(other)
    return ways[b]


def _at(draft: Draft, path: Path) -> str:
    return f"{draft.source.file}:{draft.source.positions.value(path)[0]}"


def _too_few(draft: Draft) -> None:
    """A group that is apart by clusters, sites or donors needs as many of them."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, vm in draft.vms.items():
        if vm.apart is not None and vm.apart_by != "server":
            groups.setdefault((vm.apart, vm.apart_by), []).append(name)
    for (group, by), vms in groups.items():
        there = _scopes(draft, by)
        if there is not None and len(vms) > len(there):
            what = f"group `{group}` has {len(vms)} VMs apart by {by}, but there are {len(there)}"
            mend = f"another {by}, fewer of them, or apart by less"
            draft.at_value(("vms", vms[len(there)], "apart"), what, mend)
        pins: dict[str, str] = {}
        for name in vms:
            cluster = draft.vms[name].cluster
            scope = _scope(draft, by, cluster) if cluster else None
            other = pins.setdefault(scope, name) if scope else name
            if other != name:
                what = f"is apart by {by} from `{other}`, which is pinned to {scope} as well"
                draft.at_value(("vms", name, "cluster"), what, "pin one of the two elsewhere")


def _scopes(draft: Draft, by: str) -> set[str] | None:
    """None while a mistake elsewhere leaves that open."""
    if set(draft.declared["clusters"]) != draft.clusters.keys():
        return None
    scopes = {_scope(draft, by, cluster) for cluster in draft.clusters}
    return None if None in scopes else {s for s in scopes if s}


def _scope(draft: Draft, by: str, cluster: str) -> str | None:
    if by == "cluster":
        return cluster if cluster in draft.clusters else None
    site = draft.site_of(cluster)
    if site not in draft.sites:
        return None
    return site if by == "site" else draft.sites[site].donor.name
