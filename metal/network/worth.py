"""What each public IPv4 address of a site is worth: who would gain by one more, lose by one less.

The worth of serving a VM is its priority, plus one, so that serving one of none is worth something.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from metal.model.fleet import Inventory, Treatment
from metal.network.budget import Budget, Ledger, holdings, residents
from metal.network.choose import FLOWS, Choice
from metal.network.serving import serve


@dataclass(frozen=True)
class Change:
    """What one address more, or one less, does to a site."""

    vms: tuple[str, ...]
    """Who is served then and is not now, or the other way round."""
    priority: int
    """The sum of their priorities; those of others who lose by it are taken off."""
    way_out: bool = False
    """Whether it decides if anything there gets out to the world at all."""


@dataclass(frozen=True)
class SiteWorth:
    """One site's addresses, and what they are worth."""

    site: str
    budget: Budget
    by_treatment: dict[Treatment, tuple[str, ...]]
    """Those who are served."""
    without: tuple[str, ...]
    flows: int
    """Connections to one place that its VMs may have open at once through NAT."""
    flows_carried: int
    gain: Change
    loss: Change
    proven: bool
    """Nothing serves more; else it was not settled in the time allowed."""


def worth(
    inventory: Inventory,
    site: str,
    homes: Mapping[str, str],
    current: Mapping[str, tuple[str, ...]],
) -> SiteWorth:
    """`homes` is VM → cluster; `current` VM → the addresses it was seen to have."""
    vms = list(residents(inventory, site, homes))
    foreign = len(holdings(inventory, site, homes, current).foreign)
    weight = {vm: 1 + inventory.vms[vm].priority for vm in vms}
    choices = {
        more: serve(inventory, site, vms, Ledger(inventory, site, foreign), weight, more)
        for more in (-1, 0, 1)
    }
    now = choices[0]
    ledger = Ledger(inventory, site, foreign)
    for vm in sorted(now.served):
        ledger.add(vm)
    by: dict[Treatment, list[str]] = {"dedicated": [], "nat": [], "proxy": [], "ipv6": []}
    for vm in sorted(now.served):
        by[inventory.vms[vm].ipv4].append(vm)
    return SiteWorth(
        site=site,
        budget=ledger.budget,
        by_treatment={kind: tuple(names) for kind, names in by.items()},
        without=tuple(vm for vm in vms if vm not in now.served),
        flows=sum(ledger.flows.values()),
        flows_carried=FLOWS * ledger.budget.shared,
        gain=_change(inventory, now, choices[1]),
        loss=_change(inventory, choices[-1], now),
        proven=all(choice.proven for choice in choices.values()),
    )


def _change(inventory: Inventory, less: Choice, more: Choice) -> Change:
    gained, lost = more.served - less.served, less.served - more.served
    priority = {vm: inventory.vms[vm].priority for vm in gained | lost}
    return Change(
        tuple(sorted(gained)),
        sum(priority[vm] for vm in gained) - sum(priority[vm] for vm in lost),
        more.way_out and not less.way_out,
    )
