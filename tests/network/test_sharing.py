"""Ports on shared addresses: against a brute force of its own."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from metal.network.sharing import Port, fewest, share

PORTS: list[Port] = [("tcp", n, n) for n in (22, 80, 443)] + [("udp", 53, 53)]
claims_strategy = st.dictionaries(
    st.sampled_from("abcdef"), st.frozensets(st.sampled_from(PORTS)), max_size=6
)


def fewest_by_force(claims: dict[str, frozenset[Port]]) -> int:
    owners = sorted(claims)
    for count in range(len(owners) + 1):
        for choice in product(range(count), repeat=len(owners)):
            bins: list[set[Port]] = [set() for _ in range(count)]
            for owner, number in zip(owners, choice, strict=True):
                if bins[number] & claims[owner]:
                    break
                bins[number] |= claims[owner]
            else:
                return count
    return len(owners)


@given(claims_strategy)
def test_no_port_meets_an_address_twice_and_no_fewer_addresses_do(
    claims: dict[str, frozenset[Port]],
) -> None:
    packing = share(claims)
    used: set[tuple[int, Port]] = set()
    for owner, number in packing.items():
        for port in claims[owner]:
            assert (number, port) not in used
            used.add((number, port))
    assert set(packing) == set(claims)
    assert max(packing.values(), default=-1) + 1 == fewest_by_force(claims) >= fewest(claims)


@given(claims_strategy, st.data())
def test_settled_owners_keep_their_address(
    claims: dict[str, frozenset[Port]], data: st.DataObject
) -> None:
    before = share(claims)
    names = sorted(before)
    kept = data.draw(st.sets(st.sampled_from(names))) if names else set()
    settled = {owner: before[owner] for owner in kept}
    after = share(claims, settled)
    assert {owner: after[owner] for owner in kept} == settled


def test_a_triangle_needs_more_than_the_highest_multiplicity() -> None:
    a, b, c = PORTS[:3]
    claims = {"x": frozenset({a, b}), "y": frozenset({b, c}), "z": frozenset({a, c})}
    assert fewest(claims) == 2
    assert len(set(share(claims).values())) == 3


def test_the_search_mends_what_first_fit_spoils() -> None:
    # First fit by name would put a and c apart from b and d where pairing them right takes two.
    p = [("tcp", n, n) for n in range(1, 7)]
    claims = {
        "a": frozenset({p[0]}),
        "b": frozenset({p[1]}),
        "c": frozenset({p[0], p[2]}),
        "d": frozenset({p[1], p[3]}),
        "e": frozenset({p[2], p[4]}),
        "f": frozenset({p[3], p[4]}),
    }
    packing = share(claims)
    assert len(set(packing.values())) == fewest_by_force(claims)


def test_ranges_clash_where_they_overlap() -> None:
    claims = {
        "meet": frozenset({("udp", 10_000, 20_000)}),
        "game": frozenset({("udp", 20_000, 20_010)}),
        "sip": frozenset({("udp", 5_060, 9_999), ("tcp", 10_000, 20_000)}),
    }
    packing = share(claims)
    assert packing["meet"] != packing["game"]
    assert len(set(packing.values())) == 2
