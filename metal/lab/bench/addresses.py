"""IPv4 addresses shared out over many sites: the search, and CP-SAT for the same sites."""

import time
from collections.abc import Callable
from random import Random

from metal.network.choose import Choice, Want, choose

SIZES = ((50, 2_000), (340, 15_000))
"""(sites, VMs)."""
SERVICES: tuple[tuple[tuple[str, int, int], ...], ...] = (
    (("tcp", 22, 22), ("tcp", 443, 443)),
    (("tcp", 25, 25), ("tcp", 465, 465), ("tcp", 993, 993)),
    (("tcp", 22, 22),),
    (("udp", 53, 53), ("tcp", 53, 53)),
    (("udp", 10_000, 20_000), ("tcp", 443, 443)),
    (("udp", 500, 500), ("udp", 4_500, 4_500)),
    (("tcp", 6_697, 6_697),),
    (("tcp", 5_222, 5_222), ("tcp", 5_269, 5_269)),
)


def site(random: Random, vms: int) -> tuple[list[Want], int]:
    """(wishes, addresses): a third wants one of its own, the rest shares, most one service and
    every fifth two; far from all of it fits."""
    wants = [
        Want(f"vm{n}", random.randint(1, 101), own=True)
        if random.random() < 0.33
        else Want(f"vm{n}", random.randint(1, 101), ports=_ports(random), flows=200)
        for n in range(vms)
    ]
    return wants, random.randint(2, max(3, vms // 3))


def _ports(random: Random) -> frozenset[tuple[str, int, int]]:
    return frozenset(
        port for one in random.sample(SERVICES, 1 + (random.random() < 0.2)) for port in one
    )


def addresses() -> None:
    print(f"\n{'IPv4 addresses, each site':<40} {'cpu s':>8} {'proven':>8} {'weight':>9}")
    for sites, vms in SIZES:
        random = Random(sites)
        fleet = [site(random, vms // sites) for _ in range(sites)]
        _line(f"{vms} VMs, {sites} sites: search", fleet, choose)
        try:
            from metal.network.exact import choose_exactly
        except ImportError:
            print("OR-tools is not installed: nothing to compare with")
        else:
            _line(f"{vms} VMs, {sites} sites: CP-SAT", fleet, choose_exactly)


def _line(
    what: str,
    fleet: list[tuple[list[Want], int]],
    by: Callable[[list[Want], int], Choice | None],
) -> None:
    begun = time.process_time()
    choices = [by(wants, addresses) for wants, addresses in fleet]
    spent = time.process_time() - begun
    proven = sum(choice is not None and choice.proven for choice in choices)
    weight = sum(choice.weight for choice in choices if choice is not None)
    print(f"{what:<40} {spent:8.2f} {f'{proven}/{len(fleet)}':>8} {weight:9}")
