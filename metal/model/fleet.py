"""What is wanted: the inventory as the operator wrote it."""

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    IPvAnyAddress,
    IPvAnyInterface,
    IPvAnyNetwork,
    StringConstraints,
)

from metal.model import cpus
from metal.model.balance import BalancePolicy
from metal.model.base import MOST, Figure, Frozen
from metal.model.donor import Donor as Donor
from metal.model.facts import Media
from metal.model.links import Link, Links, Place, Role, address_in
from metal.model.watch import Hook, WatchPolicy

NAME = r"^[a-z][a-z0-9-]{0,39}$"
Name = Annotated[str, StringConstraints(pattern=NAME)]
"""Also a DNS label: servers and VMs become host names."""
Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9A-F]{2}(:[0-9A-F]{2}){31}$")]
"""SHA-256 of a DER certificate, upper-case hex pairs parted by colons."""
Mac = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")]
DnsName = Annotated[str, StringConstraints(pattern=r"^(?:[a-z0-9-]{1,63}\.)+[a-z]{2,}$")]
PortNumber = Annotated[int, Field(ge=1, le=65535)]


def _v4_or_range(text: str) -> str:
    from netaddr import AddrFormatError, IPAddress, IPRange

    first, dash, last = text.partition("-")
    try:
        if dash:
            if IPRange(first.strip(), last.strip()).version != 4:
                raise ValueError("not IPv4")
        elif IPAddress(text).version != 4:
            raise ValueError("not IPv4")
    except (AddrFormatError, ValueError) as error:
        raise ValueError(
            f"{text!r} is no IPv4 address or range such as 192.0.2.10-192.0.2.14"
        ) from error
    return text


Ipv4OrRange = Annotated[str, AfterValidator(_v4_or_range)]


def _cpu_type(text: str) -> str:
    if text not in cpus.TYPES:
        raise ValueError(f"{text!r} is none of {', '.join(cpus.TYPES)}")
    return text


CpuType = Annotated[str, AfterValidator(_cpu_type)]
"""A processor as QEMU names it, or one of its levels."""


class Subnets(Frozen):
    """The networks of a site. `management` holds BMCs and hosts; the rest are the VMs'."""

    bmc: IPvAnyNetwork
    management: IPvAnyNetwork
    gateway: IPvAnyAddress
    """Default gateway of the management network."""
    nameservers: tuple[IPvAnyAddress, ...] = ()
    """Resolvers of the hosts; their gateway when absent."""
    private_ipv4: IPvAnyNetwork
    """RFC 1918 network of the VMs: what NAT and the proxy forward to."""
    public_ipv4: IPvAnyNetwork | None = None
    public_gateway: IPvAnyAddress | None = None
    ipv6: IPvAnyNetwork | None = None
    """The site's prefix, a /64 or shorter; without one the VMs get unique local addresses."""
    ipv6_next: IPvAnyNetwork | None = None
    """The prefix that will replace `ipv6`: gateways carry it already, no name leads there yet."""
    ipv6_old: IPvAnyNetwork | None = None
    """The prefix that `ipv6` replaced: gateways carry it still, no name leads there any more."""
    ceph: IPvAnyNetwork | None = None
    """Of Ceph alone. Hosts with cards for it have their number of `management` here too."""
    replication: IPvAnyNetwork | None = None
    """Of what OSDs copy among themselves, where that has cards apart from Ceph's."""
    corosync: IPvAnyNetwork | None = None
    """Of the cluster's heartbeat: little traffic that must not wait."""
    metallb: tuple[Ipv4OrRange, ...] = ()
    """Parts of `private_ipv4` that Kubernetes clusters on the VMs hand out: no VM gets them."""


class SiteBoot(Frozen):
    """What the donor's network lets servers boot by."""

    dhcp: Literal["ours", "theirs", "none"] = "theirs"
    """Who gives addresses where servers boot. ours: metal does. theirs: somebody else, and metal
    adds what to boot (proxyDHCP). none: nobody, and metal must not either."""


WireguardKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$")]
"""A public key, as `wg pubkey` prints it: 32 bytes in base64."""


class Gateways(Frozen):
    """The machines that route for the VMs of a site: a pair holds virtual addresses by VRRP."""

    count: int = Field(default=2, ge=1, le=2)
    base: Literal["private", "public"] = "private"
    """The gateways' own addresses on the uplink. private: none of the pool, they reach the world
    by the virtual ones. public: one each, the first of the pool."""
    uplink: str = Field(default="uplink", pattern=r"^[a-z][a-z0-9._-]{0,14}$")
    """Name of the interface to the world."""
    inside: str = Field(default="vms", pattern=r"^[a-z][a-z0-9._-]{0,14}$")
    """Name of the interface to the VMs."""
    addresses: tuple[IPvAnyAddress, ...] = ()
    """At which metal logs in to each, in order; without them at its own in the VMs' network, which
    the mesh leads to."""
    router: int = Field(default=51, ge=1, le=255)
    """VRRP's virtual router id: no other pair on the VMs' network may have it."""
    uplink_ipv6: IPvAnyInterface | None = None
    """The virtual address, with prefix length, that the donor routes the site's IPv6 prefix to."""
    uplink_gateway6: IPvAnyAddress | None = None
    wireguard: WireguardKey | None = None
    """Public key of the site in the mesh. The private one is escrowed as wireguard/SITE."""
    wireguard_port: PortNumber = 51820


class Site(Frozen):
    """A rack that somebody lends."""

    donor: Donor
    place: str
    subnets: Subnets
    gateways: Gateways | None = None
    """None: somebody else routes for the VMs, at no cost to the pool."""
    ipv4_pool: tuple[Ipv4OrRange, ...] = ()
    """Public addresses that VMs may use: single ones or ranges first-last."""
    mirror: str | None = None
    """Base URL of the Debian mirror; the fleet's when absent."""
    boot: SiteBoot = SiteBoot()


class BmcAccess(Frozen):
    """How to reach a server's BMC. Never a password: that is escrowed in secrets/."""

    address: str = ""
    """Absent only where protocol is "none"."""
    protocol: Literal["redfish", "ipmi", "auto", "none"] = "auto"
    """none: the server has no BMC, or nobody said yet where it is."""
    port: PortNumber | None = None
    ipmi_port: PortNumber | None = None
    """Of its IPMI, where that is beside Redfish; 623 when absent."""
    user: str = "metal"
    """The account metal logs in as once the server is enrolled."""
    fingerprint: Fingerprint | None = None
    """Pinned at the first enrolment; a BMC that shows another is refused."""
    cipher_suite: Literal[3, 17] | None = None
    """The IPMI cipher suite that worked."""
    node: str | None = None
    """Which of several servers behind this BMC: the id of its Redfish System."""
    tls: Literal["modern", "legacy"] = "modern"
    """legacy lets BMCs in that speak TLS 1.0 or old ciphers only; their certificate is pinned."""
    timeout: float | None = Field(default=None, gt=0, le=300)
    """Seconds to wait for an answer of a slow one; 30 over Redfish and 8 over IPMI when absent."""


class Outlet(Frozen):
    """One of several plugs; what it leaves out is as its server's `power` says."""

    agent: str | None = Field(default=None, pattern=r"^fence_[a-z0-9_]+$")
    address: str | None = None
    plug: str | None = None
    user: str | None = None
    options: dict[str, str] = {}


