"""A gateway begins: what Debian's services would run, with the files as they were rendered."""

import re
from pathlib import Path

from metal.lab.wires.machine import Machine
from metal.lab.wires.patience import until

UNITS = ("metal-nat64", "metal-dns64")
COMMAND = re.compile(r"^(ExecStartPre|ExecStart)=(-?)(.+)$", re.M)


def begin(gateway: Machine) -> None:
    """In the order in which a machine boots: settings, filter, interfaces, engines."""
    gateway.run("sysctl", "-q", "-p", "/etc/sysctl.d/90-metal.conf")
    gateway.run("nft", "-f", "/etc/nftables.conf")
    gateway.run("ifup", "-a", "--force", "-i", "/etc/network/interfaces.d/metal")
    if _has(gateway, Path("/etc/wireguard/mesh.conf")):
        gateway.run(
            "env", "WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go", "wg-quick", "up", "mesh"
        )
    gateway.start("unbound", "-d", "-p", "-c", "/etc/unbound/unbound.conf.d/metal.conf")
    for unit in UNITS:
        _unit(gateway, f"/etc/systemd/system/{unit}.service")
    if _has(gateway, Path("/etc/haproxy/haproxy.cfg")):
        gateway.start("haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg")
    gateway.start("radvd", "-n", "-C", "/etc/radvd.conf", "-p", "/run/radvd.pid", "-m", "stderr")
    begin_keepalived(gateway)


def begin_keepalived(gateway: Machine) -> None:
    files = ["-p", "/run/keepalived.pid", "-r", "/run/vrrp.pid"]
    gateway.start("keepalived", "-n", "-l", *files, "-f", "/etc/keepalived/keepalived.conf")


def stop_keepalived(gateway: Machine) -> None:
    """As `systemctl stop keepalived` does; until it is gone."""
    gateway.run("sh", "-c", "kill -TERM $(cat /run/keepalived.pid)")
    gone = "test ! -e /run/keepalived.pid && echo gone"
    until(lambda: "gone" in gateway.run("sh", "-c", gone, check=False), "keepalived stays")


def holds(gateway: Machine, address: str) -> bool:
    """Whether the machine lives and has the address."""
    if not gateway.alive:
        return False
    shown = gateway.json("ip", "-j", "addr")
    return any(address == a["local"] for link in shown for a in link.get("addr_info", ()))


def _unit(gateway: Machine, file: str) -> None:
    """A unit's commands as systemd would run them; "-" is a command that may fail."""
    for kind, may_fail, command in COMMAND.findall(gateway.run("cat", file)):
        if kind == "ExecStart":
            gateway.start(*command.split())
        else:
            gateway.run(*command.split(), check=not may_fail)


def _has(gateway: Machine, file: Path) -> bool:
    return gateway.run("sh", "-c", f"test -e {file} && echo yes", check=False) == "yes\n"
