"""What Proxmox's API has no call for, as root on one of the nodes."""

import re

from metal.drivers.commands import Result, Runner
from metal.model.errors import Failed

APT = 2 * 3600.0
"""Seconds for an upgrade of all packages over a slow line, one that runs already waited for."""
UPGRADE = """\
# metal: all packages, by a unit of this server's own: a line that is cut stops nothing
mkdir -p /var/lib/metal
cd /var/lib/metal
# What a line that was cut has left behind comes to its end first, and is gone over once more.
while systemctl is-active -q metal-upgrade.service; do sleep 1; done
cat >upgrade.sh <<'END'
set -e
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
packages() {
    apt-get -q -y -o DPkg::Lock::Timeout=900 -o Dpkg::Options::=--force-confdef \\
        -o Dpkg::Options::=--force-confold "$@"
}
dpkg --configure -a
packages update
packages dist-upgrade
END
systemd-run -q --collect --wait --unit metal-upgrade --working-directory /var/lib/metal \\
    sh -c 'exec sh upgrade.sh >upgrade.log 2>&1' && exit
tail -n 3 upgrade.log >&2
exit 1
"""
FORGET_MONITOR = """\
# metal: the monitor $1 goes out of the configuration that all share
set -e
# Not in place: pmxcfs lets nobody change a file's mode.
awk -v section="[mon.$1]" '
    # Which address it has is read before anything is left out.
    FNR == NR {
        if (/^\\[/) own = ($1 == section)
        else if (own && /^[[:space:]]*public[_ ]addr/) gone = value($0)
        next
    }
    /^\\[/ { own = ($1 == section) }
    own { next }
    gone != "" && /^[[:space:]]*mon[_ ]host/ { print "\\t mon_host = " others(value($0)); next }
    { print }

    function value(line) {
        sub(/^[^=]*=[[:space:]]*/, "", line)
        sub(/[[:space:]]+$/, "", line)
        return line
    }
    # Addresses, or vectors such as [v2:10.1.1.11:3300,v1:10.1.1.11:6789].
    function others(hosts,    host, kept) {
        while (match(hosts, /\\[v(\\[[^]]*\\]|[^][])*\\]|[^ \\t,;]+/)) {
            host = substr(hosts, RSTART, RLENGTH)
            hosts = substr(hosts, RSTART + RLENGTH)
            if (!is_gone(host)) kept = kept (kept == "" ? "" : " ") host
        }
        return kept
    }
    function is_gone(host) {
        if (host ~ /^\\[v/) return index(host, ":" gone ":") || index(host, ":[" gone "]:")
        return host == gone || host == "[" gone "]" || \\
            index(host, "[" gone "]:") == 1 || (gone !~ /:/ && index(host, gone ":") == 1)
    }
' /etc/pve/ceph.conf /etc/pve/ceph.conf >/run/ceph.conf.metal
cmp -s /run/ceph.conf.metal /etc/pve/ceph.conf || {
    cp /run/ceph.conf.metal /etc/pve/ceph.conf.metal
    mv /etc/pve/ceph.conf.metal /etc/pve/ceph.conf
}
rm /run/ceph.conf.metal
"""
COLOUR = re.compile("\x1b\\[[0-9;]*m")
"""Proxmox's scripts print in colours, whoever reads them."""


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
        done = self._runner.run(("sh", "-c", UPGRADE), timeout=APT)
        if done.code:
            raise Failed(
                f"its packages could not be upgraded: {done.said}",
                where=self._runner.where,
                mend="the whole of it is there in /var/lib/metal/upgrade.log",
            )

    def checklist(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(FAIL lines, WARN lines) of Proxmox's own pve8to9."""
        told = self._run("pve8to9", "--full", timeout=600).out.decode(errors="replace")
        lines = [line.strip() for line in COLOUR.sub("", told).splitlines()]
        if "= SUMMARY =" not in lines:
            raise Failed(
                "pve8to9 did not come to its end",
                where=self._runner.where,
                mend="run it there by hand and see: pve8to9 --full",
            )
        return (
            tuple(line.removeprefix("FAIL:").strip() for line in lines if line.startswith("FAIL:")),
            tuple(line.removeprefix("WARN:").strip() for line in lines if line.startswith("WARN:")),
        )

    # ── Ceph's memory of a node that is dead ────────────────────────────────────────────────

    def forget_osd(self, number: int) -> None:
        self._run("ceph", "osd", "purge", str(number), "--yes-i-really-mean-it")

    def forget_monitor(self, node: str) -> None:
        """Out of the quorum, and out of the configuration that all share."""
        self._run("ceph", "mon", "remove", node)
        self._run("sh", "-c", FORGET_MONITOR, "_", node)
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