class PowerAccess(Frozen):
    """How a server without a good BMC is switched. The password is escrowed as power/NAME."""

    driver: Literal["bmc", "fence", "manual"] = "bmc"
    """fence: one of Debian's fence agents (switched PDUs of every make).
    manual: a person at the rack, who is told what to press."""
    agent: str | None = Field(default=None, pattern=r"^fence_[a-z0-9_]+$")
    """Such as fence_apc_snmp."""
    address: str | None = None
    plug: str | None = None
    user: str | None = None
    options: dict[str, str] = {}
    """Further options of the agent, as its manual names them; never a password."""
    outlets: tuple[Outlet, ...] = ()
    """Two power supplies on two PDUs: the server is off when all of them are."""

    def each(self) -> tuple["PowerAccess", ...]:
        """One for each outlet, all that it needs in it; itself where there are none named."""
        return tuple(
            PowerAccess(
                driver=self.driver,
                agent=outlet.agent or self.agent,
                address=outlet.address or self.address,
                plug=outlet.plug or self.plug,
                user=outlet.user or self.user,
                options=self.options | outlet.options,
            )
            for outlet in self.outlets
        ) or (self,)


class Disk(Frozen):
    """A drive as recorded at enrolment."""

    name: str
    size_gib: Figure
    media: Media | None = None
    serial: str | None = None


class Learned(Frozen):
    """What enrolment learned of a server, as written into inventory.toml."""

    vendor: str | None = None
    model: str | None = None
    serial: str | None = None
    sku: str | None = None
    """Dell calls it the service tag."""
    uuid: str | None = None
    board_serial: str | None = None
    bmc_mac: str | None = None
    """With the board's serial what a machine without a serial of its own is known by."""
    bios_version: str | None = None
    secure_boot: bool | None = None
    """Whether its firmware starts what is signed and nothing else."""
    bmc_firmware: str | None = None
    cpu: str | None = None
    cpu_type: CpuType | None = None
    """The newest type its VMs can have, where the processor's name does not tell it."""
    cores: Figure | None = None
    threads: Figure | None = None
    memory_gib: Figure | None = None
    dimms: str | None = None
    """ "8 × 16 GiB"."""
    macs: tuple[Mac, ...] = ()
    """In the BMC's order; the first is the one it boots from."""
    disks: tuple[Disk, ...] = ()


Thumbprint = Annotated[str, StringConstraints(pattern=r"^(?:[A-Za-z0-9_-]{43}|[A-Za-z0-9_-]{27})$")]
"""Of a Tang server's signing key (RFC 7638, base64url): SHA-256, or SHA-1 of old ones."""
OUTSIDE = "outside"
"""Where a Tang server runs that is on none of our machines: no server or VM is called so."""


class Tang(Frozen):
    """A server that helps disks of other sites to open themselves, as long as it is there."""

    url: str = Field(pattern=r"^https?://[^\s/]+(/[^\s]*)?$")
    thumbprint: Thumbprint
    """What `tang-show-keys` prints on it: clevis trusts no other."""
    runs_on: Name
    """A server, a VM, or "outside": on a machine that is none of ours."""
    site: Name | None = None
    """Where it stands; that of its server or VM when absent. None for one outside."""


class Unlock(Frozen):
    """How a server's disk gets its key at boot."""

    by: tuple[Literal["dropbear", "tang", "tpm2"], ...] = Field(default=("dropbear",), min_length=1)
    """Each of them suffices. dropbear: a person (or the controller, when it holds the key)."""
    tang: tuple[Name, ...] = ()
    threshold: int = Field(default=1, ge=1)
    """How many of its Tang servers must answer."""
    pcrs: tuple[Annotated[int, Field(ge=0, le=23)], ...] = (7,)
    """The TPM's registers that must be as they were."""
    held: bool = False
    """Whether the controller keeps the disk's key, and so opens it without an administrator."""


InstallMethod = Literal["preseed", "image"]


