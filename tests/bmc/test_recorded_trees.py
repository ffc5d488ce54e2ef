"""Real machines, recorded: the driver reads each of them over HTTPS, with a log-in."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metal.cli.render.facts import facts_document
from metal.drivers.redfish import Redfish
from metal.enroll.learn import learned
from metal.lab.machine import Machine
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.web import self_signed
from metal.model.errors import Failed

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


def test_every_fact_is_what_the_machine_holds(name: str, driver: Redfish) -> None:
    """Compared by equality with the document that `metal enroll --dry-run -o json` prints."""
    document, known = facts_document(driver.facts()), expected(name)
    system = known["primary_system"]
    wanted = {key: known[key] for key in PLAIN} | {
        "cpu": _cpu(system["cpu"]),
        "memory_gib": system["memory"]["total_gib_summary"],
        "dimms": [_dimm(d) for d in system["memory"]["dimms"]] or None,
        "drives": [_drive(d) for d in system["storage"]["drives"]] or None,
        "reset_types": system["reset"]["types"],
        "boot_targets": system["boot"]["targets"],
        "boot_modes": system["boot"]["modes_allowed"],
        "virtual_media": [m["id"] for m in known["virtual_media"] if m["insert_action"]],
        "accounts": [
            {"name": a["username"], "role": None if a["role"] == "None" else a["role"],
             "enabled": a["enabled"], "id": a["path"]}
            for a in known["account_service"]["accounts"]
        ],
    }  # fmt: skip
    document["drives"] = document["drives"] and [
        {key: drive[key] for key in DRIVE} for drive in document["drives"]
    ]
    document["dimms"] = sorted(document["dimms"] or (), key=str) or None
    wanted["dimms"] = sorted(wanted["dimms"] or (), key=str) or None
    assert {key: document[key] for key in wanted} == wanted


def test_the_cards_are_the_hosts_own(name: str, driver: Redfish) -> None:
    """Every card that the machine lists anywhere, none of the BMC's, each once."""
    macs = [n["mac"] for n in facts_document(driver.facts())["nics"] or ()]
    known = expected(name)
    assert sorted(macs) == sorted(known["primary_system"]["nics"]["host_macs"])
    assert sorted(macs) == sorted(known["primary_system"]["nics"]["mac_sources"])
    assert not set(macs) & set(known["bmc"]["macs"])
    assert driver.facts().bmc_mac in (known["bmc"]["macs"] or [None])


def test_supplies_and_logs(name: str, driver: Redfish) -> None:
    facts, known = driver.facts(), expected(name)["primary_system"]
    present = known["psu"]["supplies"][: known["psu"]["present"]]
    health = {"ok": "OK", "warning": "Warning", "critical": "Critical"}
    told = [
        {"model": p.model, "serial": p.serial, "watts": p.watts, "health": health.get(p.health)}
        for p in facts.psus or ()
    ]
    assert told == [
        {key: p[key] for key in ("model", "serial")}
        | {"watts": p["capacity_watts"], "health": p["health"]}
        for p in present
    ]
    names = zip([p.name for p in facts.psus or ()], [p["name"] for p in present], strict=True)
    assert all(name == wanted for name, wanted in names if wanted != "nil"), "AMI's word for none"
    assert {log["name"] for log in known["log_services"]} <= set(facts.logs or ())
    assert len(facts.logs or ()) >= len(expected(name)["bmc"]["log_services"])


def test_every_server_behind_one_bmc(name: str, recorded: RedfishBmc, driver: Redfish) -> None:
    known = expected(name)
    others = {s["path"].rsplit("/", 1)[1]: s for s in known["other_systems"]}
    if not others:
        assert driver.nodes() == ("",)
        return
    assert set(driver.nodes()) == {known["primary_system"]["id"], *others}
    for node, system in others.items():
        other = Redfish("127.0.0.1", "root", "calvin-0", port=recorded.port, node=node)
        document = facts_document(other.facts())
        other.close()
        assert document["node"] == node
        for key in ("model", "serial", "uuid", "power_state", "reset_types", "memory_gib"):
            assert document[key] == system[key], key
        assert document["cpu"]["sockets"] == system["cpu_sockets"]
        assert [n["mac"] for n in document["nics"]] == system["host_macs"]


