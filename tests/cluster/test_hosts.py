"""Proxmox VE on an installed Debian: the script, and the durable operation that runs it."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from metal.cluster.host import RELEASES, TEMPLATE, host_script
from metal.cluster.hosts import HostPorts, make_hosts
from metal.drivers.proxmox.hosting import DebianShell
from metal.install.render import Templates
from metal.inventory import load
from metal.inventory.defaults import defaults
from metal.lab.proxmox.shell import Shell
from metal.model.errors import Failed
from metal.model.life import Status
from metal.operations.run import Outcome, perform
from metal.operations.store import Store, open_store

GOLDEN = Path(__file__).parent / "golden"
NODES = ("alba1", "alba2", "alba3")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store("sqlite", tmp_path / "state") as opened:
        yield opened


def rendered(debian: str = "trixie", **fleet: Any) -> str:
    inventory = load(defaults())
    profile = inventory.profiles["ceph-node"].model_copy(update={"debian": debian})
    inventory = inventory.model_copy(
        update={
            "profiles": {**inventory.profiles, "ceph-node": profile},
            "fleet": inventory.fleet.model_copy(update=fleet),
        }
    )
    return Templates([defaults()]).render(TEMPLATE, **dict(host_script(inventory, "alba1")))


@pytest.mark.parametrize(("name", "debian"), [("proxmox-8", "bookworm"), ("proxmox-9", "trixie")])
def test_golden_script(name: str, debian: str) -> None:
    mirror = (
        {"proxmox_mirror": "http://mirror.example.org/proxmox/pve/"} if debian == "bookworm" else {}
    )
    text, file = rendered(debian, **mirror), GOLDEN / f"{name}.sh"
    if os.environ.get("METAL_GOLDEN") == "1":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text(), f"if that is wanted: METAL_GOLDEN=1 pytest {__file__}"
    assert subprocess.run(["sh", "-n", file]).returncode == 0


def test_without_ceph_nothing_of_it_is_installed() -> None:
    script = host_script(load(defaults()), "duna1")
    assert script.ceph is None
    assert not [p for p in script.packages if "ceph" in p]


# ── the script on a machine ─────────────────────────────────────────────────────────────────────


class Machine:
    """A mount namespace of this one, in which some of /etc is another's and apt does nothing."""

    def __init__(self, folder: Path, script: str) -> None:
        self.folder, self.etc = folder, folder / "etc"
        (self.etc / "apt/sources.list.d").mkdir(parents=True)
        self.key = folder / "key.gpg"
        self.key.write_bytes(b"a key")
        (self.etc / "os-release").write_text("VERSION_CODENAME=trixie\n")
        (self.etc / "nsswitch.conf").write_text("hosts: files\n")
        self.hosts = self.etc / "hosts"
        self.hosts.write_text("127.0.0.1 localhost\n127.0.1.1 alba1.attic.example.org alba1\n")
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.ran = folder / "ran"
        self.kernel = "6.12.41+deb13-amd64"
        self.script = script
        for name, body in {
            "apt-get": "",
            "debconf-set-selections": "cat >/dev/null",
            "update-grub": "",
            "dpkg": '[ "$1" != --print-architecture ] || echo amd64',
            "dpkg-query": "printf 'ii  linux-image-amd64\\nrc  linux-image-6.1.0-1-amd64\\n'",
            "hostname": 'case "$*" in "") echo alba1 ;; *) echo "10.11.1.11 fe80::1" ;; esac',
            "ip": "echo '2: eno1    inet 10.11.1.11/24 brd 10.11.1.255 scope global eno1'",
            "curl": 'while [ $# -gt 1 ]; do [ "$1" = -o ] && to=$2; shift; done; cp KEY "$to"',
            "uname": "cat KERNEL",
        }.items():
            self._stub(name, body)

    def _stub(self, name: str, body: str) -> None:
        body = body.replace("KEY", str(self.key)).replace("KERNEL", str(self.folder / "kernel"))
        file = self.bin / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.ran}\n{body}\n')
        file.chmod(0o755)

    def run(self, part: str) -> "subprocess.CompletedProcess[str]":
        (self.folder / "kernel").write_text(f"{self.kernel}\n")
        self.ran.write_text("")
        file = self.folder / "proxmox.sh"
        file.write_text(self.script)
        binds = " && ".join(
            f"mount --bind {self.etc / name} /etc/{name}"
            for name in ("apt", "hosts", "nsswitch.conf", "os-release")
        )
        enter = f'{binds} && PATH={self.bin}:$PATH exec sh {file} "$1"'
        argv = ["unshare", "-m", "sh", "-c", enter, "_", part]
        return subprocess.run(argv, capture_output=True, text=True)

    def did(self, words: str) -> bool:
        return any(words in line for line in self.ran.read_text().splitlines())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("a mount namespace of one's own needs root and unshare")
    import hashlib

    digest = hashlib.sha256(b"a key").hexdigest()
    text = rendered().replace(RELEASES["trixie"].keyring.digest, digest)
    made = Machine(tmp_path / "machine", text)
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True)
    if probe.returncode:
        pytest.skip("no mount namespace can be made here")
    return made