class Server(Frozen):
    """A physical server."""

    site: Name
    rack: str
    unit: int | None = Field(default=None, ge=1, le=60)
    height: int = Field(default=1, ge=1, le=60)
    """Rack units that it takes."""
    watts: int | None = Field(default=None, ge=1)
    """What it draws at most: needed where its donor limits that. `metal burnin` tells it."""
    profile: Name
    address: IPvAnyAddress
    """Of the host itself, on the management network."""
    bmc: BmcAccess = BmcAccess(protocol="none")
    power: PowerAccess = PowerAccess()
    unlock: Unlock = Unlock()
    boot_mac: Mac | None = None
    """The network card to install through; the first learned one when absent."""
    secure_boot: bool | None = None
    """Whether its firmware starts what is signed and nothing else, where Redfish tells it not, or
    wrongly."""
    method: InstallMethod | None = None
    """How Debian is installed on it, where that is not as its profile says."""
    system_disks: tuple[str, ...] = Field(default=(), max_length=2)
    """Serial numbers (or names) of the drives that get Debian, where those are not as its profile
    says; two are mirrored."""
    links: dict[Role, Link] = {}
    """What its cards carry, where that is not as its profile says."""
    api_host: str | None = None
    """Where its Proxmox answers us, if that is not at its address: a forwarded port."""
    api_port: PortNumber = 8006
    learned: Learned | None = None

    @property
    def api(self) -> tuple[str, int]:
        """Host and port of its Proxmox."""
        return self.api_host or str(self.address), self.api_port

    @property
    def signed_boot(self) -> bool:
        """Whether it boots over the network by Debian's signed loaders, and not by iPXE."""
        if self.secure_boot is not None:
            return self.secure_boot
        return bool(self.learned and self.learned.secure_boot)

    @property
    def has_bmc(self) -> bool:
        return self.bmc.protocol != "none"


class LibvirtAccess(Frozen):
    """How to reach the libvirt of a cluster's servers: they run it instead of Proxmox.

    Their disks are on a storage pool that all of them have (`storage`, "vms" when absent); a
    solo machine's on its own. metal itself restarts the VMs of a server that died.
    """

    uri: str = Field(default="qemu+ssh://root@{address}/system", pattern=r"^qemu(\+[a-z0-9]+)?://")
    """As libvirt has it; {address} is the server's."""
    accel: Literal["kvm", "tcg"] = "kvm"
    """tcg where the servers are virtual themselves: slow, but it runs anywhere."""
    shared_unseen: bool = False
    """The pool's directory is shared in a way that libvirt does not recognise."""
    ceph: bool = False
    """The pool is in a Ceph that its servers can administer, made by somebody else: a dead
    server's clients are shut out of it before its VMs restart."""
    kernel: str | None = None
    initrd: str | None = None
    cmdline: str = ""
    """A kernel that every server has at that path, instead of what is on a VM's disk."""


class Cluster(Frozen):
    """Servers that stand in for each other; a solo machine is a cluster of one."""

    servers: tuple[Name, ...] = Field(min_length=1)
    ceph: bool = True
    """metal makes one of its servers' data disks."""
    called: str | None = None
    """What Proxmox calls it, where that is no name of ours: it was there before metal."""
    storage: str | None = None
    """A storage that all its servers share and that keeps VM disks, where it is not the pool
    that metal makes."""
    storage_gib: Figure | None = None
    """How much of `storage` the disks of VMs may take. None: nobody told, and VMs are placed as if
    their disks were on their server's own."""

    libvirt: LibvirtAccess | None = None
    """Its servers run libvirt; None: Proxmox."""
    only_pinned: bool = False
    """metal places only VMs here that name it: what else runs here is somebody's."""

    @property
    def holds_gib(self) -> int | None:
        """What a shared storage that is no Ceph of metal's holds, where that was told."""
        return None if self.ceph or self.storage is None else self.storage_gib

    @property
    def restarts(self) -> bool:
        """Whether a VM whose server died can run on another: its disks are there as well."""
        return len(self.servers) > 1 and (self.ceph or self.storage is not None)

    @property
    def has_ha(self) -> bool:
        """Whether its hypervisor restarts a dead server's VMs by itself; else metal does."""
        return self.libvirt is None

    @property
    def shuts_out(self) -> bool:
        """Whether metal keeps a dead server's clients from writing to Ceph: nobody else does."""
        return self.libvirt is not None and self.libvirt.ceph


