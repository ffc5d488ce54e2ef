"""`metal serve`: answer a site's servers when they boot."""

import signal
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb

if TYPE_CHECKING:
    from ipaddress import IPv6Network

    from metal.controller.boot_network import BootNetwork
    from metal.drivers.companion import Companion

SECONDS = 1.0
"""How often it is seen to whether all of it still runs."""


@click.command("serve", cls=Verb)
@click.option("--site", required=True, metavar="NAME", help="Whose servers are answered.")
@click.option("--interface", required=True, metavar="NAME", help="The wire they boot on.")
@click.option(
    "--dhcp",
    type=click.Choice(["ours", "theirs"]),
    help="Give addresses, or only add what to boot to the colocation's own DHCP.  "
    "[default: as sites.NAME.boot.dhcp says]",
)
@click.option(
    "--announce",
    metavar="PREFIX",
    help="An IPv6 prefix for router advertisements: spares iPXE a wait of 16 s.",
)
@click.option("--watch", is_flag=True, help="Run `metal watch --place SITE` beside it.")
@click.option("--act/--no-act", default=False, help="With --watch: heal what is found.")
@click.option(
    "--metrics",
    metavar="[HOST:]PORT",
    help="Let Prometheus scrape http://HOST:PORT/metrics.  [default host: 127.0.0.1]",
)
@click.pass_obj
def command(
    face: Face,
    site: str,
    interface: str,
    dhcp: str | None,
    announce: str | None,
    watch: bool,
    act: bool,
    metrics: str | None,
) -> None:
    """Answer a site's servers when they boot, until it is ended.

    Runs dnsmasq (DHCP or proxyDHCP, TFTP) and the boot service (HTTP). Only machines of the
    inventory are answered; each boots from its disk unless an install is open for it.
    Looks first whether somebody else gives addresses on that wire, and never fights it.
    With --watch the watcher is a process beside it: they end together.
    """
    from metal.cli.metrics_door import metrics_door
    from metal.controller.boot_network import BootNetwork

    if act and not watch:
        raise click.UsageError("--act belongs to --watch")
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    workspace = face.open()
    network = BootNetwork(
        workspace,
        site,
        interface=interface,
        dhcp=dhcp,  # type: ignore[arg-type]  # click checked it
        announce=_prefix(announce),
        heard=face.say if face.verbose else None,
    )
    with ExitStack() as stack:
        # The watcher's own door tells of its rounds, too.
        stack.enter_context(metrics_door(face, workspace, None if watch else metrics))
        stack.enter_context(network)
        _tell(face, network)
        beside = stack.enter_context(_watcher(face, site, act, metrics, end)) if watch else None
        while not end.wait(SECONDS):
            network.check()
        if beside:
            beside.check()
    face.say("the boot service is down")


def _watcher(
    face: Face, site: str, act: bool, metrics: str | None, end: threading.Event
) -> "Companion":
    from metal.drivers.companion import Companion

    words = ["-C", face.workspace, "watch", "--place", site]
    words += ["--act"] if act else []
    words += ["--metrics", metrics] if metrics else []
    words += ["--verbose"] if face.verbose else []
    return Companion("the watcher", words, ended=end.set)


def _prefix(text: str | None) -> "IPv6Network | None":
    from ipaddress import IPv6Network

    from metal.model.errors import BadInput

    try:
        return IPv6Network(text) if text else None
    except ValueError as error:
        raise BadInput(
            f"no IPv6 prefix: {error}", where="--announce", mend="write it as fd77::/64"
        ) from None


def _tell(face: Face, network: "BootNetwork") -> None:
    mode = {"ours": "DHCP", "theirs": "proxyDHCP beside the colocation's own"}[network.dhcp]
    face.say(f"serving {network.site} on {network.interface}: {mode}, TFTP and HTTP")
    for offer in network.strangers:
        face.say(f"addresses come from {offer.server}")
    if network.dhcp == "theirs" and not network.strangers:
        face.say("nobody gives addresses on this wire: servers will not get any")
