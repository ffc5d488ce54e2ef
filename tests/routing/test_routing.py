"""A site's gateways get their files: proven, or taken back, whatever is killed meanwhile."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from metal.drivers.gateway import Gateway
from metal.drivers.gateway_engines import carried, use_text
from metal.lab.gateways import PretendPair
from metal.model.life import Status
from metal.operations.run import Outcome, perform
from metal.operations.store import Store, open_store
from metal.routing.flow import apply
from metal.routing.order import (
    FORMER,
    MANIFEST,
    Call,
    GatewayOrder,
    Order,
    Seen,
    changes,
    to_write,
)
from metal.routing.ports import RoutingPorts
from metal.routing.trials import trial_of

NFT, DNS, RADVD = "/etc/nftables.conf", "/etc/metal/dns64.conf", "/etc/radvd.conf"
OLD = {NFT: "old filter\n", RADVD: "routers\n"}
NEW = {NFT: "new filter\n", RADVD: "routers\n", DNS: "names\n"}
CALLS = (Call(address="192.0.2.2", port=443),)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store("sqlite", tmp_path / "state") as opened:
        yield opened


def pair_with(files: dict[str, str], **more: Any) -> PretendPair:
    """As metal left it."""
    pair = PretendPair(**more)
    for gateway in pair.gateways.values():
        gateway.files.update(files)
        gateway.files.update(to_write(files, (), Seen(files={})))  # type: ignore[arg-type]
        gateway.in_use = dict(gateway.files)
    return pair


def order_for(pair: PretendPair, wanted: dict[str, str]) -> Order:
    found: list[GatewayOrder] = []
    for name in sorted(pair.gateways, key=lambda name: (name == pair.carrier, name)):
        seen = look(pair, name)
        if differing := changes(wanted, seen):
            files = to_write(wanted, differing, seen)
            found.append(
                GatewayOrder(
                    name=name, address=name, changes=differing, files=files, wanted=tuple(wanted)
                )
            )
    where = {name: name for name in pair.gateways}
    return Order(site="lisbon", gateways=tuple(found), pair=where, shared="v", calls=CALLS, trial=9)


def look(pair: PretendPair, name: str) -> Seen:
    gateway = Gateway(pair.gateways[name])
    files = gateway.files(MANIFEST, FORMER, [])
    return Seen(files=files, packaged=gateway.packaged([]), carries=gateway.carries("v"))


def ports_of(pair: PretendPair, order: Order) -> RoutingPorts:
    return RoutingPorts(
        gateway=lambda name: Gateway(pair.gateways[name]),
        silent=lambda calls: () if pair.reached else tuple(calls),
        trial=lambda name: trial_of(order, name),
        every=0.001,
    )


def give(store: Store, pair: PretendPair, order: Order, site: str = "lisbon") -> Outcome:
    ports = ports_of(pair, order)
    operation = store.journal.open("network apply", site, (), {})
    return perform(store, operation, lambda run: apply(run, order, ports))


def has(pair: PretendPair, wanted: dict[str, str]) -> bool:
    return all(
        {path: g.in_use.get(path) for path in {**OLD, **NEW}}
        == {path: wanted.get(path) for path in {**OLD, **NEW}}
        and g.in_use == g.files
        and not g.trials.before
        for g in pair.gateways.values()
    )


def test_each_is_proven_while_it_carries_the_site(store: Store) -> None:
    pair = pair_with(OLD)
    order = order_for(pair, NEW)
    assert [one.name for one in order.gateways] == ["gateway2", "gateway1"]
    assert give(store, pair, order).status is Status.DONE
    assert has(pair, NEW)
    assert pair.carried == ["gateway2", "gateway1"], "it ends where it began"
    kept = pair.gateways["gateway1"].files
    assert kept[f"{FORMER}{NFT}"] == "old filter\n"
    assert order_for(pair, NEW).gateways == ()
    assert give(store, pair, order_for(pair, OLD)).status is Status.DONE
    assert has(pair, OLD) and f"{FORMER}{DNS}" in kept


def test_a_new_pair_is_made_of_two_that_nobody_set_up(store: Store) -> None:
    pair = PretendPair(carrier="nobody")
    assert give(store, pair, order_for(pair, NEW)).status is Status.DONE
    assert has(pair, NEW)
    assert "hand over" not in pair.gateways["gateway2"].ran, "it had nothing to give when asked"


def test_what_carries_no_packets_moves_nothing(store: Store) -> None:
    pair = pair_with(OLD)
    assert give(store, pair, order_for(pair, OLD | {DNS: "names\n"})).status is Status.DONE
    assert all("hand over" not in g.ran for g in pair.gateways.values())
    assert "keepalived" not in use_text([DNS]) and not carried([DNS, RADVD])
    assert "take_up /etc/keepalived/keepalived.conf" in use_text([NFT])


def test_one_that_is_lost_takes_the_former_files_back(store: Store) -> None:
    """And the other, which carries the site again, was not touched."""
    pair = pair_with(OLD, cuts=lambda files: files[NFT] == "new filter\n")
    outcome = give(store, pair, order_for(pair, NEW))
    assert outcome.status is Status.FAILED
    assert "taken the old one back" in outcome.error and "the site is as it was" in outcome.error
    assert "before: no answer from it" in outcome.error
    assert has(pair, OLD) and pair.reached and pair.carrier == "gateway1"
    assert "begin" not in pair.gateways["gateway1"].ran


def test_one_whose_engine_stops_is_not_kept(store: Store) -> None:
    pair = pair_with(OLD)
    pair.gateways["gateway2"].stopped = ["haproxy"]
    outcome = give(store, pair, order_for(pair, NEW))
    assert outcome.status is Status.FAILED and "haproxy did not run" in outcome.error
    assert has(pair, OLD) and pair.carrier == "gateway1"


def test_an_engine_that_would_not_take_it_is_asked_before_anything_is_touched(
    store: Store,
) -> None:
    """Of the second gateway, too."""
    pair = pair_with(OLD)
    pair.gateways["gateway1"].unfit = "nftables.conf:7: syntax error"
    outcome = give(store, pair, order_for(pair, NEW))
    assert "syntax error" in outcome.error and "nothing was changed" in outcome.error
    assert all("begin" not in g.ran for g in pair.gateways.values())


class Killed(BaseException):
    """As SIGKILL is: no flow can take it for a failure."""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("cut", [False, True])
def test_killed_at_any_command_it_ends_in_the_same_state(
    store: Store, cut: bool, after: bool
) -> None:
    """`after`: it had its effect, and nobody heard of it. Every third, others each time."""
    moment = 2 * cut + after
    while _killed_at(moment, store, cut=cut, after=after):
        moment += 3
    assert moment > 15


def _killed_at(moment: int, store: Store, *, cut: bool, after: bool) -> bool:
    """Whether it was not over before that command."""
    cuts = (lambda files: files[NFT] == "new filter\n") if cut else lambda _files: False
    pair = pair_with(OLD, cuts=cuts)
    order = order_for(pair, NEW)
    lives = {"left": moment}
    runs = {name: gateway.run for name, gateway in pair.gateways.items()}

    def mortal(run: Callable[..., Any]) -> Callable[..., Any]:
        def runs_or_dies(*args: Any, **options: Any) -> Any:
            lives["left"] -= 1
            if lives["left"] == -1 and not after:
                raise Killed
            try:
                return run(*args, **options)
            finally:
                if lives["left"] == -1:
                    raise Killed

        return runs_or_dies

    for name, gateway in pair.gateways.items():
        gateway.run = mortal(runs[name])  # type: ignore[method-assign]
    killed = False
    site = f"site {moment}"
    try:
        outcome = give(store, pair, order, site)
    except Killed:
        killed = True
        outcome = give(store, pair, order, site)
    assert outcome.status is (Status.FAILED if cut else Status.DONE), (moment, outcome.error)
    assert has(pair, OLD if cut else NEW), moment
    assert pair.reached, moment
    return killed


# ── What a person changed ────────────────────────────────────────────────────────────────────


def states(wanted: dict[str, str], files: dict[str, str], packaged: tuple[str, ...] = ()) -> Any:
    found = changes(wanted, Seen(files=files, packaged=packaged))
    return {change.path: change.state for change in found}


def test_only_what_metal_or_a_package_wrote_is_overwritten_unasked() -> None:
    ours = to_write(OLD, (), Seen(files={}))
    there = {**OLD, MANIFEST: str(ours[MANIFEST])}
    assert states(NEW, there) == {NFT: "changed", DNS: "new"}
    assert states({RADVD: OLD[RADVD]}, there) == {NFT: "gone"}
    assert states(NEW, there | {NFT: "by hand\n"}) == {NFT: "edited", DNS: "new"}
    assert states(NEW, {k: v for k, v in there.items() if k != NFT}) == {NFT: "edited", DNS: "new"}
    assert states(NEW, OLD) == {NFT: "edited", DNS: "new"}, "nobody knows who wrote it"
    assert states(NEW, OLD, (NFT,)) == {NFT: "changed", DNS: "new"}
    assert states(OLD, there) == {} and states(OLD, OLD) == {}