class Service(Frozen):
    """A port a VM serves to the world."""

    port: PortNumber
    last: PortNumber | None = None
    """The last port of a range, such as a video conference's; None for a single port."""
    protocol: Literal["tcp", "udp"] = "tcp"
    name: DnsName | None = None
    """The host name clients use: what a TLS-SNI or HTTP-Host proxy tells VMs apart by."""
    proxy_protocol: bool = False
    """The VM understands HAProxy's PROXY protocol here, and so sees its clients' addresses."""
    to: IPv4Address | None = None
    """A port that is forwarded goes there: an address of its site's `metallb`, for an ingress that
    moves between the nodes of a Kubernetes cluster. The VM's own when absent."""

    @property
    def ports(self) -> tuple[int, int]:
        """The first and the last."""
        return self.port, self.last or self.port

    @property
    def span(self) -> str:
        """ "25", or "10000-20000"."""
        return str(self.port) if self.last is None else f"{self.port}-{self.last}"


Need = Literal["rdns", "ipsec"]
"""rdns: reverse DNS of its own, so it is the only VM with it on its address.
ipsec: IKE on UDP ports 500 and 4500; where it has an address of its own, ESP as well."""
Treatment = Literal["dedicated", "nat", "proxy", "ipv6"]
"""dedicated: an IPv4 of its own. nat: ports of a shared one are forwarded.
proxy: a shared one, told apart by TLS-SNI or HTTP host. ipv6: no IPv4 from outside at all."""


class Adopted(Frozen):
    """What a VM is that was there before metal: watched, moved and started, never made anew."""

    vmid: int = Field(ge=1, le=MOST)
    """Its number in its cluster; what metal knows it by, whatever it is called there."""
    called: str
    """Its name in Proxmox when it was adopted."""
    addresses: tuple[IPvAnyInterface, ...] = ()
    """Nobody else is given one of these, whether it answers or not."""
    os: str | None = None
    """Proxmox's word for its system; None where nobody set one."""


class Vm(Frozen):
    """A virtual machine and what it needs."""

    size: Name
    ipv4: Treatment = "ipv6"
    why: str
    """Why it needs that treatment: the next volunteer must be able to judge it."""
    serves: tuple[Service, ...] = ()
    needs: tuple[Need, ...] = ()
    flows: int = Field(default=200, ge=0, le=1_000_000)
    """Connections to one place of the world that it may have open at once, through NAT."""
    cluster: Name | None = None
    """Pinned to this cluster; the scheduler chooses when absent."""
    apart: Name | None = None
    """Replica group: VMs of one group never share a server."""
    apart_by: Literal["server", "cluster", "site", "donor"] = "server"
    """What else VMs of its group never share."""
    together: tuple[Name, ...] = ()
    """VMs that it shares a server with, wherever that is, also after a failure."""
    home: tuple[Name, ...] = ()
    """Servers of its cluster that HA brings it back to, the first before the others."""
    prefers: tuple[Name, ...] = ()
    """Clusters it would rather run in, the best first; others where these have no room."""
    cpu: CpuType | None = None
    """The processor it needs; x86-64-v2-AES when absent."""
    may_wait: bool = False
    """Pinned to a single server it needs no replica elsewhere: when that server dies, it is gone
    until the server is back or somebody restores it."""
    priority: int = Field(default=50, ge=0, le=100)
    traffic_gb: Figure = 0
    """To and from the world, a month: counts where the donor limits that."""
    vcpus: int | None = Field(default=None, ge=1, le=MOST)
    memory_gib: float | None = Field(default=None, gt=0, le=MOST)
    disk_gib: int | None = Field(default=None, ge=1, le=MOST)
    """vcpus, memory_gib and disk_gib override the size's."""
    running: bool = True
    """False: it is left as it is when it is found stopped."""
    adopted: Adopted | None = None
    """Only of a VM that was there before metal, as `metal cluster adopt` writes it."""