PLAIN = (
    "vendor", "model", "serial", "sku", "uuid", "bios_version", "bmc_firmware", "power_state",
    "health",
)  # fmt: skip
DRIVE = ("name", "size_bytes", "media", "protocol", "serial", "failing", "model")


def _cpu(cpu: dict[str, Any]) -> dict[str, Any]:
    """Where the model says "Intel Xeon processor", the name in the processor's id is the fact."""
    hidden = {p["model_in_processor_id"] for p in cpu["processors"]} - {None}
    named = {h for h in hidden if " " in h}
    return {
        "model": named.pop() if named else cpu["model"],
        "sockets": cpu["sockets_populated"],
        "cores": cpu["cores_total"],
        "threads": cpu["threads_total"],
    }


def _dimm(dimm: dict[str, Any]) -> dict[str, Any]:
    size = round(dimm["capacity_mib"] / 1024, 2)
    return {
        "slot": dimm["locator"] or dimm["id"],
        "size_gib": int(size) if size == int(size) else size,
        "serial": dimm["serial"],
        "part": dimm["part_number"],
    }


def _drive(drive: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": drive["name"],
        "size_bytes": drive["capacity_bytes"],
        "media": drive["media_type"],
        "protocol": drive["protocol"],
        "serial": drive["serial"],
        "failing": drive["predicted_failure"],
        "model": drive["model"],
    }


def test_nothing_is_zero_and_what_is_unknown_has_a_reason(driver: Redfish) -> None:
    facts = driver.facts()
    for key, value in facts.model_dump().items():
        assert value is False or value != 0
        if value is None and key != "node":
            assert facts.unknown[key], key
    assert learned(facts).macs == tuple(dict.fromkeys(n.mac for n in facts.nics or ()))


def test_health_is_read_from_every_shape(name: str, driver: Redfish) -> None:
    report = driver.health()
    known = expected(name)["primary_system"]
    assert report.health in ("ok", "warning", "critical")
    if known["health"] != "OK":
        assert report.reasons
    assert report.cooling


def test_a_machine_that_takes_no_boot_override_is_said_so(driver: Redfish) -> None:
    with pytest.raises(Failed, match="did not take the network"):
        driver.ensure_boot_once("network")


@pytest.mark.parametrize(
    ("told", "seen"),
    [
        ({"SecureBootCurrentBoot": "Enabled", "SecureBootEnable": False}, True),
        ({"SecureBootCurrentBoot": "Disabled", "SecureBootEnable": True}, False),
        ({"SecureBootCurrentBoot": None, "SecureBootEnable": True}, True),
        ({"SecureBootCurrentBoot": None, "SecureBootEnable": None}, None),
    ],
)
def test_secure_boot_is_what_it_was_at_the_last_start(
    told: dict[str, Any], seen: bool | None, machine: Machine, tmp_path: Path
) -> None:
    tree = json.loads((TREES / "hpe-xl675d-a100-ilo5-1" / "tree.json").read_text())
    told_of = [body for path, body in tree.items() if path.rstrip("/").endswith("/1/SecureBoot")]
    assert told_of
    told_of[0].update(told)
    certificate = self_signed(tmp_path, "bmc", "127.0.0.1")
    bmc = RedfishBmc(machine, "127.0.0.1", 0, certificate, {"root": "calvin-0"}, tree=tree).start()
    driver = Redfish("127.0.0.1", "root", "calvin-0", port=bmc.port, timeout=20, settle=0.1)
    try:
        facts = driver.facts()
    finally:
        driver.close()
        bmc.stop()
    assert facts.secure_boot is seen
    assert ("secure_boot" in facts.unknown) == (seen is None)
    assert learned(facts).secure_boot is seen
