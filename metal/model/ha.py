"""What a cluster's HA manager is to be told, by what it knows and what its VMs wish for. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Set

from metal.model.plan import HaWishes
from metal.model.world import HaRule, SeenHa

OURS = ("metal-apart-", "metal-together-", "metal-home-")
"""Names of rules that metal made begin so; all others are somebody else's."""


def apart_rule(group: str) -> str:
    return f"{OURS[0]}{group}"


def together_rule(first: str) -> str:
    return f"{OURS[1]}{first}"


def home_rule(vmid: int) -> str:
    return f"{OURS[2]}{vmid}"


def rule_changes(ha: SeenHa, wishes: HaWishes) -> tuple[HaRule, ...]:
    """Rules as they are to be, in the order in which Proxmox takes them; one without VMs goes.

    Of VMs that HA does not manage nothing is told. Somebody else's rule that says the same is
    enough, and one that says otherwise of a VM's nodes counts more than a wish: Proxmox takes one
    such rule a VM. What is wished no more goes, on PVE 8 it stays.
    """
    seen = {rule.name: rule for rule in ha.rules}
    wanted = {rule.name: rule for rule in _wanted(ha, wishes)}
    gone = [
        rule.model_copy(update={"vmids": ()})
        for rule in ha.rules
        if rule.name.startswith(OURS) and rule.name not in wanted and not ha.groups
    ]
    new = [rule for rule in wanted.values() if rule != seen.get(rule.name)]
    gone += _exchanged(ha, new)
    return (*gone, *sorted(new, key=lambda rule: _turn(rule, seen.get(rule.name))))


def too_few_nodes(apart: Set[int], rules: Iterable[HaRule]) -> bool:
    """Whether rules of nodes leave VMs that are apart fewer nodes than there are of them: Proxmox
    refuses that, strict or not."""
    about = [rule for rule in rules if rule.kind == "nodes" and apart & set(rule.vmids)]
    housed = {vmid for rule in about for vmid in apart & set(rule.vmids)}
    return len({node for rule in about for node in rule.nodes}) < len(housed)


def _exchanged(ha: SeenHa, new: list[HaRule]) -> list[HaRule]:
    """Homes of VMs that are apart and change at once, taken away first: of two that change places
    the one that is told first would be where the other still is."""
    apart = {vmid for rule in ha.rules if rule.kind == "apart" for vmid in rule.vmids}
    seen = {rule.name: rule for rule in ha.rules}
    homes = [
        r for r in new if r.name in seen and r.kind == "nodes" and r.nodes != seen[r.name].nodes
    ]
    moved = [rule for rule in homes if apart & set(rule.vmids)]
    return [rule.model_copy(update={"vmids": ()}) for rule in moved] if len(moved) > 1 else []


def _turn(rule: HaRule, before: HaRule | None) -> int:
    """What only lets go of VMs first, then homes, then sets that VMs come into."""
    if before and before.nodes == rule.nodes and set(rule.vmids) < set(before.vmids):
        return 0
    return 1 if rule.kind == "nodes" else 2


def _wanted(ha: SeenHa, wishes: HaWishes) -> Iterator[HaRule]:
    theirs = [rule for rule in ha.rules if not rule.name.startswith(OURS)]
    apart, together = (_managed(ha, sets) for sets in (wishes.apart, wishes.together))
    bound = {vmid for ids in (*apart.values(), *together.values()) for vmid in ids}
    bound |= {vmid for rule in theirs if rule.kind != "nodes" for vmid in rule.vmids}
    for group, vmids in apart.items():
        rule = HaRule(name=apart_rule(group), kind="apart", vmids=vmids)
        yield from () if _said(rule, theirs) else (rule,)
    for first, vmids in together.items():
        rule = HaRule(name=together_rule(first), kind="together", vmids=vmids)
        yield from () if _said(rule, theirs) else (rule,)
    company = [set(ids) for ids in together.values()]
    company += [set(rule.vmids) for rule in theirs if rule.kind == "together"]
    left = {rule.name: set(rule.vmids) for rule in theirs}
    homes = list(_homes(ha, wishes, company, bound, left))
    kept = [rule.model_copy(update={"vmids": tuple(sorted(left[rule.name]))}) for rule in theirs]
    sets = [set(ids) for ids in apart.values()]
    sets += [set(rule.vmids) for rule in theirs if rule.kind == "apart"]
    yield from _with_room(ha, homes, kept, sets)
    for rule, now in zip(theirs, kept, strict=True):
        if len(now.vmids) < len(rule.vmids) and not ha.groups:
            yield now


def _homes(
    ha: SeenHa,
    wishes: HaWishes,
    company: list[set[int]],
    bound: Set[int],
    left: Mapping[str, set[int]],
) -> Iterator[HaRule]:
    """`bound`: VMs that other rules are about. `left`: who stays in each of somebody's rules; those
    who have another home leave it."""
    theirs = [rule for rule in ha.rules if rule.name in left and rule.kind == "nodes"]
    housed = {v for r in theirs for v in r.vmids if _stays(v, r, wishes)}
    for vmid, nodes in wishes.home.items():
        if vmid not in ha.managed or vmid in housed:
            continue
        if other := next((r for r in theirs if vmid in r.vmids), None):
            left[other.name].remove(vmid)
        if housed & _mates(vmid, company):
            continue  # Proxmox takes one such rule for all that stay together: it follows
        housed.add(vmid)
        # Proxmox 9 takes several priorities only of VMs that no other rule is about.
        best = nodes[:1] if vmid in bound and not ha.groups else nodes
        yield HaRule(name=home_rule(vmid), kind="nodes", vmids=(vmid,), nodes=best)


def _with_room(
    ha: SeenHa, homes: list[HaRule], theirs: list[HaRule], apart: list[set[int]]
) -> Iterator[HaRule]:
    """Those homes that Proxmox takes of VMs that are apart; who was told its home keeps it."""
    taken = list(theirs)
    for home in sorted(homes, key=lambda rule: rule not in ha.rules):
        if any(too_few_nodes(ids, [*taken, home]) for ids in apart if ids & set(home.vmids)):
            continue
        taken.append(home)
        yield home


def _stays(vmid: int, rule: HaRule, wishes: HaWishes) -> bool:
    """Whether somebody's rule of nodes counts more for the VM than its wish."""
    wish = wishes.home.get(vmid, rule.nodes)
    return rule.strict or vmid not in wishes.adopted or wish == rule.nodes


def _mates(vmid: int, sets: Iterable[Set[int]]) -> set[int]:
    """Who stays together with it, itself among them: a with b and b with c is a with c."""
    mates, grown = {vmid}, True
    while grown:
        more = mates.union(*(ids for ids in sets if mates & ids))
        mates, grown = more, more != mates
    return mates


def _managed(ha: SeenHa, sets: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Of each set those that HA manages, where there are several; PVE 8 has no such rules."""
    found = {name: tuple(sorted(set(ids) & set(ha.managed))) for name, ids in sets.items()}
    return {name: ids for name, ids in found.items() if len(ids) > 1 and not ha.groups}


def _said(rule: HaRule, theirs: list[HaRule]) -> bool:
    return any(r.kind == rule.kind and set(rule.vmids) <= set(r.vmids) for r in theirs)


def after_changes(ha: SeenHa, changes: tuple[HaRule, ...]) -> SeenHa:
    """What it knows once it was told."""
    left = {rule.name: rule for rule in (*ha.rules, *changes)}
    return ha.model_copy(update={"rules": tuple(rule for rule in left.values() if rule.vmids)})
