"""Everything a site's servers need to boot: DHCP or proxyDHCP, TFTP, and the boot service."""

from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import IPv6Network
from pathlib import Path
from tempfile import TemporaryDirectory

from metal.controller.serving import BootService
from metal.controller.workspace import Workspace
from metal.drivers.dhcp_probe import Offer, offers
from metal.drivers.dnsmasq import Dnsmasq
from metal.drivers.grub import put_loaders
from metal.drivers.interfaces import addresses
from metal.drivers.ipxe import ensure_firmware
from metal.install.dhcp import Dhcp, boot_hosts, dnsmasq_text
from metal.install.installer.lock import LOCK
from metal.install.installer.pinning import ensure_installer
from metal.install.render import Templates, render_asking
from metal.inventory.defaults import defaults
from metal.model.errors import BadInput, Failed, Refused

PROBE_SECONDS = 6.0
"""Servers try for up to 3 s whether an address is free before they offer it."""
LOADERS_OF = "trixie"
"""Whose signed loaders start every release: GRUB of Debian 12 asks port 80 alone."""


class BootNetwork:
    """Answers the servers of a site while the `with` block lasts.

    Refused on a wire where somebody else gives addresses, if we were to give them too: two DHCP
    servers break each other's clients, and the other one was there first.
    """

    def __init__(
        self,
        workspace: Workspace,
        site: str,
        *,
        interface: str,
        dhcp: Dhcp | None = None,
        announce: IPv6Network | None = None,
        heard: Callable[[str], None] | None = None,
    ) -> None:
        """`dhcp`: for this time only; without it as `sites.NAME.boot.dhcp` says."""
        if site not in workspace.inventory.sites:
            known = ", ".join(workspace.inventory.sites)
            raise BadInput("no such site", where=site, mend=f"the inventory has: {known}")
        self._workspace, self.site, self.interface = workspace, site, interface
        self.dhcp = dhcp or _agreed(workspace, site)
        self._announce, self._heard = announce, heard
        self.strangers: tuple[Offer, ...] = ()
        """Other DHCP servers on this wire."""
        self._open = ExitStack()
        self.dnsmasq: Dnsmasq | None = None
        self._service: BootService | None = None

    def __enter__(self) -> "BootNetwork":
        listen = self._address()
        self._workspace.served_at = _url(listen, self._workspace.inventory.fleet.boot_listen)
        if self._v4:
            self._look_around()
        self._put_firmware(self._workspace.state / "firmware")
        folder = self._workspace.state / "boot" / self.site
        with ExitStack() as opening:
            # dnsmasq reads it as nobody, who may not enter the workspace.
            tftp = Path(opening.enter_context(TemporaryDirectory(prefix="metal-tftp-")))
            self._put_firmware(tftp)
            text = dnsmasq_text(
                self._templates,
                self._workspace.inventory,
                self.site,
                dhcp=self.dhcp,
                interface=self.interface,
                listen=listen,
                boot_url=self._workspace.boot_url,
                tftp=str(tftp),
                leases=str(folder / "leases"),
                announce=self._announce,
            )
            self._service = opening.enter_context(BootService(self._workspace))
            self.dnsmasq = opening.enter_context(Dnsmasq(text, folder, self._heard))
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def check(self) -> None:
        """Failed once a part of it has ended that nothing starts again."""
        if self._service and not self._service.alive:
            raise Failed(
                "the boot service's web server has ended",
                where=self._workspace.inventory.fleet.boot_listen,
                mend="run `metal serve` again; report it if it stays",
            )

    @property
    def _v4(self) -> bool:
        return self._workspace.inventory.sites[self.site].subnets.management.version == 4

    def _address(self) -> str:
        """Ours on the interface, in the site's management network."""
        network = self._workspace.inventory.sites[self.site].subnets.management
        ours = [a for a in addresses(self.interface) if a in network]
        if not ours:
            raise Refused(
                f"{self.interface} has no address in {network}",
                where=f"sites.{self.site}",
                mend=f"ip address add ADDRESS/{network.prefixlen} dev {self.interface}",
            )
        return str(ours[0])

    @property
    def _templates(self) -> Templates:
        return Templates([self._workspace.folder, defaults()])

    def _put_firmware(self, folder: Path) -> None:
        """iPXE; and the signed loaders, where a server of the site needs them."""
        ensure_firmware(folder)
        if any(host.signed for host in boot_hosts(self._workspace.inventory, self.site)):
            source = self._workspace.installer_source(self.site)
            if not ensure_installer(source, LOADERS_OF).loaders:
                raise Refused(
                    f"the installer of {LOADERS_OF} was pinned without its signed loaders",
                    where=LOCK,
                    mend=f"metal installer pin {LOADERS_OF}",
                )
            config = render_asking(self._templates, self._workspace.boot_url)
            put_loaders(folder, source.kept / LOADERS_OF, config)

    def _look_around(self) -> None:
        self.strangers = offers(self.interface, PROBE_SECONDS)
        if self.strangers and self.dhcp == "ours":
            names = ", ".join(f"{o.server} (offers {o.address})" for o in self.strangers)
            raise Refused(
                f"somebody else is the DHCP server of this wire: {names}",
                where=self.interface,
                mend="serve with --dhcp theirs, which adds what to boot and gives no addresses; "
                "or have the other one switched off",
            )


def _agreed(workspace: Workspace, site: str) -> Dhcp:
    """What the inventory says of the site's wire."""
    dhcp = workspace.inventory.sites[site].boot.dhcp
    if dhcp == "none":
        raise Refused(
            "nobody may give addresses or boot servers there: its boot.dhcp is none",
            where=f"sites.{site}",
            mend="change it once the donor agrees, or name --dhcp for this time",
        )
    return dhcp


def _url(address: str, boot_listen: str) -> str:
    """How servers on this wire reach us, where the inventory names no boot_url."""
    port = boot_listen.rpartition(":")[2]
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