def test_the_script_makes_a_host_in_two_parts(machine: Machine) -> None:
    for _ in range(2):  # the second time nothing is different
        ran = machine.run("kernel")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert machine.hosts.read_text().splitlines() == [
            "127.0.0.1 localhost",
            "10.11.1.11 alba1.attic.example.org alba1",
        ]
        assert (machine.etc / "apt/keyrings/metal-proxmox.gpg").read_bytes() == b"a key"
        assert machine.did("purge os-prober")
        assert machine.did("install proxmox-default-kernel")
    assert not machine.did("curl"), "the key is there and is the right one"
    machine.kernel = "6.14.8-2-pve"
    enterprise = machine.etc / "apt/sources.list.d/pve-enterprise.sources"
    enterprise.write_text("URIs: https://enterprise.proxmox.com/debian/pve\n")
    ran = machine.run("proxmox")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert machine.did("install proxmox-ve postfix")
    assert machine.did("purge linux-image-amd64")
    assert not machine.did("linux-image-6.1.0-1-amd64"), "that one is gone already"
    assert not enterprise.exists()
    assert (machine.etc / "apt/sources.list.d/metal-proxmox.sources").is_file()


def test_another_key_is_refused_before_apt_sees_it(machine: Machine) -> None:
    machine.key.write_bytes(b"another key")
    ran = machine.run("kernel")
    assert ran.returncode == 1
    assert "is not the key that it should be" in ran.stderr
    assert not machine.did("apt-get")
    assert not list((machine.etc / "apt/keyrings").iterdir())


def test_a_key_that_was_changed_on_the_disk_is_fetched_anew(machine: Machine) -> None:
    machine.run("kernel")
    kept = machine.etc / "apt/keyrings/metal-proxmox.gpg"
    kept.write_bytes(b"somebody's")
    assert machine.run("kernel").returncode == 0
    assert kept.read_bytes() == b"a key"


def test_debians_kernel_stays_while_it_runs(machine: Machine) -> None:
    machine.run("kernel")
    ran = machine.run("proxmox")
    assert ran.returncode == 1
    assert "not yet Proxmox's kernel" in ran.stderr
    assert not machine.did("purge linux-image")


@pytest.mark.parametrize(
    ("stub", "body", "why"),
    [
        ("hostname", "echo bora1", "it calls itself bora1, not alba1"),
        ("ip", "echo '2: eno1 inet 10.11.1.110/24'", "no card of it has 10.11.1.11"),
        ("dpkg", '[ "$1" != --print-architecture ] || echo arm64', "for amd64 only"),
    ],
)
def test_another_machine_is_left_alone(machine: Machine, stub: str, body: str, why: str) -> None:
    machine._stub(stub, body)
    before = machine.hosts.read_text()
    ran = machine.run("kernel")
    assert ran.returncode == 1
    assert why in ran.stderr
    assert machine.hosts.read_text() == before
    assert not machine.did("apt-get")


# ── the operation ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def debians(lab: Any) -> Any:
    """The double's nodes, of which none has Proxmox yet."""
    for name in NODES:
        lab.add(name, lab.access[name].address, proxmox=False)
    return lab


class Killed(BaseException):
    """The process dies here: nothing that catches errors may see it."""


def hosting(lab: Any, pins: dict[str, str], wrap: Callable[[Any], Any] = lambda s: s) -> HostPorts:
    return HostPorts(
        bare=lambda server: server not in pins,
        script=lambda server: f"name='{server}'\n",
        shell=lambda server: wrap(DebianShell(Shell(lab.datacenter, server))),
        pin=pins.__setitem__,
        every=0.02,
    )


def carry_out(store: Store, ports: HostPorts) -> Outcome:
    operation = store.journal.open("form", "alba", ["cluster alba"], {})
    return perform(store, operation, lambda run: make_hosts(run, NODES, ports))


def test_three_debians_become_hosts_side_by_side(debians: Any, store: Store) -> None:
    pins: dict[str, str] = {}
    outcome = carry_out(store, hosting(debians, pins))
    assert (outcome.error, outcome.status) == ("", Status.DONE)
    assert pins == {name: debians.access[name].pin for name in NODES}
    events = [
        (e["where"], e["what"]) for e in debians.datacenter.truth()["events"] if "part" in e["what"]
    ]
    for part in ("kernel", "proxmox"):
        begun = [at for at, e in enumerate(events) if e[1] == f"part {part} begun"]
        done = [at for at, e in enumerate(events) if e[1] == f"part {part} done"]
        assert len(begun) == len(done) == 3
        assert max(begun) < min(done), "each began before the first was done"
    assert sorted(debians.events("reboot")) == list(NODES)
    driver = debians.driver()
    driver.ensure_created("alba", "alba1")  # its API answers, by the certificate that was pinned


def test_a_server_with_proxmox_is_left_alone(lab: Any, store: Store) -> None:
    pins = {name: lab.access[name].pin for name in NODES}
    assert carry_out(store, hosting(lab, pins)).status is Status.DONE
    assert not lab.events("part")
    assert not lab.events("reboot")


