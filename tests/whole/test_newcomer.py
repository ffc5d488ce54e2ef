"""Where a newcomer stumbles: each refusal says what to do, and doing that works."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from metal.inventory import load
from metal.lab import control
from metal.lab.topology import scans
from metal.model.errors import BadInput, Refused

if TYPE_CHECKING:
    from conftest import Lab

REFUSED, PENDING = 3, 10
REPOSITORY = Path(__file__).resolve().parents[2]


def test_before_anything_is_enrolled_every_command_says_what_comes_first(pallet: Lab) -> None:
    plan = pallet.metal("plan")
    assert plan.returncode == 0 and "Nothing here for metal to do" in plan.stdout
    assert "not enrolled yet: alba1, alba2, alba3; begin with" in " ".join(plan.stdout.split())
    assert "nothing to watch yet" in pallet.metal("watch", "--once").stdout
    refused = pallet.metal("burnin", "alba1", "--minutes", "1")
    assert refused.returncode == REFUSED
    assert f"`metal -C {pallet.folder} enroll alba1`" in refused.stderr
    done = pallet.metal("enroll", "alba1")
    assert done.returncode == 0, f"what was advised does not work: {done.stderr}"


def test_a_scan_that_finds_nothing_says_where_to_look(pallet: Lab) -> None:
    network = str(load(pallet.folder).sites["lisbon"].subnets.bmc)
    nothing = pallet.metal("enroll", "--scan", network, "--dry-run")
    assert f"--scan {network}:6443" in nothing.stderr
    assert "alba3" in pallet.metal("enroll", "--scan", f"{network}:6443", "--dry-run").stderr


def test_a_lab_says_what_finds_its_bmcs(pallet: Lab) -> None:
    """Its own number is in it: what stands in the documentation is the first lab's."""
    found = scans(pallet.folder)
    assert found[0] == f"{load(pallet.folder).sites['lisbon'].subnets.bmc}:6443"
    for network in found:
        scan = pallet.metal("enroll", "--scan", network, "--dry-run")
        assert "alba3" in scan.stderr, scan.stderr


def test_a_taken_over_bmc_is_captured_by_its_address_too(trio: Lab, tmp_path: Path) -> None:
    bmc = load(trio.folder).servers["alba1"].bmc
    where = f"{bmc.address}:{bmc.port}"
    done = trio.metal("bmc", "capture", where, "--out", str(tmp_path / "alba1.json"))
    assert done.returncode == 0, done.stderr


def test_a_lab_of_an_inventory_with_mistakes_leaves_nothing_behind(tmp_path: Path) -> None:
    source = tmp_path / "fleet"
    source.mkdir()
    wrong = (REPOSITORY / "inventory.toml").read_text().replace("ssh-ed25519 ", "ssh-none ")
    (source / "inventory.toml").write_text(wrong)
    with pytest.raises(BadInput, match=r"inventory\.toml:.*is no public key"):
        control.up(source, tmp_path / "lab", speed=20)
    assert not (tmp_path / "lab").exists()


def test_a_lab_that_ended_says_how_to_start_another(first_site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    with pytest.raises(Refused, match="no lab here"):
        control.status(folder)
    with pytest.raises(Refused, match="no lab's"):
        control.up(first_site, first_site, speed=20)
    control.up(first_site, folder, speed=20)
    try:
        with pytest.raises(Refused, match="a lab is here already"):
            control.up(first_site, folder, speed=20)
    finally:
        control.down(folder)
    with pytest.raises(Refused, match=f"rm -r {folder}"):
        control.up(first_site, folder, speed=20)
    with pytest.raises(Refused, match=f"`metal lab up {folder}`"):
        control.status(folder)


def test_what_nobody_could_see_is_not_counted_as_stopped(trio: Lab) -> None:
    for server in ("alba1", "alba2", "alba3"):
        control.break_(trio.folder, server, "bmc-silent")
    status = trio.metal("status").stdout
    assert "3 servers: 0 on, 3 unknown" in status
    assert "bmc alba1, alba2, alba3: " in status, "the same reason is told once"
