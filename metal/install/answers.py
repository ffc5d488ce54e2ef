"""What the installer is told about one server, every value checked. Pure, and holds no secret.

A preseed is shell and debconf at once: a value with a quote, a newline or a blank in the wrong
place would become a command that runs as root. So each is held to the narrowest form that its
kind allows, and anything else is BadInput.
"""

import re
from urllib.parse import urlsplit

from metal.install.pins import pin_packages
from metal.model.base import Frozen
from metal.model.errors import BadInput
from metal.model.fleet import Inventory
from metal.model.plan import InstallServer

HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
PATH = re.compile(r"(/[A-Za-z0-9._~+-]+)*")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
DISK = re.compile(r"[a-z][a-z0-9]{1,15}")
UNPLAIN = re.compile(r"[^A-Za-z0-9._:()-]+")
SERIAL = re.compile(r"[A-Za-z0-9._+-]{1,64}")
SSH_KEY = re.compile(r"((?:ssh|ecdsa|sk)-[a-z0-9@.-]+) ([A-Za-z0-9+/]+={0,3})(?: .*)?")

SECURITY = "security.debian.org"
"""Where Debian's installer takes security updates from, whatever the mirror is."""
BASE_PACKAGES = ("openssh-server", "dropbear-initramfs", "cryptsetup-initramfs", "curl", "openssl")
"""What the rest of the preseed relies on, whatever the profile says."""
MICROCODE = {
    "intel-microcode": re.compile(r"\b(intel|xeon)\b", re.IGNORECASE),
    "amd64-microcode": re.compile(r"\b(amd|epyc|opteron|ryzen)\b", re.IGNORECASE),
}
"""By the processor's name. Debian's installer would ask the machine itself; an image cannot."""
MIRRORED = "-mirrored"
"""Behind the name of the profile's recipe: that of two disks."""
MIRROR_PACKAGES = ("dosfstools", "mdadm")
"""What two disks that hold the same need besides: the second ESP is made by preseed/esp.sh."""

PROXMOX = "proxmox-ve"


class Mirror(Frozen):
    """A Debian mirror in the parts that debconf asks for."""

    protocol: str
    host: str
    """With its port, if it has one."""
    directory: str


class SystemDisk(Frozen):
    name: str
    """The kernel's name without /dev, such as sda, where no serial number is known."""
    serial: str
    """As udev prints it; empty when it is not known."""


class Answers(Frozen):
    """Everything of one install but the secrets."""

    server: str
    domain: str
    debian: str
    recipe: str
    mac: str
    address: str
    netmask: str
    """Dotted for IPv4, the prefix length for IPv6, as netcfg wants it."""
    gateway: str
    nameservers: tuple[str, ...]
    mirror: Mirror
    proxy: str
    """The cache that the installer fetches packages through; empty: from the mirror itself."""
    disks: tuple[SystemDisk, ...]
    """One, or two that hold the same."""
    packages: tuple[str, ...]
    root_keys: tuple[str, ...]
    """SSH public keys without their comments."""
    vlan: int | None = None
    """Its address is on this VLAN, untagged when absent."""
    bond: tuple[str, ...] = ()
    """As Linux names them: the cards of which any leads to it, the preferred first. Empty: it is
    on the card `mac` alone."""
    boot_url: str
    ca: str = ""
    """PEM of the authority that vouches for the boot service, and no other does; "" where that is
    spoken to by plain HTTP."""


