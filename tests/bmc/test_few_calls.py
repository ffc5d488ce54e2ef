"""How often a BMC is asked in one look: once for each thing, less where it shows many at once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from metal.cli.render.facts import facts_document
from metal.drivers.bmc import connect
from metal.drivers.redfish import Redfish
from metal.lab.redfish_bmc import RedfishBmc
from metal.model.fleet import BmcAccess

TREES = Path(__file__).resolve().parents[2] / "../shared/bmc/redfish"
NAMES = sorted(p.parent.name for p in TREES.glob("*/tree.json"))
Open = Callable[..., Redfish]
FACTORY = ("root", "calvin-0")


def asked(bmc: RedfishBmc) -> Counter[str]:
    """Paths that were read after the log-in."""
    opened = max(i for i, line in enumerate(bmc.asked) if line.startswith("POST"))
    return Counter(line.removeprefix("GET ").rstrip("/") for line in bmc.asked[opened + 1 :])


def test_nothing_is_read_twice_in_one_look(redfish_bmc: RedfishBmc, open_redfish: Open) -> None:
    open_redfish().facts()
    assert [path for path, times in asked(redfish_bmc).items() if times > 1] == []


def test_nothing_is_read_twice_from_the_first_word_to_the_last(redfish_bmc: RedfishBmc) -> None:
    """Whether Redfish is there, the log-in, the facts, how many servers: one root, one session."""
    bmc = connect(BmcAccess(address="127.0.0.1", port=redfish_bmc.port), *FACTORY, timeout=5)
    assert bmc.facts().serial and bmc.nodes() == ("",)
    bmc.close()
    assert [path for path, times in Counter(redfish_bmc.asked).items() if times > 1] == []


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
