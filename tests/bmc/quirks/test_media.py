"""Virtual drives: where they hang, how they are filled, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from metal.drivers.redfish import Redfish
from metal.lab.machine import Machine
from metal.lab.redfish_bmc import RedfishBmc
from metal.model.errors import Refused

Open = Callable[..., Redfish]
ISO = "http://192.0.2.1:8080/boot/alba1.iso"


@pytest.mark.parametrize(
    ("fault", "quirk"),
    [
        (None, None),
        ("media-oem", "R43"),
        ("media-patch-only", "R45"),
        ("media-in-use", "R46"),
        ("media-on-system", None),  # R47
        ("media-strict", None),
    ],
)
def test_an_image_goes_in_and_out(
    open_redfish: Open,
    redfish_bmc: RedfishBmc,
    machine: Machine,
    fault: str | None,
    quirk: str | None,
) -> None:
    redfish_bmc.faults.update({fault} - {None})  # type: ignore[arg-type]
    bmc = open_redfish()
    bmc.ensure_media(ISO)
    assert machine.media == ISO
    asked = len(redfish_bmc.asked)
    bmc.ensure_media(ISO)
    assert not [a for a in redfish_bmc.asked[asked:] if not a.startswith("GET")]
    bmc.ensure_no_media()
    assert not machine.media
    assert quirk is None or quirk in bmc.quirks


def test_r47_drives_below_the_system_are_told(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    redfish_bmc.faults.add("media-on-system")
    assert open_redfish().facts().virtual_media == ("Stick1", "CD1")


@pytest.mark.parametrize("fault", ["media-get-only", "media-patch-only"])
def test_r44_what_cannot_insert_is_not_promised(
    open_redfish: Open, redfish_bmc: RedfishBmc, fault: str
) -> None:
    redfish_bmc.faults.add(fault)
    assert open_redfish().facts().virtual_media == ()


def test_r44_drives_to_look_at(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    redfish_bmc.faults.add("media-get-only")
    bmc = open_redfish()
    with pytest.raises(Refused, match="only be looked at"):
        bmc.ensure_media(ISO)
    assert "R44" in bmc.quirks


def test_r42_a_licence_is_named_and_another_way_shown(
    open_redfish: Open, redfish_bmc: RedfishBmc, machine: Machine
) -> None:
    redfish_bmc.faults.add("media-licence")
    bmc = open_redfish()
    with pytest.raises(Refused, match=r"licence key(?s:.*)over the network"):
        bmc.ensure_media(ISO)
    assert "R42" in bmc.quirks and not machine.media


def test_r48_an_https_server_it_cannot_verify(
    open_redfish: Open, redfish_bmc: RedfishBmc, machine: Machine
) -> None:
    redfish_bmc.faults.add("media-verifies")
    bmc = open_redfish()
    bmc.ensure_media(ISO.replace("http:", "https:"))
    assert machine.media and "R48" in bmc.quirks


def test_no_virtual_drive_at_all(open_redfish: Open, redfish_bmc: RedfishBmc) -> None:
    redfish_bmc.faults.add("no-media")
    bmc = open_redfish()
    assert not bmc.facts().virtual_media
    with pytest.raises(Refused, match="no virtual drives"):
        bmc.ensure_media(ISO)
