"""Real machines, recorded: the driver reads each of them over HTTPS, with a log-in."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metal.drivers.redfish import Redfish
from metal.enroll.learn import learned
from metal.lab.machine import Machine
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.web import self_signed
from metal.model.errors import Failed
from metal.model.facts import Facts

TREES = Path(__file__).resolve().parents[2] / "../shared/bmc/redfish"
NAMES = sorted(p.parent.name for p in TREES.glob("*/tree.json"))
pytestmark = pytest.mark.skipif(not NAMES, reason="no recorded machines beside the repository")


@pytest.fixture(params=NAMES or [""])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def recorded(name: str, machine: Machine, tmp_path: Path) -> Iterator[RedfishBmc]:
    tree = json.loads((TREES / name / "tree.json").read_text())
    certificate = self_signed(tmp_path, "bmc", "127.0.0.1")
    bmc = RedfishBmc(machine, "127.0.0.1", 0, certificate, {"root": "calvin-0"}, tree=tree)
    yield bmc.start()
    bmc.stop()


@pytest.fixture
def driver(recorded: RedfishBmc) -> Iterator[Redfish]:
    driver = Redfish("127.0.0.1", "root", "calvin-0", port=recorded.port, timeout=5, settle=0.1)
    yield driver
    driver.close()


def expected(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((TREES / name / "expected.json").read_text())
    return found


def test_facts_are_those_of_the_machine(name: str, driver: Redfish) -> None:
    facts, known = driver.facts(), expected(name)
    system = known["primary_system"]
    for key in ("model", "serial", "sku", "uuid", "bios_version"):
        assert getattr(facts, key) == known[key], key
    assert facts.vendor == known["manufacturer"]
    assert facts.power_state == known["power_state"].lower()
    assert facts.health == (known["health_rollup"] or known["health"]).lower()
    cpu = system["cpu"]
    assert (facts.cpu.sockets, facts.cpu.cores, facts.cpu.threads) == (
        cpu["sockets_populated"],
        cpu["cores_total"],
        cpu["threads_total"],
    )
    assert [d.size_gib for d in facts.dimms or ()] == [
        round(d["capacity_mib"] / 1024, 2) for d in system["memory"]["dimms"]
    ]
    assert facts.memory_gib == system["memory"]["total_gib_summary"]
    # Ports that only the adapters tell (InfiniBand) are asked for where nothing else tells any.
    sources = system["nics"]["mac_sources"]
    plain = [m for m, source in sources.items() if source == "EthernetInterfaces"]
    assert sorted(n.mac for n in facts.nics or ()) == sorted(plain or sources)
    assert _drives(facts) == sorted(
        (d["serial"] or "", d["capacity_bytes"] or 0) for d in system["storage"]["drives"]
    )
    assert list(facts.reset_types or ()) == (system["reset"]["types"] or [])
    assert list(facts.boot_targets or ()) == (system["boot"]["targets"] or [])


def _drives(facts: Facts) -> list[tuple[str, int]]:
    return sorted((d.serial or "", d.size_bytes or 0) for d in facts.drives or ())


def test_nothing_is_zero_and_what_is_unknown_has_a_reason(driver: Redfish) -> None:
    facts = driver.facts()
    for key, value in facts.model_dump().items():
        assert value != 0
        if value is None:
            assert facts.unknown[key], key
    assert learned(facts).macs == tuple(dict.fromkeys(n.mac for n in facts.nics or ()))


def test_health_is_read_from_every_shape(name: str, driver: Redfish) -> None:
    report = driver.health()
    known = expected(name)["primary_system"]
    assert report.health in ("ok", "warning", "critical")
    if known["health"] != "OK":
        assert report.reasons


def test_a_machine_that_takes_no_boot_override_is_said_so(driver: Redfish) -> None:
    with pytest.raises(Failed, match="did not take the network"):
        driver.ensure_network_boot_once()
