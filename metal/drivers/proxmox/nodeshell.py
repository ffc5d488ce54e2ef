"""What Proxmox's API has no call for, as root on one of the nodes."""

from metal.drivers.commands import Result, Runner
from metal.model.errors import Failed

APT = 3600.0
"""Seconds for an upgrade of all packages over a slow line."""
FORGET_MONITOR = """\
set -e
sed -e "/^\\[mon\\.$1\\]/,/^[[:space:]]*$/d" -e "/mon_host/s/[[:space:]]$2\\b//" \\
    /etc/pve/ceph.conf > /run/ceph.conf.new
cmp -s /run/ceph.conf.new /etc/pve/ceph.conf || cp /run/ceph.conf.new /etc/pve/ceph.conf
rm /run/ceph.conf.new"""
"""Not sed -i: pmxcfs lets nobody change a file's mode."""


class NodeShell:
    """Every call is safe to repeat."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def answers(self) -> None:
        self._run("true")

    def ensure_maintenance(self, node: str, *, on: bool) -> None:
        """HA moves what it manages off that node, and back when it is over."""
        self._run("ha-manager", "crm-command", "node-maintenance", _able(on), node)

    def upgrade(self) -> None:
        """All packages; files that somebody changed stay as they are."""
        self._run("apt-get", "-q", "update", timeout=APT)
        keep = ("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")
        quiet = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", *keep)
        self._run(*quiet, "dist-upgrade", timeout=APT)

    def checklist(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(FAIL lines, WARN lines) of Proxmox's own pve8to9."""
        lines = self._run("pve8to9", "--full", timeout=600).out.decode(errors="replace")
        told = [line.strip() for line in lines.splitlines()]
        return (
            tuple(line.removeprefix("FAIL:").strip() for line in told if line.startswith("FAIL:")),
            tuple(line.removeprefix("WARN:").strip() for line in told if line.startswith("WARN:")),
        )

    # ── Ceph's memory of a node that is dead ────────────────────────────────────────────────

    def forget_osd(self, number: int) -> None:
        self._run("ceph", "osd", "purge", str(number), "--yes-i-really-mean-it")

    def forget_monitor(self, node: str, address: str) -> None:
        """Out of the quorum, and out of the configuration that all share."""
        self._run("ceph", "mon", "remove", node)
        self._run("sh", "-c", FORGET_MONITOR, "_", node, address)
        self._run("ceph", "auth", "del", f"mgr.{node}")

    def forget_host(self, node: str) -> None:
        self._run("ceph", "osd", "crush", "remove", node)

    def forget_node(self, node: str) -> None:
        """What pmxcfs still has of it, after it was taken out of the cluster."""
        self._run("rm", "-rf", f"/etc/pve/nodes/{node}")

    def _run(self, *argv: str, timeout: float = 60.0) -> Result:
        done = self._runner.run(argv, timeout=timeout)
        if done.code:
            raise Failed(
                f"{argv[0]} failed: {done.said}",
                where=self._runner.where,
                mend=f"run it there by hand and see: {' '.join(argv)[:200]}",
            )
        return done


def _able(on: bool) -> str:
    return "enable" if on else "disable"
