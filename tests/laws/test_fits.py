"""The exact packing behind the law of survival, against brute force over every way to pack."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metal.model.laws import survival
from metal.model.laws.survival import Bin, Item, TooHard, fits

GROUPS = st.sampled_from([None, None, None, "g", "h"])
ITEMS = st.lists(st.tuples(st.integers(0, 9).map(lambda n: n * 512), GROUPS), max_size=6)
BINS = st.lists(
    st.tuples(st.integers(0, 6000), st.frozensets(st.sampled_from("gh"), max_size=2)), max_size=4
)


def by_brute_force(items: list[Item], bins: list[Bin]) -> bool:
    return any(_packs(items, bins, way) for way in product(range(len(bins)), repeat=len(items)))


def _packs(items: list[Item], bins: list[Bin], way: tuple[int, ...]) -> bool:
    for k, (free, held) in enumerate(bins):
        here = [item for item, where in zip(items, way, strict=True) if where == k]
        groups = [*held, *(g for _, g in here if g)]
        if sum(size for size, _ in here) > free or len(set(groups)) < len(groups):
            return False
    return True


@settings(max_examples=400, deadline=None)
@given(ITEMS, BINS)
def test_the_verdict_is_that_of_brute_force(items: list[Item], bins: list[Bin]) -> None:
    assert fits(items, bins) == by_brute_force(items, bins)


def test_a_rule_of_sums_would_be_wrong() -> None:
    bins: list[Bin] = [(6, frozenset()), (6, frozenset())]
    assert fits([(4, None), (4, None), (2, None), (2, None)], bins)
    assert not fits([(4, None), (4, None), (4, None)], bins)


def test_full_clusters_of_many_vms_are_settled() -> None:
    """Sizes as VMs have them: the divisor makes it small."""
    sizes = [1024, 2048, 4096, 8192] * 12
    room = sum(sizes)
    bins: list[Bin] = [(room // 4, frozenset())] * 4
    assert fits([(s, None) for s in sizes], bins)
    assert not fits([(s, None) for s in [*sizes, 1024]], bins)


def test_what_cannot_be_settled_is_not_called_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survival, "LIMIT", 20)
    # Two go into a bin, there are four bins and nine of them: the sum does not tell.
    items: list[Item] = [(1001 + i, None) for i in range(9)]
    with pytest.raises(TooHard):
        fits(items, [(2600, frozenset())] * 4)