@pytest.mark.parametrize("after", [False, True])
def test_making_hosts_survives_a_kill_at_every_call(
    debians: Any, store: Store, after: bool
) -> None:
    pins: dict[str, str] = {}

    class Dying:
        """Dies at its first call that is new work: before it, or after it took effect."""

        seen: set[tuple[Any, ...]] = set()

        def __init__(self, real: DebianShell) -> None:
            self._real = real

        def __getattr__(self, name: str) -> Any:
            return partial(self._call, name)

        def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
            key = (self._real._runner.where, name, args[:1])
            fresh = key not in Dying.seen
            Dying.seen.add(key)
            if fresh and not after:
                raise Killed
            result = getattr(self._real, name)(*args, **kwargs)
            if fresh:
                raise Killed
            return result

    kills = 0
    while True:
        try:
            outcome = carry_out(store, hosting(debians, pins, Dying))
            break
        except Killed:
            kills += 1
            assert kills < 60, "it does not get on"
    assert (outcome.error, outcome.status) == ("", Status.DONE)
    assert kills >= 12
    for part in ("kernel", "proxmox"):
        assert sorted(debians.events(f"part {part} begun")) == list(NODES), "each once"
    assert sorted(debians.events("reboot")) == list(NODES), "each once"
    assert sorted(pins) == list(NODES)


def test_what_fails_is_told_and_gone_on_with(debians: Any, store: Store) -> None:
    pins: dict[str, str] = {}
    debians.datacenter.broken_packages = "Unable to fetch some archives"
    outcome = carry_out(store, hosting(debians, pins))
    assert outcome.status is Status.FAILED
    assert "Unable to fetch some archives" in outcome.error
    assert "/var/lib/metal/kernel.log" in outcome.error
    assert not debians.events("reboot")
    debians.datacenter.broken_packages = ""
    assert carry_out(store, hosting(debians, pins)).status is Status.DONE
    assert sorted(pins) == list(NODES)


def test_a_power_cut_in_the_middle_begins_the_part_again(debians: Any) -> None:
    shell = DebianShell(Shell(debians.datacenter, "alba1"))
    script = "name='alba1'\n"
    assert shell.run_part("kernel", script, anew=True) is False
    debians.datacenter.power_off("alba1")
    debians.datacenter.power_on("alba1")
    done = threading.Event()
    while not shell.run_part("kernel", script, anew=False):
        done.wait(0.01)
    assert debians.events("part kernel begun") == ["alba1", "alba1"]


def test_a_script_for_another_server_does_nothing(debians: Any) -> None:
    shell = DebianShell(Shell(debians.datacenter, "alba1"))
    assert shell.run_part("kernel", "name='alba2'\n", anew=True) is False
    with pytest.raises(Failed, match="it calls itself alba1"):
        while True:
            shell.run_part("kernel", "name='alba2'\n", anew=False)


# ── the real shell's half ───────────────────────────────────────────────────────────────────────


class Here:
    """Runs what the driver would send, on this machine, in a folder instead of /var/lib/metal."""

    def __init__(self, folder: Path) -> None:
        self.where, self._folder = "here", folder

    def run(self, argv: Any, *, stdin: bytes = b"", timeout: float = 60.0) -> Any:
        from metal.drivers.commands import Result

        words = [w.replace("/var/lib/metal", str(self._folder / "state")) for w in argv]
        path = f"{self._folder / 'bin'}:{os.environ['PATH']}"
        ran = subprocess.run(words, input=stdin, capture_output=True, env={"PATH": path})
        return Result(ran.returncode, ran.stdout, ran.stderr.decode())


@pytest.fixture
def here(tmp_path: Path) -> DebianShell:
    """systemd-run runs the command at once; nothing is ever found active."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    run = (
        'while [ "$1" != sh ]; do if [ "$1" = --working-directory ]; then cd "$2"; fi; shift; done'
    )
    for name, body in {"systemctl": "exit 3", "systemd-run": f'{run}\nexec "$@"'}.items():
        (binaries / name).write_text(f"#!/bin/sh\n{body}\n")
        (binaries / name).chmod(0o755)
    return DebianShell(Here(tmp_path))


def test_a_part_is_run_once_and_again_only_where_it_failed(
    here: DebianShell, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    works = f'echo "$1" >>{count}\n'
    assert here.run_part("kernel", works, anew=True) is False
    assert here.run_part("kernel", works, anew=True) is True
    assert here.run_part("proxmox", works, anew=True) is False
    assert here.run_part("proxmox", works, anew=False) is True
    assert count.read_text() == "kernel\nproxmox\n"
    fails = 'echo "E: no space left"; exit 7\n'
    assert here.run_part("kernel", fails, anew=False) is False, "another script is another thing"
    with pytest.raises(Failed, match="code 7: E: no space left"):
        here.run_part("kernel", fails, anew=False)
    assert here.run_part("kernel", fails, anew=True) is False
