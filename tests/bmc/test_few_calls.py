"""How often a BMC is asked in one look: once for each thing, less where it shows many at once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from metal.cli.render.facts import facts_document
from metal.drivers.redfish import Redfish
from metal.lab.redfish_bmc import RedfishBmc

TREES = Path(__file__).resolve().parents[2] / "../shared/bmc/redfish"
NAMES = sorted(p.parent.name for p in TREES.glob("*/tree.json"))
Open = Callable[..., Redfish]


def asked(bmc: RedfishBmc) -> Counter[str]:
    """Paths that were read after the log-in."""
    opened = max(i for i, line in enumerate(bmc.asked) if line.startswith("POST"))
    return Counter(line.removeprefix("GET ").rstrip("/") for line in bmc.asked[opened + 1 :])


def test_nothing_is_read_twice_in_one_look(redfish_bmc: RedfishBmc, open_redfish: Open) -> None:
    open_redfish().facts()
    assert [path for path, times in asked(redfish_bmc).items() if times > 1] == []


def test_the_next_look_reads_anew(redfish_bmc: RedfishBmc, open_redfish: Open) -> None:
    driver = open_redfish()
    assert driver.facts().power_state == "off"
    redfish_bmc.machine.power_on()
    assert driver.facts().power_state == "on"


def test_members_come_with_their_collection(redfish_bmc: RedfishBmc, open_redfish: Open) -> None:
    plain = open_redfish().facts()
    calls = asked(redfish_bmc).total()
    redfish_bmc.faults.add("expands")
    assert open_redfish().facts() == plain
    assert asked(redfish_bmc).total() <= calls - len(plain.dimms or ())


@pytest.mark.parametrize("fault", ["expand-refused", "expand-ignored", "paged-collections"])
def test_who_offers_it_in_vain_is_asked_plainly(
    redfish_bmc: RedfishBmc, open_redfish: Open, fault: str
) -> None:
    plain = open_redfish().facts()
    calls = asked(redfish_bmc).total()
    redfish_bmc.faults |= {"expands", fault}
    assert open_redfish().facts() == plain
    if fault != "paged-collections":
        assert asked(redfish_bmc).total() <= calls + 1, "one try, not one a collection"


@pytest.mark.skipif(not NAMES, reason="no recorded machines beside the repository")
@pytest.mark.parametrize("name", NAMES)
def test_a_real_machine_says_the_same_both_ways(
    name: str, redfish_bmc: RedfishBmc, open_redfish: Open
) -> None:
    """Half of the recorded ones offer it."""
    tree = json.loads((TREES / name / "tree.json").read_text())
    redfish_bmc.tree = tree
    told, calls = [], []
    for offered in (True, False):
        root = tree["/redfish/v1/"]
        if not offered:
            root.pop("ProtocolFeaturesSupported", None)
        told.append(facts_document(open_redfish().facts()))
        calls.append(asked(redfish_bmc).total())
    assert told[0] == told[1]
    assert calls[0] <= calls[1]
