"""corosync's links on a node, over SSH: the API has no call that changes them."""

from metal.drivers.commands import Runner
from metal.drivers.trial import DeadMansSwitch, File, Trial
from metal.model.errors import Failed

OWN = "/etc/corosync/corosync.conf"
"""Of this node alone; Proxmox copies the cluster's own there when that is newer."""
SHARED = "/etc/pve/corosync.conf"
CHECK = f'COROSYNC_MAIN_CONFIG_FILE="$1{OWN}" corosync -t\n'
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

    def lost_links(self) -> tuple[str, ...]:
        """Links to other nodes that do not get through, as this node's corosync has them."""
        lines = [line.strip() for line in self._run(("corosync-cfgtool", "-n")).splitlines()]
        return tuple(
            line for line in lines if line.startswith("LINK:") and " connected" not in line
        )

    def _run(self, argv: tuple[str, ...], stdin: bytes = b"") -> str:
        done = self._runner.run(argv, stdin=stdin)
        if done.code:
            raise Failed(
                f"{argv[0]} failed: {done.said}",
                where=self._runner.where,
                mend="log in there as root and see why",
            )
        return done.out.decode(errors="replace")
