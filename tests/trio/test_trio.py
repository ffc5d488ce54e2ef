"""The lab of namespaces: what is real about it, and that it goes without a trace."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metal.drivers.bmc import connect
from metal.drivers.ports import Bmc, Hypervisor
from metal.lab.namespaces.counting import counts, gaps
from metal.lab.namespaces.trio import why_not
from metal.model.addresses import Addressing
from metal.model.errors import Refused
from metal.model.fleet import BmcAccess
from metal.model.hypervisor import VmSpec

from .traces import assert_gone, traces

pytestmark = pytest.mark.lab
ADDRESSES = Addressing(treatment="ipv6", private_ipv4="10.9.0.5/24")


@pytest.fixture
def driver(trio: Any) -> Iterator[Hypervisor]:
    made: Hypervisor = trio.driver()
    yield made
    for server in trio.servers:
        trio.break_(server, "repair")
    for name, vm in made.look()[2].items():
        made.ensure_off(vm.vmid)
        made.ensure_removed(vm.vmid)
        for server in trio.servers.values():
            server.console(name).unlink(missing_ok=True)


def bmc_of(trio: Any, server: str) -> Bmc:
    access = BmcAccess(address=trio.bmcs[server].address, protocol="ipmi", cipher_suite=3)
    return connect(access, "metal", trio.password)


def run(trio: Any, driver: Hypervisor, node: str, vmid: int = 101, name: str = "git") -> None:
    """A guest that has begun to count there."""
    driver.ensure_vm(
        vmid=vmid,
        name=name,
        node=node,
        vcpus=1,
        memory_mib=128,
        disk_gib=1,
        storage="vms",
        addressing=ADDRESSES,
        ha=False,
    )
    driver.ensure_started(vmid)
    trio.wait(lambda: counts(trio.servers[node].console(name)), 120, f"{name} does not count")


def test_a_migration_loses_no_count(trio: Any, driver: Hypervisor) -> None:
    run(trio, driver, "trio1")
    before, after = (trio.servers[n].console("git") for n in ("trio1", "trio2"))
    driver.ensure_migrated(101, "trio2")
    assert trio.truth()["servers"]["trio1"]["vms"] == []
    assert trio.truth()["servers"]["trio2"]["vms"] == ["git"]
    trio.wait(lambda: len(counts(after)) > 5, 60, "it does not count there")
    assert gaps(counts(before, after)) == []


def test_its_bmc_kills_all_of_a_server_and_brings_it_back(trio: Any, driver: Hypervisor) -> None:
    run(trio, driver, "trio1")
    bmc = bmc_of(trio, "trio1")
    assert bmc.power() == "on"
    bmc.ensure_power("off")
    assert trio.servers["trio1"].pid is None
    assert trio.truth()["servers"]["trio1"]["vms"] == []
    assert driver.look()[1]["trio1"] == "offline"
    bmc.ensure_power("on")
    bmc.close()
    trio.await_up("trio1")
    assert driver.where(101) == ("trio1", "stopped"), "what is on its disk outlives its power"
    assert driver.look()[2]["git"].untold, "nobody stopped it but the loss of power"


def test_after_a_fence_it_goes_on_from_what_was_durable(trio: Any, driver: Hypervisor) -> None:
    run(trio, driver, "trio1")
    trio.break_("trio1", "dead")
    vm = VmSpec(
        vmid=101,
        name="git",
        vcpus=1,
        memory_mib=128,
        disk_gib=1,
        storage="vms",
        addressing=ADDRESSES,
    )
    driver.ensure_restarted(vm, "trio3", "trio1")
    last = counts(trio.servers["trio1"].console("git"))[-1]
    there = trio.servers["trio3"].console("git")
    trio.wait(lambda: counts(there), 120, "it does not count there")
    # One more may have become durable than it came to say.
    assert counts(there)[0].number in (last.number + 1, last.number + 2)


def test_a_server_whose_cable_is_cut_runs_on_and_is_not_started_twice(
    trio: Any, driver: Hypervisor
) -> None:
    run(trio, driver, "trio1")
    trio.break_("trio1", "partition")
    assert driver.look()[1]["trio1"] == "offline"
    assert trio.truth()["servers"]["trio1"]["vms"] == ["git"]
    bmc = bmc_of(trio, "trio1")
    assert bmc.power() == "on", "its BMC answers on the out-of-band network"
    bmc.close()


def test_a_hot_cpu_is_what_its_bmc_says(trio: Any, driver: Hypervisor) -> None:
    bmc = bmc_of(trio, "trio2")
    assert bmc.health().health == "ok"
    trio.break_("trio2", "hot")
    trio.wait(lambda: bmc.health().health == "critical", 30, "its BMC does not complain")
    assert any("CPU" in reason for reason in bmc.health().reasons)
    assert any("Temp" in str(entry) for entry in bmc.log())
    bmc.close()


def test_a_lab_is_worked_on_like_any_fleet_and_goes_without_a_trace(tmp_path: Path) -> None:
    """`metal lab up --engine namespaces` to `metal lab down`, as a person types it."""
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path / "lab"

    def metal(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "metal", *words], capture_output=True, text=True
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    told = json.loads(metal("lab", "up", "--engine", "namespaces", str(folder), "-o", "json"))
    try:
        number = told["servers"]["trio1"]["address"].split(".")[2]
        assert traces(f"metal{number}", folder) != []
        assert list(told["servers"]) == ["trio1", "trio2", "trio3"]
        assert told["accelerator"].startswith(("kvm: a guest boots", "tcg: "))
        metal("lab", "up", "--engine", "namespaces", str(folder), code=Refused.exit_code)
        at = ("-C", str(folder))
        assert "Place VMs (4)" in metal(*at, "plan", code=10)
        metal(*at, "apply", "--yes")
        seen = json.loads(metal(*at, "status", "-o", "json"))
        assert {vm["state"] for vm in seen["vms"].values()} == {"running"}
        metal("lab", "break", "trio2", "crash", str(folder))
        really = json.loads(metal("lab", "status", str(folder), "-o", "json"))["servers"]
        assert (really["trio2"]["power"], really["trio2"]["vms"]) == ("off", [])
        assert {vm for s in really.values() for vm in s["vms"]} < set(seen["vms"])
    finally:
        metal("lab", "down", str(folder))
    assert_gone(f"metal{number}", folder)
