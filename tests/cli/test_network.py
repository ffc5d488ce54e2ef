"""`metal network`: a folder that is filled, compared and left alone where it is not ours."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metal.controller.networking import network, rendered
from metal.drivers.engine_checks import CHECKERS, check
from metal.model.errors import Refused
from metal.model.plan import PlaceVm
from metal.model.world import World
from metal.schedule.after import carried_out

Metal = Callable[..., Any]


@pytest.fixture
def render(looked: Path, metal: Metal, tmp_path: Path) -> Callable[..., Any]:
    """`metal network render` into tmp_path/out, for a recorded world."""
    world = tmp_path / "world.json"
    world.write_text(metal("-C", str(looked), "look", "--last", "-o", "json").out)

    def run(*more: str) -> Any:
        into = ("--into", str(tmp_path / "out"), "--world", str(world))
        return metal("-C", str(looked), "network", "render", *into, *more)

    return run


@pytest.mark.parametrize("command", ["render", "check", "ipv6", "key"])
def test_help_is_golden(metal: Metal, golden: Any, command: str) -> None:
    golden(f"help-network-{command}.txt", metal("network", command, "--help").out)


def test_a_folder_is_filled_once(render: Callable[..., Any], tmp_path: Path) -> None:
    first = render()
    assert first.code == 0, first.err
    assert "new     lisbon/gateway1/etc/nftables.conf" in first.out
    assert (tmp_path / "out/lisbon/gateway2/etc/keepalived/keepalived.conf").is_file()
    again = render()
    assert again.out.startswith("0 of ")
    assert (render("--diff").code, render("--diff").out) == (0, "")


def test_a_diff_writes_nothing_and_ends_with_ten(
    render: Callable[..., Any], tmp_path: Path
) -> None:
    assert render("--diff").code == 10
    assert not (tmp_path / "out").exists()
    render()
    file = tmp_path / "out/lisbon/gateway1/etc/nftables.conf"
    right = file.read_text()
    file.write_text(right.replace("policy drop", "policy accept"))
    said = render("--diff")
    assert said.code == 10
    assert "+        type filter hook forward priority filter; policy drop;" in said.out
    assert "policy drop" not in file.read_text()
    assert render().out.startswith("changed lisbon/gateway1/etc/nftables.conf")
    assert file.read_text() == right


def test_only_what_metal_wrote_is_removed(render: Callable[..., Any], tmp_path: Path) -> None:
    render()
    ours = tmp_path / "out/lisbon/firewall/9999.fw"
    theirs = tmp_path / "out/lisbon/notes.txt"
    ours.parent.mkdir(exist_ok=True)
    ours.write_text("# old, rendered by metal: what is changed here by hand is lost.\n")
    theirs.write_text("ask Ana\n")
    assert "gone    lisbon/firewall/9999.fw" in render("--site", "lisbon").out
    assert not ours.exists() and theirs.exists()


def test_one_site_and_no_such_site(render: Callable[..., Any], tmp_path: Path) -> None:
    assert render("--site", "genoa").code == 0
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["genoa"]
    wrong = render("--site", "geneva")
    assert wrong.code == 2
    assert "no such site" in wrong.err


def test_as_json(render: Callable[..., Any]) -> None:
    told = json.loads(render("-o", "json").out)
    assert {f["state"] for f in told["files"]} == {"new"}


def test_check_asks_every_engine(looked: Path, metal: Metal, tmp_path: Path) -> None:
    world = tmp_path / "world.json"
    world.write_text("{}")
    said = metal("-C", str(looked), "network", "check", "--world", str(world), "-o", "json")
    verdicts = json.loads(said.out)
    assert {v["engine"] for v in verdicts} == set(CHECKERS)
    assert not any(v["wrong"] for v in verdicts)
    assert said.code == (3 if any(v["unjudged"] for v in verdicts) else 0)


def test_a_tool_that_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(Refused, match="apt install nftables"):
        check("nft", tmp_path / "file")


def test_a_change_of_prefix_is_told(looked: Path, metal: Metal, tmp_path: Path) -> None:
    file = looked / "inventory.toml"
    old = 'ipv6 = "2001:db8:11::/48"'
    file.write_text(file.read_text().replace(old, old + '\nipv6_next = "2001:db8:f11::/48"'))
    (tmp_path / "world.json").write_text("{}")
    words = ("network", "ipv6", "--site", "lisbon", "--world", str(tmp_path / "world.json"))
    said = metal("-C", str(looked), *words)
    assert "lisbon changes from 2001:db8:11::/48 to 2001:db8:f11::/48:" in said.out
    assert "git: 2001:db8:f11:0:" in said.out
    assert "7 days at least" in said.out


def test_a_sites_key_is_escrowed_before_it_is_handed_over(
    looked: Path, metal: Metal, tmp_path: Path
) -> None:
    out = tmp_path / "mesh.key"
    words = ("-C", str(looked), "network", "key", "genoa", "--out", str(out))
    said = metal(*words, "-o", "json")
    assert said.code == 0, said.err
    public = json.loads(said.out)["public"]
    private = out.read_text()
    assert out.stat().st_mode & 0o777 == 0o600
    assert private.strip() not in said.out + said.err
    assert (looked / "secrets/wireguard/genoa.age").is_file()
    if shutil.which("wg"):
        done = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True)
        assert done.stdout.strip() == public
    again = metal(*words)
    assert (again.code, "the site has a key" in again.err) == (3, True)
    out.unlink()
    assert metal(*words, "--anew").code == 0
    assert out.read_text() != private


def test_gateways_are_told_what_vms_are(recorded: Any) -> None:
    """What a plan gives a VM is what the gateways forward, before and after it is carried out."""
    from metal.controller.planning import plan_fleet

    inventory = recorded.inventory()
    world = recorded.world(inventory)
    plan = plan_fleet(inventory, world)
    after = carried_out(inventory, world, plan)
    planned = {a.vm: a.addressing for a in plan.actions if isinstance(a, PlaceVm)}
    assert planned
    for look in (world, after):
        seen, _ = network(inventory, look)
        told = {vm: has for view in seen.values() for vm, has in view.vms.items()}
        assert {vm: told[vm] for vm in planned} == planned
    assert rendered(inventory, World(), None, Path("nowhere")).files
