"""What HA is to be told: told once it is enough, and somebody else's rules stay."""

from hypothesis import given
from hypothesis import strategies as st

from metal.model.ha import OURS, after_changes, home_rule, rule_changes, too_few_nodes
from metal.model.plan import HaWishes
from metal.model.world import HaRule, SeenHa

VMIDS = st.integers(100, 105)
NODES = st.lists(st.sampled_from(["n1", "n2", "n3"]), min_size=1, max_size=3, unique=True).map(
    tuple
)
SETS = st.dictionaries(
    st.sampled_from(["db", "web"]), st.lists(VMIDS, max_size=4, unique=True).map(tuple)
)
WISHES = st.builds(
    HaWishes,
    apart=SETS,
    together=SETS,
    home=st.dictionaries(VMIDS, NODES),
    adopted=st.lists(VMIDS, unique=True).map(tuple),
)


@st.composite
def managers(draw: st.DrawFn) -> SeenHa:
    """As Proxmox lets them be: a VM in one node rule at most."""
    homes: dict[str, set[int]] = {}
    for vmid in range(100, 106):
        where = draw(st.sampled_from(["", "theirs", "bound", home_rule(vmid)]))
        if where:
            homes.setdefault(where, set()).add(vmid)
    rules = [
        HaRule(
            name=name,
            kind="nodes",
            vmids=tuple(sorted(vmids)),
            nodes=draw(NODES),
            strict=name == "bound",
        )
        for name, vmids in homes.items()
    ]
    for kind, name in (("apart", "metal-apart-db"), ("together", "pair")):
        vmids = draw(st.lists(VMIDS, min_size=2, max_size=4, unique=True))
        rules.append(
            HaRule.model_validate({"name": name, "kind": kind, "vmids": tuple(sorted(vmids))})
        )
    managed = draw(st.lists(VMIDS, unique=True))
    return SeenHa(managed=tuple(sorted(managed)), rules=tuple(rules), groups=False)


@given(managers(), WISHES)
def test_what_was_told_is_not_told_again(ha: SeenHa, wishes: HaWishes) -> None:
    told = after_changes(ha, rule_changes(ha, wishes))
    assert rule_changes(told, wishes) == ()


@given(managers(), WISHES)
def test_no_vm_is_ever_in_two_node_rules(ha: SeenHa, wishes: HaWishes) -> None:
    """After each single change, as Proxmox judges them."""
    for change in rule_changes(ha, wishes):
        ha = after_changes(ha, (change,))
        homes = [vmid for rule in ha.rules if rule.kind == "nodes" for vmid in rule.vmids]
        assert len(homes) == len(set(homes))


@given(managers(), WISHES)
def test_somebody_elses_rules_stay(ha: SeenHa, wishes: HaWishes) -> None:
    """But for adopted VMs that have another home now, which a rule that is not strict lets go."""
    after = {rule.name: rule for rule in after_changes(ha, rule_changes(ha, wishes)).rules}
    for rule in (r for r in ha.rules if not r.name.startswith(OURS)):
        left = set(after[rule.name].vmids) if rule.name in after else set()
        gone = set(rule.vmids) - left
        assert not gone or (rule.kind == "nodes" and not rule.strict)
        assert gone <= set(wishes.adopted) & wishes.home.keys()


@given(managers(), WISHES)
def test_several_priorities_only_where_no_other_rule_is(ha: SeenHa, wishes: HaWishes) -> None:
    for rule in rule_changes(ha, wishes):
        if rule.vmids and rule.name.startswith(OURS[2]) and len(rule.nodes) > 1:
            after = after_changes(ha, rule_changes(ha, wishes))
            assert not any(r.kind != "nodes" and rule.vmids[0] in r.vmids for r in after.rules)


@given(managers(), WISHES)
def test_who_stays_together_has_one_home(ha: SeenHa, wishes: HaWishes) -> None:
    """Proxmox refuses a second rule of nodes for any of them: they follow the one."""
    after = after_changes(ha, rule_changes(ha, wishes)).rules
    homes = [rule for rule in after if rule.kind == "nodes"]
    for rule in (r for r in after if r.kind == "together"):
        about = [home for home in homes if set(home.vmids) & set(rule.vmids)]
        ours = [home for home in about if home.name.startswith(OURS)]
        assert not ours or len(about) == 1


@given(managers(), WISHES)
def test_who_is_apart_has_as_many_nodes(ha: SeenHa, wishes: HaWishes) -> None:
    """Proxmox refuses homes of fewer nodes than VMs: who was not told yet goes without."""
    after = after_changes(ha, rule_changes(ha, wishes)).rules
    for rule in (r for r in after if r.kind == "apart"):
        if too_few_nodes(set(rule.vmids), after):
            about = [r for r in after if r.kind == "nodes" and set(r.vmids) & set(rule.vmids)]
            assert not any(home.name.startswith(OURS) for home in about)


def test_vms_that_are_apart_change_homes() -> None:
    """Both let go first: the first would be where the second still is."""
    apart = HaRule(name="metal-apart-db", kind="apart", vmids=(100, 101))
    homes = [
        HaRule(name=home_rule(v), kind="nodes", vmids=(v,), nodes=(n,))
        for v, n in ((100, "n1"), (101, "n2"))
    ]
    ha = SeenHa(managed=(100, 101), rules=(apart, *homes))
    wishes = HaWishes(apart={"db": (100, 101)}, home={100: ("n2",), 101: ("n1",)})
    for change in rule_changes(ha, wishes):
        ha = after_changes(ha, (change,))
        assert not too_few_nodes({100, 101}, ha.rules)
    assert {r.name: r.nodes for r in ha.rules if r.kind == "nodes"} == {
        home_rule(100): ("n2",),
        home_rule(101): ("n1",),
    }


def test_groups_know_nothing_of_apart() -> None:
    ha = SeenHa(managed=(100, 101), groups=True)
    wishes = HaWishes(apart={"db": (100, 101)}, home={100: ("n2", "n1")})
    (change,) = rule_changes(ha, wishes)
    assert (change.name, change.nodes) == ("metal-home-100", ("n2", "n1"))