class Administrator(Frozen):
    """Someone to whom every secret is escrowed."""

    name: str
    keys: tuple[str, ...] = Field(min_length=1)
    """SSH public keys (ed25519, RSA) or age recipients (age1…)."""
    wireguard: WireguardKey | None = None
    """Public key of this person's machine in the mesh."""


class Fleet(Frozen):
    """What holds for the whole fleet."""

    name: Name
    domain: DnsName
    state: str = "sqlite"
    """`sqlite` (embedded, under state/) or a postgresql:// URL that several controllers share."""
    mirror: str | None = None
    """Base URL of the Debian mirror, such as `metal init` reads from the machine's apt sources."""
    archive_keyring: str = "/usr/share/keyrings/debian-archive-keyring.gpg"
    """The OpenPGP keys that the mirrors' Release must be signed by; relative to the workspace."""
    package_cache: bool = True
    """Whether installs fetch packages through the boot service, which keeps them."""
    proxmox_mirror: str | None = None
    """Base URL of the Proxmox packages; None installs what the image's sources offer."""
    boot_listen: str = "0.0.0.0:8080"
    """Where the boot service listens, host:port."""
    boot_url: str | None = None
    """How servers reach the boot service; http://<boot_listen> when absent."""
    boot_https_listen: str | None = None
    """Where the boot service also listens by HTTPS, host:port; None: nowhere, and no server is
    installed from a medium."""
    boot_https_url: str | None = None
    """How servers reach that; when absent the host of `boot_url` with the port of
    `boot_https_listen`."""
    ssh_port: PortNumber = 22
    """Where the installed servers' SSH answers."""
    poll_seconds: float = Field(default=2.0, gt=0, le=60)
    """How often metal asks again while it waits for something."""
    management_from: tuple[IPvAnyNetwork, ...] = ()
    """The networks (the mesh's) that the hosts' SSH and API answer to, and the gateways' SSH beside
    administrators in the mesh. None: no firewall is put on clusters that metal forms."""
    recovery: str | None = None
    """An age recipient whose private half is on paper only, in shares: `metal keys shares split`
    makes it. Every secret is encrypted to it too."""
    suspect_seconds: float = Field(default=60.0, ge=0)
    """How long a server must be lost to its cluster, its BMC saying on, before it is fenced:
    longer than a switch takes to restart."""


class ServerProfile(Frozen):
    """profiles/servers/NAME.toml: how servers of this kind are installed and used."""

    description: str
    debian: Literal["bookworm", "trixie"] = "trixie"
    recipe: Name = "luks-lvm"
    """preseed/recipes/NAME: the partman recipe."""
    method: InstallMethod = "preseed"
    """preseed: Debian's installer. image: the live system unpacks a root that the site made."""
    packages: tuple[str, ...] = ()
    reserved_memory_gib: float = Field(default=8, ge=0, le=MOST)
    """Kept for the host, its OSDs and monitors: never promised to VMs."""
    cpu_factor: float = Field(default=4, gt=0, le=1000)
    """vCPUs per thread that may be promised."""
    system_disk: Literal["smallest", "first"] = "smallest"
    """Which drive gets Debian; the others are left for Ceph."""
    mirrored: bool | None = None
    """Whether Debian is on two drives that hold the same (md RAID 1), either of which starts the
    server; None: where a server's `system_disks` names two."""
    links: dict[Role, Link] = {}
    """What the cards of such servers carry. Without any, the card that the host is reached by
    carries all."""


