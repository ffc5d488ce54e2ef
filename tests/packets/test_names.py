"""`metal network apply VM` on a real BIND, by real SSH, from the machine of an administrator.

In the order of the file: each test goes on with what the one before left.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from metal.controller.networking import network
from metal.controller.workspace import Workspace
from metal.inventory import load
from metal.lab.wires.gateway import BIN, SYSTEMD, begin_sshd
from metal.lab.wires.machine import Machine, connect, machines
from metal.lab.wires.patience import until
from metal.model.world import SeenCluster, World
from metal.network.engines.zonefile import FOLDER

pytestmark = pytest.mark.lab
HERE = Path(__file__).resolve().parent
REFUSED, FAILED, PENDING = 3, 1, 10
ZONE = "wires.example.org"
INCLUDE = f'include "{FOLDER}/named.conf.metal";\n'
OPTIONS = 'options { directory "/run/named"; recursion no; listen-on { any; }; };\n'
MOVED = 'name = "wiki.wires.example.org"', 'name = "pages.wires.example.org"'
TRIED = "test -d /var/lib/metal/trials/names/before && echo yes"


@dataclass
class Desk:
    """An administrator's machine with the workspace, and the name server beside it."""

    folder: Path
    ana: Machine
    dns: Machine

    def edit(self, old: str, new: str) -> None:
        file = self.folder / "inventory.toml"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    def argv(self, *words: str, trial: int = 60) -> list[str]:
        metal = [sys.executable, "-m", "metal", "-C", str(self.folder), "network", "apply", "dns"]
        world = ["--world", str(self.folder / "world.json"), "--trial", str(trial)]
        return ["nsenter", "-t", str(self.ana.pid), "-n", "--", *metal, *world, *words]

    def apply(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.argv(*words), capture_output=True, text=True, timeout=300)

    def done(self, *words: str) -> str:
        done = self.apply("--yes", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def dig(self, name: str, kind: str) -> str:
        return self.dns.run("dig", "+short", "@127.0.0.1", f"{name}.{ZONE}".lstrip("."), kind)

    @property
    def serial(self) -> int:
        return int(self.dig("", "SOA").split()[2])


def _public_key() -> str:
    key = subprocess.run(["wg", "genkey"], capture_output=True, check=True).stdout
    told = subprocess.run(["wg", "pubkey"], input=key, capture_output=True, check=True).stdout
    return told.decode().strip()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    if os.geteuid():
        pytest.skip("namespaces want root")
    missing = [tool for tool in ("named", "rndc", "dig", "sshd", "wg") if not shutil.which(tool)]
    if missing:
        pytest.skip(f"not installed: {' '.join(missing)}")
    place = tmp_path_factory.mktemp("names")
    bind = place / "tree/etc/bind"
    bind.mkdir(parents=True)
    (bind / "named.conf.options").write_text(OPTIONS)
    text = (HERE / "two-sites.toml").read_text().replace("[fleet]", "[fleet]\npoll_seconds = 0.2")
    for name in ("north", "south", "ana"):
        text = text.replace(f"KEY-{name}", _public_key())
    (place / "inventory.toml").write_text(text)
    unseen = World(clusters={name: SeenCluster() for name in load(place).clusters})
    (place / "world.json").write_text(unseen.model_dump_json())
    workspace = Workspace(place)
    seen, _ = network(workspace.inventory, unseen)
    (address,) = (v.addresses6("dns")[0] for v in seen.values() if "dns" in v.vms)
    (place / "logs").mkdir()
    with machines(place / "logs") as made:
        dns, ana = made.make("dns", place / "tree"), made.make("ana")
        connect(dns, "eth0", ana, "eth0")
        dns.script(f"ip addr add {address}/64 dev eth0 nodad", "ip link set eth0 up")
        ana.script(f"ip addr add {address + 1}/64 dev eth0 nodad", "ip link set eth0 up")
        dns.script(f"mkdir -p {BIN} /run/named", "chown bind /run/named")
        dns.script(*(f"ln -sf {SYSTEMD} {BIN}/{name}" for name in ("systemctl", "systemd-run")))
        dns.start("named", "-f", "-u", "bind")
        host_key = begin_sshd(dns, workspace.controller_key)
        workspace.host_keys.pin("dns", "system", [host_key])
        until(lambda: dns.run("rndc", "status", check=False) != "", "no BIND")
        yield Desk(place, ana, dns)


def test_a_server_that_would_not_read_the_zones_is_told_how(desk: Desk) -> None:
    refused = desk.apply("--yes")
    assert refused.returncode == FAILED and INCLUDE.strip() in refused.stderr, refused.stderr
    assert desk.dns.run("ls", "/etc/bind").find("metal") == -1


def test_it_answers_with_what_the_inventory_says(desk: Desk) -> None:
    """And with what people wrote beside it."""
    own = f"{FOLDER}/db.{ZONE}.own"
    desk.dns.script(
        f"mkdir {FOLDER}",
        f"touch {FOLDER}/named.conf.metal",
        f"echo '{INCLUDE.strip()}' >>/etc/bind/named.conf.local",
        f"echo '@ IN MX 10 mail' >{own}",
    )
    planned = desk.apply("--plan")
    assert planned.returncode == PENDING and f"new      {FOLDER}/db.{ZONE}" in planned.stdout
    desk.done()
    assert desk.dig("wiki", "A") and desk.dig("", "MX") == f"10 mail.{ZONE}.\n"
    assert desk.serial == 1
    assert "nothing to do" in desk.done() and desk.serial == 1


def test_what_says_something_new_has_a_new_serial(desk: Desk) -> None:
    desk.edit(*MOVED)
    desk.done()
    assert desk.serial == 2 and desk.dig("pages", "A") and desk.dig("", "MX")


def test_a_bad_zone_is_refused_and_the_old_one_stays(desk: Desk) -> None:
    own = f"{FOLDER}/db.{ZONE}.own"
    desk.dns.script(f"echo 'oops IN A 1.2.3' >>{own}")
    desk.edit(*reversed(MOVED))
    refused = desk.apply("--yes")
    assert refused.returncode == FAILED and "bad dotted quad" in refused.stderr, refused.stderr
    assert desk.serial == 2 and desk.dig("pages", "A")
    desk.dns.script(f"sed -i '/oops/d; s/10 mail/20 mail/' {own}")


def test_killed_and_never_gone_on_with_it_answers_as_before(desk: Desk) -> None:
    """The former files are older than what was loaded meanwhile; named must read them all the
    same."""
    begun = subprocess.Popen(
        desk.argv("--yes", trial=10), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until(lambda: desk.dns.run("sh", "-c", TRIED, check=False) == "yes\n", "nothing is tried")
    os.kill(begun.pid, signal.SIGKILL)
    begun.wait()
    until(lambda: desk.serial == 3, "the new zones are not tried")
    until(lambda: desk.serial == 2 and bool(desk.dig("pages", "A")), "nothing was taken back")


def test_the_same_command_goes_on_with_what_was_agreed_to(desk: Desk) -> None:
    gone_on = desk.apply("--yes")
    assert gone_on.returncode == 0 and "agreed to before" in gone_on.stderr, gone_on.stderr
    assert desk.serial == 3 and desk.dig("wiki", "A") and not desk.dig("pages", "A")
    assert desk.dig("", "MX").startswith("20 "), "and what people changed beside it"


def test_what_a_person_wrote_is_not_overwritten_unasked_and_its_serial_is_counted_on(
    desk: Desk,
) -> None:
    file = f"{FOLDER}/db.{ZONE}"
    desk.dns.script(
        f"sed -i 's/ 3 7200/ 2026112901 7200/' {file}", f"echo 'x IN A 192.0.2.7' >>{file}"
    )
    desk.dns.run("rndc", "reload")
    until(lambda: desk.serial == 2026112901, "it is not loaded")
    told = desk.apply("--yes")
    assert told.returncode == REFUSED and f"dns: {file}" in told.stderr
    desk.done("--overwrite")
    assert desk.serial == 2026112902 and not desk.dig("x", "A")
    assert "x IN A" in desk.dns.run("cat", f"/var/lib/metal/former{file}")