def answers(
    inventory: Inventory,
    action: InstallServer,
    mirror: str,
    boot_url: str,
    controller_key: str | None = None,
    ca: str = "",
) -> Answers:
    """The answers for the server of `action`; BadInput where the inventory cannot be used.

    The disk and the release are the plan's; the rest is as the inventory is now.
    `controller_key`: the SSH public key that the controller logs in with.
    """
    server = inventory.servers[action.server]
    subnets, profile = inventory.sites[server.site].subnets, inventory.profiles[action.profile]
    network, where = subnets.management, f"servers.{action.server}"
    mirror_packages = MIRROR_PACKAGES if action.mirror else ()
    needed = (*BASE_PACKAGES, *mirror_packages, *pin_packages(inventory, action.server))
    needed += _microcode(server.learned.cpu if server.learned else None)
    packages = dict.fromkeys((*needed, *profile.packages))
    link = inventory.links(action.server).get("management")
    if PROXMOX in packages:
        raise BadInput(
            f"{PROXMOX} is in no source that the installer has",
            where=f"profile {action.profile}",
            mend="take it out of its packages: forming the cluster installs Proxmox VE",
        )
    return Answers(
        server=action.server,
        domain=inventory.fleet.domain,
        debian=action.debian,
        recipe=profile.recipe + (MIRRORED if action.mirror else ""),
        mac=action.mac,
        address=str(server.address),
        netmask=str(network.netmask if network.version == 4 else network.prefixlen),
        gateway=str(subnets.gateway),
        nameservers=tuple(map(str, subnets.nameservers or (subnets.gateway,))),
        mirror=_mirror(mirror),
        proxy=_proxy(inventory, mirror, boot_url),
        disks=tuple(_disk(name, serial, where) for name, serial in action.disks),
        packages=tuple(
            _checked(PACKAGE, p, "no name of a Debian package", f"profile {action.profile}")
            for p in packages
        ),
        root_keys=_root_keys(inventory, controller_key),
        vlan=link.vlan if link else None,
        bond=link.cards if link and link.bond else (),
        boot_url=_url(boot_url, "the boot service's URL"),
        ca=ca,
    )


def _microcode(cpu: str | None) -> tuple[str, ...]:
    return tuple(package for package, maker in MICROCODE.items() if maker.search(cpu or ""))


def _checked(form: re.Pattern[str], value: str, fault: str, where: str) -> str:
    if not form.fullmatch(value):
        raise BadInput(f"{value[:80]!r} is {fault}", where=where, mend="write it in plain ASCII")
    return value


def _url(url: str, what: str) -> str:
    """`url` without a slash at its end, made of plain parts only."""
    unfit = BadInput(
        f"{url[:120]!r} cannot be {what}",
        where="inventory.toml",
        mend="give a plain URL such as http://mirror.example.org/debian",
    )
    try:
        parts = urlsplit(url)
    except ValueError:  # half an IPv6 address
        raise unfit from None
    plain = parts.scheme in ("http", "https") and HOST.fullmatch(parts.netloc)
    if not plain or not PATH.fullmatch(parts.path.rstrip("/")) or "?" in url or "#" in url:
        raise unfit
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _mirror(url: str) -> Mirror:
    parts = urlsplit(_url(url, "a Debian mirror"))
    return Mirror(protocol=parts.scheme, host=parts.netloc, directory=parts.path or "/")


def _proxy(inventory: Inventory, mirror: str, boot_url: str) -> str:
    """The boot service, for what a proxy can cache: plain HTTP on both sides."""
    plain = mirror.startswith("http://") and boot_url.startswith("http://")
    url = _url(boot_url, "the boot service's URL")
    return f"{url}/" if plain and inventory.fleet.package_cache else ""


def archives(inventory: Inventory) -> frozenset[str]:
    """host[:port] of every archive that an installed server may fetch packages from."""
    fleet, sites = inventory.fleet, inventory.sites.values()
    urls = (fleet.mirror, fleet.proxmox_mirror, *(site.mirror for site in sites))
    return frozenset({SECURITY, *(urlsplit(url).netloc for url in urls if url)})


def _disk(name: str, serial: str | None, where: str) -> SystemDisk:
    """udev writes blanks in serial numbers as underscores; BMCs pad them.

    With a serial number the name is for people only, and may be any text in a BMC's fashion.
    """
    name = name.removeprefix("/dev/")
    serial = re.sub(r"\s+", "_", (serial or "").strip())
    if serial:
        _checked(SERIAL, serial, "no serial number of a disk", where)
        return SystemDisk(name=UNPLAIN.sub("_", name)[:60], serial=serial)
    return SystemDisk(name=_checked(DISK, name, "no name of a disk", where), serial="")


def _root_keys(inventory: Inventory, controller: str | None) -> tuple[str, ...]:
    """The SSH keys among the administrators' keys (an age recipient logs in nowhere), and the
    controller's: it replaces the throw-away key of the disk."""
    keys = (*inventory.recipients(), *((controller,) if controller else ()))
    found = (SSH_KEY.fullmatch(key.strip()) for key in keys)
    return tuple(f"{key[1]} {key[2]}" for key in found if key)
