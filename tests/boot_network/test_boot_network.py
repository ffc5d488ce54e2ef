"""`metal serve` on a wire of its own: real firmware, real dnsmasq, a stranger's DHCP beside it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MAC = "52:54:00:00:00:77"
OVMF = Path("/usr/share/OVMF")
needed = ("qemu-system-x86_64", "dnsmasq", "ip")
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: only root may"),
    pytest.mark.skipif(
        not all(map(shutil.which, needed)) or not Path("/usr/lib/ipxe/undionly.kpxe").is_file(),
        reason="needs " + ", ".join(needed) + " and the package ipxe",
    ),
]
INVENTORY = """\
[fleet]
name = "boot-test"
domain = "boot.example.org"
boot_listen = "0.0.0.0:8080"
mirror = "http://mirror.example.org/debian"

[administrators.ana]
name = "Ana"
keys = ["age1yku09hcld5wnzag9aws7d6dwtpjyse6qq4m2fgy2m2vku0gfrpsq9qlqmc"]

[sites.here]
place = "a namespace"
donor = {{ name = "D", contact = "d@example.org" }}

[sites.here.subnets]
bmc = "10.78.0.0/24"
management = "{management}"
gateway = "{gateway}"
private_ipv4 = "10.79.0.0/24"

[servers.one]
site = "here"
rack = "R"
profile = "ceph-node"
address = "{address}"
bmc = {{ address = "10.78.0.2" }}
boot_mac = "52:54:00:00:00:77"

