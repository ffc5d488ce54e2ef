"""Try a network on a Debian, and have the old one back unless somebody comes over the new one."""

from collections.abc import Sequence

from metal.drivers.commands import Runner
from metal.drivers.proxmox.hosting import DebianShell
from metal.drivers.trial import DeadMansSwitch, File, Trial
from metal.model.errors import Failed

CARD = """\
# metal: the card or bridge that has the address $1
ip -o address show |
    awk -v wanted="$1" '{ split($4, at, "/"); if (at[1] == wanted) { print $2; exit } }'
"""
INTERFACES = "/etc/network/interfaces"
CHECK = """\
for card in @cards; do
    [ -e "/sys/class/net/$card" ] || { echo "it has no card $card (see ip link)"; exit 1; }
done
# ifupdown2 of this very server reads it, and does nothing.
ifquery -a -o json -i "$1/etc/network/interfaces" >/dev/null
"""
USE = """\
# A VLAN of the file before, such as an install on a VLAN writes: ifupdown2 may not know of it, and
# left on a bridge's port it would take its frames from the bridge.
for name in $(awk '$1 == "iface" && $2 ~ /^vlan[0-9]+$/ { print $2 }' \\
    before/tree/etc/network/interfaces 2>/dev/null); do
    grep -qw "iface $name" /etc/network/interfaces || [ ! -e "/sys/class/net/$name" ] ||
        ip link delete "$name"
done
ifreload -a
"""


def network_trial(interfaces: str, cards: Sequence[str]) -> Trial:
    """A host's /etc/network/interfaces, unfit where it has not all of `cards`."""
    return Trial(
        name="network",
        files={INTERFACES: File(interfaces)},
        check=CHECK.replace("@cards", " ".join(cards)),
        use=USE,
        mend="are the cards on the right ports of the switch, with the VLAN and LACP that `links` "
        "says? /var/lib/metal/trials/network/said there has what ifreload said",
    )


class NetworkShell(DebianShell):
    """metal.cluster.host_networks.NetworkShell."""

    def __init__(self, runner: Runner) -> None:
        super().__init__(runner)
        self._switch = DeadMansSwitch(runner)

    def card_of(self, address: str) -> str:
        """The interface that has the address."""
        found = self._run(("sh", "-c", CARD, "_", address))
        if not found:
            raise Failed(f"none of its cards has {address}", where=self._runner.where)
        return found

    def try_network(self, interfaces: str, cards: Sequence[str], seconds: float) -> bool:
        """Whether it is another than before, and tried now; after `seconds` the old one is back.

        Refused where one of `cards` is not there, or ifupdown2 cannot read it.
        """
        return self._switch.begin(network_trial(interfaces, cards), seconds)

    def keep_network(self, interfaces: str) -> bool | None:
        """True: it is reached over it, and it stays. None: not yet tried. Failed: it is undone."""
        return self._switch.keep(network_trial(interfaces, ()))
