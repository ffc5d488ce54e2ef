"""`metal network apply` from an administrator's machine, through the mesh, by real SSH.

What was changed is seen by packets; a change that would cut the site off is taken back by the
gateway itself. In the order of the file: each test leaves the site as it found it, or says so.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from metal.controller.workspace import Workspace
from metal.inventory import load
from metal.lab.wires.gateway import begin_mesh, begin_sshd, holds, systemctl
from metal.lab.wires.patience import until
from metal.lab.wires.promises import Call, ask, broken, promises
from metal.lab.wires.topology import Wires
from metal.model.world import SeenCluster, World
from metal.network.sites import private_gateway

pytestmark = pytest.mark.lab
TRIAL = 40
REFUSED, FAILED, PENDING = 3, 1, 10
OPEN = "{ port = 22 }, { port = 443 }]", "{ port = 22 }, { port = 443 }, { port = 9418 }]"
"""git gets one more port."""
CUT = 'public_gateway = "198.51.100.1"', 'public_gateway = "198.51.100.14"'
"""A slip of which no engine knows: nobody is there."""


@dataclass
class Desk:
    """An administrator's machine, with the workspace."""

    wires: Wires
    folder: Path

    def edit(self, old: str, new: str) -> None:
        file = self.folder / "inventory.toml"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    def argv(self, *words: str) -> list[str]:
        world = ["--world", str(self.folder / "world.json"), "--trial", str(TRIAL)]
        metal = [sys.executable, "-m", "metal", "-C", str(self.folder), "network", "apply", "north"]
        ana = self.wires.machines.all["ana"]
        return ["nsenter", "-t", str(ana.pid), "-n", "--", *metal, *world, *words]

    def apply(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.argv(*words), capture_output=True, text=True, timeout=400)

    def done(self, *words: str) -> str:
        done = self.apply("--yes", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def well(self) -> bool:
        return broken(self.wires.world, promises(self.wires.views)) == []

    @property
    def carrier(self) -> int:
        vip = str(private_gateway(self.wires.views["north"].site))
        (found,) = (n for n, g in enumerate(self.wires.gateways["north"]) if holds(g, vip))
        return found

    def git(self) -> object:
        """Who answers on the port that git is to get."""
        shared = self.wires.views["north"].vms["git"].shared
        return ask(self.wires.world, [Call(str(shared), 9418)])[0]


@pytest.fixture(scope="module")
def desk(wires: Wires, folder: Path) -> Desk:
    place = folder / "workspace"
    place.mkdir()
    shutil.copy(folder / "inventory.toml", place)
    text = (place / "inventory.toml").read_text()
    (place / "inventory.toml").write_text(text.replace("[fleet]", "[fleet]\npoll_seconds = 0.5", 1))
    unseen = {name: SeenCluster() for name in load(place).clusters}
    (place / "world.json").write_text(World(clusters=unseen).model_dump_json())
    workspace = Workspace(place)
    for number, gateway in enumerate(wires.gateways["north"], 1):
        key = begin_sshd(gateway, workspace.controller_key)
        workspace.host_keys.pin(f"north-gateway{number}", "system", [key])
    begin_mesh(wires.machines.all["ana"])
    made = Desk(wires, place)
    until(lambda: made.well, "the promises are not kept before")
    return made


def test_what_is_as_it_should_be_is_left_alone(desk: Desk) -> None:
    until(lambda: desk.apply("--plan").returncode == 0, "the gateways are not reached")
    assert "nothing to do" in desk.done()


def test_a_change_is_shown_then_proven_and_seen_by_packets(desk: Desk) -> None:
    """Metal did not put the first files there: it asks before it takes them for its own."""
    desk.edit(*OPEN)
    planned = desk.apply("--plan")
    assert planned.returncode == PENDING, planned.stderr
    assert "+        ip daddr" in planned.stdout and "9418" in planned.stdout
    refused = desk.apply("--yes")
    assert refused.returncode == REFUSED and "/etc/nftables.conf" in refused.stderr
    assert desk.git() is None
    before = desk.carrier
    desk.done("--overwrite")
    assert desk.git() == {**desk.git(), "name": "git"}  # type: ignore[dict-item]
    assert desk.well and desk.carrier == before
    assert "nothing to do" in desk.done()


def test_what_a_person_changed_is_not_overwritten_unasked(desk: Desk) -> None:
    gateway = desk.wires.gateways["north"][0]
    gateway.script("echo '# a person was here' >>/etc/radvd.conf")
    told = desk.apply("--yes")
    assert told.returncode == REFUSED and "gateway1: /etc/radvd.conf" in told.stderr
    assert "a person was here" in gateway.run("cat", "/etc/radvd.conf")
    desk.done("--overwrite")
    assert "a person was here" not in gateway.run("cat", "/etc/radvd.conf")
    assert "a person was here" in gateway.run("cat", "/var/lib/metal/former/etc/radvd.conf")


def test_a_gateway_that_is_cut_off_comes_back_by_itself(desk: Desk) -> None:
    before = desk.carrier
    desk.edit(*CUT)
    cut = desk.apply("--yes")
    assert cut.returncode == FAILED, cut.stderr
    assert "taken the old one back" in cut.stderr, cut.stderr
    assert "no answer" in cut.stderr, cut.stderr
    until(lambda: desk.well, "the site did not come back")
    assert desk.carrier == before
    for gateway in desk.wires.gateways["north"]:
        assert "198.51.100.14" not in gateway.run("cat", "/etc/keepalived/keepalived.conf")


def test_killed_while_a_gateway_is_tried_it_is_gone_on_with(desk: Desk) -> None:
    """The slip is mended, and the port taken away again: the site is as at first."""
    desk.edit(*reversed(CUT))
    desk.edit(*reversed(OPEN))
    begun = subprocess.Popen(
        desk.argv("--yes"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    )
    tried = desk.wires.gateways["north"][1 - desk.carrier]
    there = "test -d /var/lib/metal/trials/gateway/before && echo yes"
    until(lambda: tried.run("sh", "-c", there, check=False) == "yes\n", "nothing is tried")
    os.kill(begun.pid, signal.SIGKILL)
    begun.wait()
    assert desk.git() is not None
    desk.done()
    assert desk.git() is None and desk.well
    for gateway in desk.wires.gateways["north"]:
        assert systemctl(gateway, "is-active", "keepalived", "haproxy", "unbound") == ""
