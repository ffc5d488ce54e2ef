"""The cluster a server would fit, over small inventories."""

from typing import Any

import pytest

from metal.burnin.fits import fits, generation, maker
from metal.model.fleet import Cluster, Inventory, Learned, Server, Site

XEON4, XEON3, EPYC = (
    "Intel(R) Xeon(R) CPU E5-2620 v4 @ 2.10GHz",
    "Intel(R) Xeon(R) CPU E5-2620 v3 @ 2.40GHz",
    "AMD EPYC 7302P 16-Core Processor",
)
DISKS = [{"name": "sda", "size_gib": 223}, {"name": "sdb", "size_gib": 894}]


def server(site: str, **learned: Any) -> Server:
    return Server.model_validate(
        {
            "site": site,
            "rack": "1",
            "profile": "node",
            "address": "10.0.0.1",
            "bmc": {"address": "10.0.1.1"},
            "learned": {"cpu": XEON4, "memory_gib": 128, "disks": DISKS, **learned},
        }
    )


def inventory(new: Server, **clusters: list[Server]) -> Inventory:
    servers = {f"{c}{i}": s for c, members in clusters.items() for i, s in enumerate(members)}
    site = {
        "place": "row 1",
        "donor": {"name": "Ana", "contact": "ana@example.org"},
        "subnets": {
            "bmc": "10.0.1.0/24",
            "management": "10.0.0.0/24",
            "gateway": "10.0.0.254",
            "private_ipv4": "10.9.0.0/20",
        },
    }
    return Inventory(
        fleet={"name": "attic", "domain": "attic.example.org"},  # type: ignore[arg-type]
        administrators={},
        sites={name: Site.model_validate(site) for name in ("lisbon", "berlin")},
        servers={"new": new, **servers},
        clusters={
            c: Cluster(servers=tuple(f"{c}{i}" for i in range(len(members))))
            for c, members in clusters.items()
        },
    )


LISBON, BERLIN = server("lisbon"), server("berlin")


def test_short_of_a_server_first() -> None:
    found, why = fits(inventory(LISBON, alba=[LISBON] * 3, cima=[LISBON] * 2), "new")
    assert (found, why) == ("cima", "beside 2 servers at lisbon")


def test_same_generation_first() -> None:
    old = server("lisbon", cpu=XEON3)
    assert fits(inventory(LISBON, alba=[old] * 2, cima=[LISBON] * 2), "new")[0] == "cima"


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (BERLIN, "alba: stands at lisbon"),
        (server("lisbon", cpu=EPYC), "alba: its processors are intel's"),
        (server("lisbon", memory_gib=32), "alba: has at least 128 GiB in each, this one 32"),
        (server("lisbon", disks=DISKS[:1]), "alba: wants a second disk for Ceph"),
    ],
)
def test_why_not(new: Server, why: str) -> None:
    assert fits(inventory(new, alba=[LISBON] * 2), "new") == (None, why)


def test_unknown_is_no_reason_against_and_said() -> None:
    new = LISBON.model_copy(update={"learned": Learned()})
    found, why = fits(inventory(new, alba=[LISBON] * 2), "new")
    assert found == "alba"
    assert "processor and memory and disks not known" in why


def test_its_own_cluster() -> None:
    assert fits(inventory(BERLIN, alba=[LISBON, LISBON]), "alba0")[0] == "alba"


def test_names_of_processors() -> None:
    assert (maker(EPYC), maker(XEON3), maker(None)) == ("amd", "intel", None)
    assert generation(XEON4) == "v4"
    assert generation("Intel(R) Xeon(R) Silver 4214 CPU @ 2.20GHz") == "scalable 2"
    assert generation(EPYC) == "epyc 2"
    assert generation("Intel(R) Xeon(R) CPU X5650 @ 2.67GHz") is None
