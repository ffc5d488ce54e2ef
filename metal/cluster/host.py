"""What makes a Proxmox VE host of an installed Debian, every value known beforehand. Pure."""

from typing import Literal

from metal.model.base import Frozen
from metal.model.fleet import Inventory

OFFICIAL = "http://download.proxmox.com/debian/pve"
"""Where Proxmox's own packages are, unless the fleet names a mirror."""
TEMPLATE = "hosts/proxmox.sh.j2"
PARTS = ("kernel", "proxmox")
"""Of the script, in their order; the server is restarted between them."""
PACKAGES = ("proxmox-ve", "postfix", "open-iscsi", "chrony")
CEPH_PACKAGES = (
    "ceph",
    "ceph-common",
    "ceph-fuse",
    "ceph-mds",
    "ceph-volume",
    "gdisk",
    "nvme-cli",
)
"""What `pveceph install` installs; that would take them from Proxmox's server, mirror or not."""


class Keyring(Frozen):
    """The key that signs a release's packages, as Proxmox publishes its digest."""

    name: str
    kind: Literal["sha256", "sha512"]
    digest: str
    """Hex."""


class Release(Frozen):
    """Which Proxmox VE goes with a Debian."""

    version: int
    ceph: str
    keyring: Keyring


RELEASES = {
    "bookworm": Release(
        version=8,
        ceph="ceph-squid",
        keyring=Keyring(
            name="proxmox-release-bookworm.gpg",
            # Proxmox published no SHA-256 of this one.
            kind="sha512",
            digest="7da6fe34168adc6e479327ba517796d4702fa2f8b4f0a9833f5ea6e6b48f6507"
            "a6da403a274fe201595edc86a84463d50383d07f64bdde2e3658108db7d6dc87",
        ),
    ),
    "trixie": Release(
        version=9,
        ceph="ceph-squid",
        keyring=Keyring(
            name="proxmox-archive-keyring-trixie.gpg",
            kind="sha256",
            digest="136673be77aba35dcce385b28737689ad64fd785a797e57897589aed08db6e45",
        ),
    ),
}


class KeyringSource(Keyring):
    url: str


class Repository(Frozen):
    repository: str


class HostScript(Frozen):
    """What the script's template asks for."""

    server: str
    domain: str
    address: str
    debian: str
    release: int
    repository: str
    keyring: KeyringSource
    ceph: Repository | None
    packages: tuple[str, ...]


def host_script(inventory: Inventory, name: str) -> HostScript:
    """For one server; its profile says which Debian it runs, its cluster whether Ceph is wanted."""
    server, debian = inventory.servers[name], inventory.profile(name).debian
    release, cluster = RELEASES[debian], inventory.cluster_of(name)
    repository = (inventory.fleet.proxmox_mirror or OFFICIAL).rstrip("/")
    # Key and Ceph lie beside the folder of the packages.
    base, _, _ = repository.rpartition("/")
    ceph = bool(cluster) and _has_ceph(inventory, str(cluster))
    keyring = KeyringSource(**release.keyring.model_dump(), url=f"{base}/{release.keyring.name}")
    return HostScript(
        server=name,
        domain=inventory.fleet.domain,
        address=str(server.address),
        debian=debian,
        release=release.version,
        repository=repository,
        keyring=keyring,
        ceph=Repository(repository=f"{base}/{release.ceph}") if ceph else None,
        packages=(*PACKAGES, *(CEPH_PACKAGES if ceph else ())),
    )


def _has_ceph(inventory: Inventory, cluster: str) -> bool:
    wanted = inventory.clusters[cluster]
    return wanted.ceph and len(wanted.servers) > 1