class VmSize(Frozen):
    """profiles/vms.toml: a named size."""

    vcpus: int = Field(ge=1, le=MOST)
    memory_gib: float = Field(gt=0, le=MOST)
    disk_gib: int = Field(ge=1, le=MOST)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a VM takes, size and overrides resolved."""

    vcpus: int
    memory_mib: int
    disk_gib: int


class Inventory(Frozen):
    """inventory.toml with its profiles. Cross references are checked by metal.inventory."""

    fleet: Fleet
    administrators: dict[Name, Administrator]
    sites: dict[Name, Site]
    servers: dict[Name, Server]
    clusters: dict[Name, Cluster]
    vms: dict[Name, Vm] = {}
    profiles: dict[Name, ServerProfile] = {}
    sizes: dict[Name, VmSize] = {}
    tang: dict[Name, Tang] = {}
    watch: WatchPolicy = WatchPolicy()
    balance: BalancePolicy = BalancePolicy()
    alarms: dict[Name, Hook] = {}
    written: dict[Name, str] = Field({}, exclude=True, repr=False)
    """VM → where it is written, "inventory.toml:12"; nobody's where it was read from no file."""

    def told(self, vm: str) -> str:
        """The VM for who must find it in the inventory."""
        return f"{vm} ({self.written[vm]})" if vm in self.written else vm

    def needs(self, vm: str) -> Needs:
        """What the VM takes, in units the planners count in."""
        wanted = self.vms[vm]
        size = self.sizes[wanted.size]
        return Needs(
            vcpus=wanted.vcpus or size.vcpus,
            memory_mib=round((wanted.memory_gib or size.memory_gib) * 1024),
            disk_gib=wanted.disk_gib or size.disk_gib,
        )

    def chosen(self, vm: str) -> bool:
        """Whether metal makes this VM and gives it its addresses: it knows it, and did not find
        it running."""
        return vm in self.vms and self.vms[vm].adopted is None

    def cpu_of(self, server: str) -> str | None:
        """The newest type of processor that its VMs can have; None when nobody knows."""
        learned = self.servers[server].learned
        return (learned.cpu_type or cpus.generation(learned.cpu)) if learned else None

    def profile(self, server: str) -> ServerProfile:
        return self.profiles[self.servers[server].profile]

    def links(self, server: str) -> Links:
        """What the server's cards carry; empty where nobody said."""
        return {**self.profile(server).links, **self.servers[server].links}

    def places(self, server: str, links: Links) -> dict[Role, Place]:
        """Each link with the server's address on it."""
        host = self.servers[server]
        subnets = self.sites[host.site].subnets
        places: dict[Role, Place] = {}
        for role, link in links.items():
            network = getattr(subnets, role)
            address = address_in(network, host.address, subnets.management)
            gateway = subnets.gateway if role == "management" else None
            if address is not None:  # checked when the inventory was read
                places[role] = Place(link=link, address=address, gateway=gateway)
        return places

    def cluster_of(self, server: str) -> str | None:
        """The cluster the server belongs to, or None."""
        return next((n for n, c in self.clusters.items() if server in c.servers), None)

    def site_of(self, cluster: str) -> str:
        """The site of a cluster: a cluster never spans sites."""
        return self.servers[self.clusters[cluster].servers[0]].site

    def behind(self, server: str) -> tuple[str, ...]:
        """Every server behind the same BMC, itself included: they share its password."""
        if not self.servers[server].has_bmc:
            return (server,)
        mine = self.servers[server].bmc
        return tuple(
            name
            for name, other in self.servers.items()
            if (other.bmc.address, other.bmc.port) == (mine.address, mine.port)
        )

    def recipients(self) -> tuple[str, ...]:
        """Every administrator's public keys, in the inventory's order; the recovery's last."""
        keys = tuple(key for admin in self.administrators.values() for key in admin.keys)
        return keys if self.fleet.recovery is None else (*keys, self.fleet.recovery)