[clusters.alone]
servers = ["one"]
ceph = false
"""


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


class Wire:
    """A namespace with a bridge, where `metal serve` lives, and a tap for a machine."""

    def __init__(self, folder: Path, address: str = "10.77.0.1") -> None:
        """`address`: where the boot service is asked what it counted."""
        self.address = address
        self.name, self.folder = f"metal{os.getpid()}", folder
        self.children: list[subprocess.Popen[bytes]] = []
        self.namespaces = [self.name]
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")
        self.ip("link", "add", "br0", "type", "bridge")
        self.ip("address", "add", "10.77.0.1/24", "dev", "br0")
        self.ip("address", "add", "fd77::1/64", "dev", "br0", "nodad")
        self.ip("link", "set", "br0", "up")
        self.ip("tuntap", "add", "tap0", "mode", "tap")
        self.ip("link", "set", "tap0", "master", "br0", "up")

    def ip(self, *words: str) -> None:
        run("ip", "-n", self.name, *words)

    def stranger(self) -> None:
        """The colocation's own DHCP server, on the same wire in a namespace of its own."""
        other = self.name + "d"
        run("ip", "netns", "add", other)
        self.namespaces.append(other)
        self.ip("link", "add", "vd", "type", "veth", "peer", "name", "eth0", "netns", other)
        self.ip("link", "set", "vd", "master", "br0", "up")
        run("ip", "-n", other, "address", "add", "10.77.0.254/24", "dev", "eth0")
        run("ip", "-n", other, "link", "set", "eth0", "up")
        ranged = "--dhcp-range=10.77.0.100,10.77.0.150,1h"
        leases = f"--dhcp-leasefile={self.folder}/stranger-leases"
        self.start(
            "dnsmasq", "-k", "--conf-file=/dev/null", "--port=0", "--interface=eth0",
            "--bind-interfaces", "--log-facility=-", "--user=root", leases, ranged,
            namespace=other, log="stranger",
        )  # fmt: skip
        wait_for(lambda: "DHCP, sockets bound" in self.log("stranger"), "the stranger to start")

    def serve(self, *options: str) -> None:
        served = self.start_serve(*options)

        def up() -> bool:
            assert served.poll() is None, self.log("serve")
            return "TFTP and HTTP" in self.log("serve")

        wait_for(up, "metal serve")

    def start_serve(self, *options: str) -> subprocess.Popen[bytes]:
        return self.start(
            sys.executable, "-m", "metal", "-C", str(self.folder), "-v", "serve", "--site", "here",
            "--interface", "br0", *options, log="serve",
        )  # fmt: skip

    def boot(self, *firmware: str) -> subprocess.Popen[bytes]:
        """A machine that boots from the network. TCG: KVM hangs guests on some clouds."""
        return self.start(
            "qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-display", "none", "-monitor",
            "none", "-serial", f"file:{self.folder}/console", "-netdev",
            "tap,id=n,ifname=tap0,script=no,downscript=no", *firmware, log="qemu",
        )  # fmt: skip

    def start(self, *words: str, namespace: str = "", log: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("wb") as file:
            child = subprocess.Popen(
                ["ip", "netns", "exec", namespace or self.name, *words],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        self.children.append(child)
        return child

    def log(self, name: str) -> str:
        return (self.folder / name).read_text(errors="replace")

    def counts(self) -> dict[str, int]:
        """What the boot service counted so far."""
        said = run(
            "ip", "netns", "exec", self.name, "curl", "-g", "-s", "--max-time", "5",
            f"http://{self.address}:8080/healthz",
        )  # fmt: skip
        counts: dict[str, int] = json.loads(said)["counts"]
        return counts

    def close(self) -> None:
        for child in reversed(self.children):
            child.terminate()
            child.wait(20)
        for namespace in self.namespaces:
            run("ip", "netns", "delete", namespace)


def wait_for(reached: Callable[[], bool], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    text = INVENTORY.format(management="10.77.0.0/24", gateway="10.77.0.1", address="10.77.0.11")
    (tmp_path / "inventory.toml").write_text(text)
    wire = Wire(tmp_path)
    try:
        yield wire
    finally:
        wire.close()


def card(folder: Path, firmware: str) -> list[str]:
    """The machine's card and firmware: QEMU's own iPXE under BIOS; OVMF's own PXE or HTTP."""
    device = f"virtio-net-pci,netdev=n,mac={MAC},bootindex=1"
    if firmware == "bios":
        return ["-device", device]
    shutil.copy(OVMF / "OVMF_VARS_4M.fd", folder / "vars.fd")
    words = ["-machine", "q35", "-device", device + ",romfile="]
    for file, mode in ((OVMF / "OVMF_CODE_4M.fd", "on"), (folder / "vars.fd", "off")):
        words += ["-drive", f"if=pflash,format=raw,readonly={mode},file={file}"]
    if firmware != "uefi":
        for version in ("4", "6") if firmware == "http" else ("4",):
            words += ["-fw_cfg", f"name=opt/org.tianocore/IPv{version}PXESupport,string=n"]
    return words


@pytest.mark.parametrize(
    ("firmware", "dhcp"),
    [("bios", "ours"), ("uefi", "ours"), ("http", "ours"), ("bios", "theirs"), ("uefi", "theirs")],
)
def test_a_machine_gets_its_script(wire: Wire, firmware: str, dhcp: str) -> None:
    """From power-on through DHCP and iPXE to our script; no install is open, so: its disk."""
    if firmware != "bios" and not (OVMF / "OVMF_CODE_4M.fd").is_file():
        pytest.skip("needs the package ovmf")
    if dhcp == "theirs":
        wire.stranger()
    wire.serve("--dhcp", dhcp, "--announce", "fd77::/64")
    wire.boot(*card(wire.folder, firmware))
    wait_for(lambda: scripts(wire) == 1, "the script")
    assert ("addresses come from 10.77.0.254" in wire.log("serve")) == (dhcp == "theirs")


def test_on_a_wire_with_ipv6_alone(tmp_path: Path) -> None:
    """No address of IPv4 anywhere: DHCPv6, TFTP, iPXE and the script over IPv6. OVMF asks three
    times, each time as somebody else."""
    if not (OVMF / "OVMF_CODE_4M.fd").is_file():
        pytest.skip("needs the package ovmf")
    text = INVENTORY.format(management="fd77::/64", gateway="fd77::1", address="fd77::11")
    text = text.replace("0.0.0.0:8080", "[::]:8080")
    (tmp_path / "inventory.toml").write_text(text)
    wire = Wire(tmp_path, "[fd77::1]")
    try:
        wire.ip("address", "delete", "10.77.0.1/24", "dev", "br0")
        wire.serve("--dhcp", "ours")
        wire.boot(*card(wire.folder, "uefi6"))
        wait_for(lambda: scripts(wire) == 1, "the script")
    finally:
        wire.close()


def scripts(wire: Wire) -> int:
    return wire.counts().get("scripts", 0)


def test_no_second_dhcp_server_on_a_wire_that_has_one(wire: Wire) -> None:
    wire.stranger()
    served = wire.start_serve("--dhcp", "ours")
    assert served.wait(60) == 3
    assert "10.77.0.254" in wire.log("serve")


def test_a_stranger_gets_nothing(wire: Wire) -> None:
    wire.serve("--dhcp", "ours")
    wire.boot("-device", "virtio-net-pci,netdev=n,mac=52:54:00:00:00:78,bootindex=1")
    wait_for(lambda: "ignored" in wire.log("serve"), "the stranger to be refused")
    assert "DHCPOFFER" not in wire.log("serve")
    assert scripts(wire) == 0


def test_dnsmasq_killed_is_started_again(wire: Wire) -> None:
    wire.serve("--dhcp", "ours")
    os.kill(int(run("pgrep", "-f", f"conf-file={wire.folder}").split()[0]), 9)
    wait_for(lambda: wire.log("serve").count("started, version") == 2, "dnsmasq to come back")


def watcher_of(wire: Wire) -> int:
    """The pid of the watcher beside `metal serve`."""
    served = wire.children[-1].pid  # `ip netns exec` becomes what it runs
    wait_for(lambda: beside(served) != [], "the watcher")
    return beside(served)[0]


def beside(served: int) -> list[int]:
    pids = Path(f"/proc/{served}/task/{served}/children").read_text().split()
    return [int(p) for p in pids if b"watch" in Path(f"/proc/{p}/cmdline").read_bytes()]


def test_the_watcher_beside_it_ends_with_it(wire: Wire) -> None:
    wire.serve("--dhcp", "ours", "--watch", "--act")
    pid = watcher_of(wire)
    assert os.getpgid(pid) == os.getpgid(wire.children[-1].pid)
    wait_for(lambda: "nothing to watch yet" in wire.log("serve"), "its first round")
    wire.children[-1].terminate()
    assert wire.children[-1].wait(60) == 0
    assert "the boot service is down" in wire.log("serve")
    assert not Path(f"/proc/{pid}").exists()


def test_a_watcher_that_is_killed_takes_the_boot_service_along(wire: Wire) -> None:
    wire.serve("--dhcp", "ours", "--watch")
    os.kill(watcher_of(wire), 9)
    assert wire.children[-1].wait(60) == 1
    assert "the watcher ended by SIGKILL" in wire.log("serve")


def test_a_boot_service_that_is_killed_takes_the_watcher_along(wire: Wire) -> None:
    wire.serve("--dhcp", "ours", "--watch")
    pid = watcher_of(wire)
    wire.children[-1].kill()
    wait_for(lambda: gone(pid), "the watcher's end")
    os.kill(int(run("pgrep", "-f", f"conf-file={wire.folder}").split()[0]), 9)


def gone(pid: int) -> bool:
    """Ended, whether or not anybody has taken note of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
