"""Give hosts the network that the inventory says, and take it back where they are lost by it.

One after the other: if the first is not reached afterwards, the others are as they were.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from pydantic import TypeAdapter

from metal.cluster.doubts import Doubts, is_well, no_doubt
from metal.model.links import BRIDGE, Link, Links, Role
from metal.model.plan import SetNetwork
from metal.operations.run import Run


class NetworkShell(Protocol):
    """Root's shell on a host. Every call may be repeated."""

    def card_of(self, address: str) -> str:
        """The interface that has the address."""

    def try_network(self, interfaces: str, cards: Sequence[str], seconds: float) -> bool:
        """Whether it is another than before, and tried now; after `seconds` the old one is back.

        Refused where one of `cards` is not there.
        """

    def keep_network(self, interfaces: str) -> bool | None:
        """True: it is reached over it, and it stays. None: not yet tried. Failed: it is undone."""


@dataclass(frozen=True)
class NetworkPorts:
    """For the servers of one cluster."""

    shell: Callable[[str], NetworkShell]
    links: Callable[[str], Links]
    """What the inventory says of a server's cards; empty where it says nothing."""
    address: Callable[[str], str]
    render: Callable[[str, Links], str]
    """(server, links) → its /etc/network/interfaces."""
    doubts: Doubts = lambda: ()
    """As others of its cluster see it; none before there is a cluster."""
    every: float = 1.0
    trial: float = 90.0
    """Seconds after which a host that nobody reached takes its old network back."""
    settle: float = 0.0
    """Seconds until the others would have noticed that they have lost it."""
    monotonic: Callable[[], float] = time.monotonic


_LINKS: TypeAdapter[dict[Role, Link]] = TypeAdapter(dict[Role, Link])


def give_networks(
    run: Run, servers: Sequence[str], fresh: Sequence[str], ports: NetworkPorts
) -> None:
    """`fresh`: those that were made hosts just now; each gets the VMs' bridge at least. Of the
    others only those change that the inventory says something of."""
    for server in servers:
        links = run.step(f"{server}: what its cards carry", partial(_links, ports, server, fresh))
        if links:
            _give(run, server, _LINKS.validate_python(links), ports)


def change_network(run: Run, action: SetNetwork, ports: NetworkPorts) -> dict[str, str]:
    """Of one member of a cluster whose others are all well, and are so with its new network, too.

    Else it takes its old network back."""
    server = action.server
    links = run.step(f"{server}: what its cards carry", partial(_links, ports, server, ()))
    run.step(f"{server}: all of its cluster is well", partial(_no_doubt, ports, server))
    _give(run, server, _LINKS.validate_python(links), ports)
    return {"server": server}


def _no_doubt(ports: NetworkPorts, server: str) -> None:
    no_doubt(
        ports.doubts,
        where=server,
        what="its network is not touched",
        mend="one server is touched only while all others are well",
    )


def _links(ports: NetworkPorts, server: str, fresh: Sequence[str]) -> dict[str, dict[str, object]]:
    links = ports.links(server)
    if not links and server in fresh:
        card = ports.shell(server).card_of(ports.address(server))
        # Somebody, such as Proxmox's own installer, made the bridge already.
        links = {} if card == BRIDGE else {"management": Link(cards=(card,))}
    return {role: link.model_dump(mode="json") for role, link in links.items()}


def _give(run: Run, server: str, links: Links, ports: NetworkPorts) -> None:
    text = ports.render(server, links)
    cards = [card for link in links.values() for card in link.cards]
    run.say(f"{server}: {', '.join(f'{role} on {_shown(link)}' for role, link in links.items())}")
    begun: list[bool] = []
    over: list[float] = []

    def kept() -> bool | None:
        """Each process tries it once, also where it was taken back before."""
        shell = ports.shell(server)
        if not begun:
            tried = shell.try_network(text, cards, ports.trial)
            begun.append(tried)
            over.append(ports.monotonic() + ports.trial)
        if not begun[0]:
            return True
        # Reached over SSH is not enough: its cluster must have it as before, and still once it
        # would have noticed. When the time is over the host has the old one, and says so.
        left = over[0] - ports.monotonic()
        if left > 0 and (left > ports.trial - ports.settle or not is_well(ports.doubts)):
            return None
        return shell.keep_network(text)

    run.wait(
        f"{server}: it is reached over its network",
        kept,
        # Until it has taken the old one back, and is asked once more.
        seconds=3 * ports.trial,
        every=ports.every,
        late=f"{server}: it is not reached, neither over its new network nor over its old one",
    )


def _shown(link: Link) -> str:
    return "+".join(link.cards)
