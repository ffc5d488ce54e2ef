"""corosync's links on a node, over SSH: the API has no call that changes them."""

import re
from collections.abc import Mapping

from metal.drivers.commands import Runner, must
from metal.drivers.trial import DeadMansSwitch, File, Trial
from metal.network.engines.corosync import parse, rings_of

OWN = "/etc/corosync/corosync.conf"
"""Of this node alone; Proxmox copies the cluster's own there when that is newer."""
SHARED = "/etc/pve/corosync.conf"
CHECK = f'COROSYNC_MAIN_CONFIG_FILE="$1{OWN}" corosync -t\n'
LINK = re.compile(r"LINK: \d+ \w+ \(([^)]+)\) \w+ (\w+)")
"""   LINK: 0 udp (10.1.1.11->10.1.1.12) enabled connected mtu: 1397"""
SHARE = f"""\
# metal: the corosync.conf on stdin is the cluster's, if it is not yet
set -e
cat >/run/corosync.conf.metal
cmp -s /run/corosync.conf.metal {SHARED} || {{
    cp /run/corosync.conf.metal {SHARED}.new
    mv {SHARED}.new {SHARED}
}}
rm /run/corosync.conf.metal
"""


def corosync_trial(text: str) -> Trial:
    return Trial(
        name="corosync",
        files={OWN: File(text)},
        check=CHECK,
        # Tells every node to read its own file again.
        use="corosync-cfgtool -R",
        mend="corosync has its old links; does each of the new ones reach every node?",
    )


class RingShell:
    """metal.cluster.rings.RingShell through a Runner."""

    def __init__(self, runner: Runner) -> None:
        self._runner, self._switch = runner, DeadMansSwitch(runner)

    def config(self) -> str:
        """The cluster's corosync.conf."""
        return self._run(("cat", SHARED))

    def try_config(self, text: str, seconds: float) -> bool:
        """Whether it is another than this node's, and tried now."""
        return self._switch.begin(corosync_trial(text), seconds)

    def keep_config(self, text: str) -> bool | None:
        """metal.drivers.trial.DeadMansSwitch.keep."""
        return self._switch.keep(corosync_trial(text))

    def share_config(self, text: str) -> None:
        """It is the cluster's."""
        self._run(("sh", "-c", SHARE), stdin=text.encode())

    def lost_links(self, text: str) -> tuple[str, ...]:
        """What this node's corosync does not have as in the file `text`: links to other nodes that
        do not get through, are not there yet, or are there still."""
        rings = rings_of(parse(text))
        own = rings.pop(self._runner.where)
        wanted = {f"{own[n]}->{at}" for has in rings.values() for n, at in has.items()}
        told = self._run(("corosync-cfgtool", "-n"))
        there = {way: state for way, state in LINK.findall(told) if not _to_itself(way, own)}
        lost = sorted(way for way in wanted if there.get(way) != "connected")
        return (*lost, *sorted(there.keys() - wanted))

    def _run(self, argv: tuple[str, ...], stdin: bytes = b"") -> str:
        return must(self._runner, argv, stdin=stdin).decode(errors="replace")


def _to_itself(way: str, own: Mapping[int, str]) -> bool:
    return way.partition("->")[2] in own.values()
