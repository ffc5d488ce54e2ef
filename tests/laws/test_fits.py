"""The exact packing behind the law of survival, against brute force over every way to pack."""

from itertools import product
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metal.model.cpus import offers
from metal.model.laws import survival
from metal.model.laws.survival import Bin, Item, TooHard, fits

GROUPS = st.frozensets(st.sampled_from("gh"), max_size=1) | st.just(frozenset())
CPUS = st.sampled_from([None, None, "x86-64-v3"])
ITEMS = st.lists(
    st.builds(
        Item,
        st.integers(0, 9).map(lambda n: n * 512),
        st.integers(0, 4),
        GROUPS,
        CPUS.map(lambda cpu: frozenset({cpu})),
    ),
    max_size=6,
)
OFFERS = st.sampled_from([None, offers("Westmere"), offers("Haswell"), offers("Opteron_G3")])
BINS = st.lists(
    st.builds(
        Bin,
        st.integers(0, 6000),
        st.sampled_from([2, 5, 9, inf]),
        st.frozensets(st.sampled_from("gh"), max_size=2),
        OFFERS,
    ),
    max_size=4,
)


def by_brute_force(items: list[Item], bins: list[Bin]) -> bool:
    return any(_packs(items, bins, way) for way in product(range(len(bins)), repeat=len(items)))


def _packs(items: list[Item], bins: list[Bin], way: tuple[int, ...]) -> bool:
    for k, b in enumerate(bins):
        here = [item for item, where in zip(items, way, strict=True) if where == k]
        groups = [*b.groups, *(g for i in here for g in i.groups)]
        if sum(i.memory for i in here) > b.memory or sum(i.vcpus for i in here) > b.vcpus:
            return False
        if len(set(groups)) < len(groups):
            return False
        for cpu in (cpu for i in here for cpu in i.cpus):
            known = b.cpus is not None
            if cpu is None and known and "x86-64-v2-AES" not in (b.cpus or ()):
                return False
            if cpu is not None and (not known or cpu not in (b.cpus or ())):
                return False
    return True


@settings(max_examples=400)
@given(ITEMS, BINS)
def test_the_verdict_is_that_of_brute_force(items: list[Item], bins: list[Bin]) -> None:
    assert fits(items, bins) == by_brute_force(items, bins)


def test_a_rule_of_sums_would_be_wrong() -> None:
    bins = [Bin(6), Bin(6)]
    assert fits([Item(n) for n in (4, 4, 2, 2)], bins)
    assert not fits([Item(4)] * 3, bins)


def test_full_clusters_of_many_vms_are_settled() -> None:
    """Sizes as VMs have them: the divisor makes it small."""
    sizes = [1024, 2048, 4096, 8192] * 12
    room = sum(sizes)
    bins = [Bin(room // 4)] * 4
    assert fits([Item(s) for s in sizes], bins)
    assert not fits([Item(s) for s in [*sizes, 1024]], bins)


def test_what_cannot_be_settled_is_not_called_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survival, "LIMIT", 20)
    # Two go into a bin, there are four bins and nine of them: the sum does not tell.
    items = [Item(1001 + i) for i in range(9)]
    with pytest.raises(TooHard):
        fits(items, [Bin(2600)] * 4)
