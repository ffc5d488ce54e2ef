"""From a passport and a site to the way a server takes to an installer."""

from __future__ import annotations

from typing import Any

import pytest

from metal.enroll.route import route
from metal.model.fleet import Cluster, Donor, Fleet, Inventory, Server, Site, SiteBoot, Subnets
from metal.model.passport import BootProof, Passport


def inventory(dhcp: str, management: str = "10.11.1.0/24", address: str = "10.11.1.11") -> Any:
    subnets = Subnets.model_validate(
        {
            "bmc": "10.11.0.0/24",
            "management": management,
            "gateway": address,
            "private_ipv4": "10.11.128.0/20",
        }
    )
    site = Site(
        donor=Donor(name="A donor", contact="noc@example.org"),
        place="Lisbon",
        subnets=subnets,
        boot=SiteBoot.model_validate({"dhcp": dhcp}),
    )
    server = Server.model_validate(
        {
            "site": "lisbon",
            "rack": "A",
            "profile": "solo",
            "address": address,
            "bmc": {"address": "10.11.0.11"},
        }
    )
    return Inventory(
        fleet=Fleet(name="attic", domain="attic.example.org"),
        administrators={},
        sites={"lisbon": site},
        servers={"alba1": server},
        clusters={"alba": Cluster(servers=("alba1",))},
    )


def proof(text: str) -> BootProof:
    """ "http+" worked, "network/bios-" did not."""
    device, _, mode = text[:-1].partition("/")
    return BootProof.model_validate(
        {"device": device, "mode": mode or None, "works": text[-1] == "+", "why": "it said 400"}
    )


def passport(boots: str, *, media: tuple[str, ...] | None = ("CD1",), ipmi: bool = False) -> Any:
    return Passport(
        proven_at="2026-11-25T12:00:00+00:00",
        protocols=("ipmi",) if ipmi else ("redfish",),
        virtual_media=media,
        boots=tuple(map(proof, boots.split())),
    )


ALL = "network/uefi+ network/bios+ http/uefi+ media+ disk+"
NO_MEDIA = "network/uefi+ network/bios- http/uefi- media- disk+"
V6 = ("2001:db8:11:1::/64", "2001:db8:11:1::11")
# (dhcp, the passport, networks, the way, words of why, {method: words of why not})
CASES: list[tuple[str, Any, tuple[str, ...], str, str, dict[str, str]]] = [
    ("ours", passport(ALL), (), "redfish-iso", "CD1", {"pxe": "possible too", "stick": "person"}),
    ("none", passport(ALL), (), "redfish-iso", "no DHCP", {"uefi-http": "boot.dhcp is none"}),
    (
        "ours",
        passport(ALL, media=()),
        (),
        "uefi-http",
        "by HTTP (uefi)",
        {"redfish-iso": "no virtual drive", "proxy-dhcp": "no DHCP of others"},
    ),
    (
        "ours",
        passport(NO_MEDIA),
        (),
        "pxe",
        "PXE (uefi)",
        {"redfish-iso": "did not stick: it said 400", "uefi-http": "did not stick"},
    ),
    ("theirs", passport(NO_MEDIA), (), "proxy-dhcp", "beside the DHCP", {"pxe": "no addresses"}),
    ("theirs", passport("network+", ipmi=True), (), "proxy-dhcp", "PXE", {"redfish-iso": "speak"}),
    ("none", passport(NO_MEDIA), (), "stick", "person", {"pxe": "boot.dhcp is none"}),
    ("none", passport("network+", ipmi=True), (), "stick", "person", {"uefi-http": "nobody gives"}),
    ("theirs", passport(NO_MEDIA), V6, "stick", "person", {"proxy-dhcp": "IPv6 alone"}),
    ("ours", passport(NO_MEDIA), V6, "pxe", "over IPv6 (uefi)", {}),
    (
        "ours",
        passport("network/uefi- network/bios+ http- media-"),
        V6,
        "stick",
        "person",
        {"pxe": "did not stick"},
    ),
    # What nobody tried comes after what was proven, and before a journey.
    ("ours", passport("network/bios+"), (), "pxe", "PXE (bios)", {"redfish-iso": "nobody tried"}),
    ("none", passport(""), (), "redfish-iso", "nobody tried", {"stick": "person"}),
    ("none", passport("", media=None), (), "redfish-iso", "not told", {}),
    ("ours", passport("media+", media=None), (), "redfish-iso", "not told", {"pxe": "nobody"}),
]


@pytest.mark.parametrize(("dhcp", "passport", "networks", "method", "why", "rejected"), CASES)
def test_the_way_to_an_installer(
    dhcp: str,
    passport: Passport,
    networks: tuple[str, ...],
    method: str,
    why: str,
    rejected: dict[str, str],
) -> None:
    way = route(inventory(dhcp, *networks), "alba1", passport)
    assert way is not None and way.method == method and why in way.why
    assert set(way.rejected) == {"redfish-iso", "uefi-http", "pxe", "proxy-dhcp", "stick"} - {
        method
    }
    for other, words in rejected.items():
        assert words in way.rejected[other]


def test_without_a_passport_nothing_is_said() -> None:
    assert route(inventory("ours"), "alba1", None) is None
