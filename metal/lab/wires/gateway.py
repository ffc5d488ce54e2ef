"""A gateway begins: its engines with the files as they were rendered, and a door for root.

There is no systemd in a namespace: systemd.sh answers to its names, starting what Debian's
services would start.
"""

from pathlib import Path

from metal.lab.wires.machine import Machine
from metal.lab.wires.patience import until

SYSTEMD = Path(__file__).with_name("systemd.sh")
BIN = "/run/lab/bin"
PATH = f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin"
SSHD = f"""\
HostKey /run/lab/host_key
AuthorizedKeysFile /run/lab/authorized_keys
SetEnv PATH={PATH}
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
"""
SERVICES = (
    ("/etc/nftables.conf", "nftables"),
    ("/etc/network/interfaces.d/metal", "networking"),
    ("/etc/wireguard/mesh.conf", "wg-quick@mesh"),
    ("/etc/unbound/unbound.conf.d/metal.conf", "unbound"),
    ("/etc/metal/tayga.conf", "metal-nat64"),
    ("/etc/metal/dns64.conf", "metal-dns64"),
    ("/etc/haproxy/haproxy.cfg", "haproxy"),
    ("/etc/radvd.conf", "radvd"),
    ("/etc/keepalived/keepalived.conf", "keepalived"),
)
"""In the order in which a machine boots: filter, interfaces, engines."""


def begin(gateway: Machine) -> None:
    gateway.script(
        f"mkdir -p {BIN}",
        f"ln -sf {SYSTEMD} {BIN}/systemctl",
        f"ln -sf {SYSTEMD} {BIN}/systemd-run",
        "sysctl -q -p /etc/sysctl.d/90-metal.conf",
    )
    for file, unit in SERVICES:
        if gateway.run("sh", "-c", f"test -e {file} && echo yes", check=False) == "yes\n":
            systemctl(gateway, "start", unit)


def systemctl(gateway: Machine, *words: str) -> str:
    return gateway.run("env", f"PATH={PATH}", "systemctl", *words)


def begin_keepalived(gateway: Machine) -> None:
    systemctl(gateway, "start", "keepalived")


def stop_keepalived(gateway: Machine) -> None:
    """Until it is gone."""
    systemctl(gateway, "stop", "keepalived")


def begin_sshd(gateway: Machine, public_key: str) -> str:
    """Root may log in with that key; the public host key."""
    gateway.run("sh", "-c", "cat >/run/lab/authorized_keys", stdin=f"{public_key}\n")
    gateway.run("sh", "-c", "cat >/run/lab/sshd_config", stdin=SSHD)
    gateway.script(
        "mkdir -p /run/sshd",
        "ssh-keygen -q -t ed25519 -N '' -f /run/lab/host_key </dev/null",
    )
    gateway.start("/usr/sbin/sshd", "-D", "-e", "-f", "/run/lab/sshd_config")
    until(lambda: ":22 " in gateway.run("ss", "-Hltn"), f"{gateway.name}: no sshd")
    return " ".join(gateway.run("cat", "/run/lab/host_key.pub").split()[:2])


def holds(gateway: Machine, address: str) -> bool:
    """Whether the machine lives and has the address."""
    if not gateway.alive:
        return False
    shown = gateway.json("ip", "-j", "addr")
    return any(address == a["local"] for link in shown for a in link.get("addr_info", ()))


def begin_mesh(administrator: Machine) -> None:
    """With what was rendered for that machine. Safe to repeat."""
    shown = "ip -j link show mesh 2>/dev/null || echo []"
    if not administrator.json("sh", "-c", shown):
        user_space = "WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go"
        administrator.run("env", user_space, "wg-quick", "up", "mesh")
