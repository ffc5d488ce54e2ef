"""Try a network on a Debian, and have the old one back unless somebody comes over the new one.

A timer of the server's own takes it back, and a unit at its next start, if its power goes
meanwhile: whatever happens, what nobody confirmed does not last.
"""

from collections.abc import Sequence

from metal.drivers.proxmox.hosting import DebianShell
from metal.model.errors import Failed, Refused

CARD = """\
# metal: the card or bridge that has the address $1
ip -o address show |
    awk -v wanted="$1" '{ split($4, at, "/"); if (at[1] == wanted) { print $2; exit } }'
"""
TRY_NETWORK = """\
# metal: try the interfaces on stdin for $1 seconds; the rest: cards that must be there
set -e
seconds=$1
shift
file=/etc/network/interfaces
unit=metal-network-boot.service
cat >"$file.metal"
for card; do
    [ -e "/sys/class/net/$card" ] || { rm "$file.metal"; echo "missing $card"; exit; }
done
if cmp -s "$file.metal" "$file" && [ ! -e "$file.before" ]; then
    rm "$file.metal"
    echo same
    exit
fi
cat >"/etc/systemd/system/$unit" <<END
[Unit]
Description=Take back the network that was there before one that nobody confirmed
ConditionPathExists=$file.before
DefaultDependencies=no
After=local-fs.target
Wants=network-pre.target
Before=network-pre.target networking.service

[Service]
Type=oneshot
ExecStart=/bin/mv $file.before $file

[Install]
WantedBy=networking.service
END
systemctl daemon-reload
systemctl enable -q "$unit"
# Each file is whole or not there, whenever the power goes.
if [ ! -e "$file.before" ]; then
    cp -p "$file" "$file.before.metal"
    sync
    mv "$file.before.metal" "$file.before"
fi
systemctl stop metal-network-back.timer 2>/dev/null || true
systemd-run -q --collect --unit metal-network-back --on-active "$seconds" \\
    sh -c "mv $file.before $file; ifreload -a"
chmod --reference="$file" "$file.metal"
sync
mv "$file.metal" "$file"
# Later, so that this line is answered: it may be cut by what follows.
systemd-run -q --collect --unit metal-network --on-active 1 ifreload -a
echo trying
"""
"""What was there is back after some seconds, unless somebody who comes over the new network says
that it works."""
KEEP_NETWORK = """\
# metal: keep the interfaces on stdin, if they are still being tried
set -e
file=/etc/network/interfaces
unit=metal-network-boot.service
cat >"$file.metal"
if cmp -s "$file.metal" "$file"; then state=kept; else state=back; fi
rm "$file.metal"
if [ "$state" = kept ] && systemctl is-active -q metal-network.timer metal-network.service; then
    state=soon
fi
if [ "$state" = kept ] && [ -e "$file.before" ]; then
    systemctl stop metal-network-back.timer
    rm "$file.before"
    systemctl disable -q "$unit"
    rm "/etc/systemd/system/$unit"
fi
echo "$state"
"""


class NetworkShell(DebianShell):
    """metal.cluster.host_networks.NetworkShell."""

    def card_of(self, address: str) -> str:
        """The interface that has the address."""
        found = self._run(("sh", "-c", CARD, "_", address))
        if not found:
            raise Failed(f"none of its cards has {address}", where=self._runner.where)
        return found

    def try_network(self, interfaces: str, cards: Sequence[str], seconds: float) -> bool:
        """Whether it is another than before, and tried now; after `seconds` the old one is back.

        Refused where one of `cards` is not there.
        """
        argv = ("sh", "-c", TRY_NETWORK, "_", str(round(seconds)), *cards)
        told = self._run(argv, stdin=interfaces.encode())
        if told.startswith("missing"):
            card = told.removeprefix("missing ")
            raise Refused(
                f"it has no card {card}",
                where=self._runner.where,
                mend="`ip link` there tells what they are called; correct `links`",
            )
        return told == "trying"

    def keep_network(self, interfaces: str) -> bool | None:
        """True: it is reached over it, and it stays. None: not yet tried. Failed: it is undone."""
        told = self._run(("sh", "-c", KEEP_NETWORK), stdin=interfaces.encode())
        if told == "back":
            raise Failed(
                "it was not reached over its new network, and has taken the old one back",
                where=self._runner.where,
                mend="are the cards on the right ports of the switch, with the VLAN and LACP that "
                "`links` says? `journalctl -u metal-network` there tells what ifreload said",
            )
        return True if told == "kept" else None
