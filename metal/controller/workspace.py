"""A workspace: inventory.toml, profiles/, secrets/ and state/ in one folder, opened on demand.

What a part needs is imported when it is opened: `metal check` must not wait for the drivers.
"""

import os
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from metal.inventory import load
from metal.model.errors import BadInput, MetalError, NoSession, Refused, WrongPassword
from metal.model.fleet import Inventory
from metal.model.life import Life

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from metal.controller.bmc_sessions import BmcSessions
    from metal.controller.pace import Pace
    from metal.drivers.authority import Authority
    from metal.drivers.host_keys import HostKeys
    from metal.drivers.ports import Bmc, Hypervisor
    from metal.drivers.proxmox import Known, Proxmox
    from metal.drivers.secrets import AgeSecrets
    from metal.drivers.ssh import SshHost
    from metal.install.installer.pinning import Source
    from metal.operations.store import Store

T = TypeVar("T")

ROOT_PASSWORD = "METAL_PVE_PASSWORD"
"""Root's password of a cluster whose nodes metal did not install, for what only root may do."""

LINKED = "linked"
"""The kind of record of a server whose cards had `links` when it was last seen."""


class Workspace:
    """Everything of one fleet. Cheap to make: each part opens when it is first used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.served_at: str | None = None
        """Where this process answers booting servers, unless the inventory's boot_url says."""
        self.kept: dict[Any, Any] = {}
        """Connections that outlive one look, by what they were opened for."""

    @classmethod
    def open(cls, folder: Path) -> "Workspace":
        """The workspace `folder` lies in; BadInput if neither it nor a parent is one."""
        start = folder.absolute()
        for candidate in (start, *start.parents):
            if (candidate / "inventory.toml").is_file():
                return cls(candidate)
        raise BadInput(
            "no inventory.toml here or above",
            where=str(folder),
            mend="`metal init` makes a workspace; -C names another",
        )

    @classmethod
    def named(cls, folder: Path) -> "Workspace":
        """The workspace that is `folder` itself: a mistyped lab below a real fleet is not the
        fleet. BadInput if it is none."""
        if (folder / "inventory.toml").is_file():
            return cls(folder.absolute())
        raise BadInput(
            "no inventory.toml there",
            where=str(folder),
            mend="-C names the very folder of a workspace, and without it the one you are in "
            "counts; `metal init` makes one",
        )

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @cached_property
    def inventory(self) -> Inventory:
        return load(self.folder)

    def reload(self) -> None:
        """Read the inventory again: enrolment wrote to it."""
        for read in ("inventory", "_known"):
            self.__dict__.pop(read, None)

    @cached_property
    def store(self) -> "Store":
        from metal.operations.store import open_store

        return open_store(self.inventory.fleet.state, self.state)

    @cached_property
    def secrets(self) -> "AgeSecrets":
        from metal.drivers.secrets import AgeSecrets

        return AgeSecrets(self.folder / "secrets", self.state, self.inventory.recipients())

    @cached_property
    def host_keys(self) -> "HostKeys":
        """By which SSH keys the servers are known: pins/, beside the inventory."""
        from metal.drivers.host_keys import HostKeys

        return HostKeys(self.folder / "pins")

    @property
    def controller_key(self) -> str:
        """The public half of the SSH key that the controller logs in with."""
        from metal.drivers.ssh import controller_key

        return controller_key(self.state)[1]

    def ssh_host(self, server: str, agent: Path | None = None) -> "SshHost":
        """The installed system, by its pinned host key, logged in to with the controller's own
        key or with what an SSH agent holds."""
        from metal.drivers.ssh import SshHost, controller_key

        return SshHost(
            server,
            str(self.inventory.servers[server].address),
            self.host_keys.of(server, "system"),
            self.inventory.fleet.ssh_port,
            identity=None if agent else controller_key(self.state)[0],
            agent=agent,
        )

    def gateway_host(self, site: str, name: str, address: str) -> "SshHost":
        """A site's gateway, as `pinned_host`."""
        return self.pinned_host(f"{site}-{name}", address)

    def pinned_host(self, known: str, address: str) -> "SshHost":
        """By the host key that is pinned for that name, logged in to with the controller's own."""
        from metal.drivers.ssh import SshHost, controller_key

        port, key = self.inventory.fleet.ssh_port, controller_key(self.state)[0]
        return SshHost(known, address, self.host_keys.of(known, "system"), port, identity=key)

    @property
    def boot_url(self) -> str:
        """How servers reach the boot service, without a slash at the end."""
        fleet = self.inventory.fleet
        return (fleet.boot_url or self.served_at or f"http://{fleet.boot_listen}").rstrip("/")

    @property
    def boot_https_url(self) -> str:
        """The same by HTTPS; BadInput where the inventory does not say where that is."""
        from metal.controller.https import https_url

        return https_url(self.inventory.fleet, self.served_at)

    @cached_property
    def authority(self) -> "Authority":
        """Who vouches for the boot service towards media that were made here."""
        from metal.drivers.authority import Authority

        return Authority(self.state / "tls")

    def mirror(self, site: str) -> str:
        """The Debian mirror of a site; BadInput if nobody set one."""
        url = self.inventory.sites[site].mirror or self.inventory.fleet.mirror
        if not url:
            raise BadInput(
                "no Debian mirror is set",
                where="inventory.toml, [fleet]",
                mend='add mirror = "http://MIRROR/debian" (`metal init` reads the machine\'s own)',
            )
        return url.rstrip("/")

    def installer_source(self, site: str) -> "Source":
        """Where a site's installer comes from: its mirror, then any other of the fleet's."""
        from metal.install.installer.lock import LOCK
        from metal.install.installer.pinning import Source

        fleet, sites = self.inventory.fleet, self.inventory.sites.values()
        others = [url for url in (fleet.mirror, *(s.mirror for s in sites)) if url]
        return Source(
            mirrors=(self.mirror(site), *others),
            keyring=self.folder / fleet.archive_keyring,
            kept=self.state / "installer",
            lock=self.folder / LOCK,
        )

    @cached_property
    def pace(self) -> "Pace":
        """How often each BMC is looked at."""
        from metal.controller.pace import Pace

        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Pace(self.state / "looked-at")

    @cached_property
    def bmc_sessions(self) -> "BmcSessions":
        """Which of them outlive one look: none, unless a watcher says so."""
        from metal.controller.bmc_sessions import BmcSessions

        return BmcSessions(self)

    def bmc(self, server: str) -> "Bmc":
        """Log in to an enrolled server's BMC with the escrowed password."""
        return self.bmc_sessions.take(server)

    def bmc_by(self, server: str) -> "tuple[Bmc, str]":
        """In a session of its own; and the password that opened it."""
        from metal.controller.bmc_sessions import Mark
        from metal.drivers.bmc import connect

        access = self.inventory.servers[server].bmc

        def log_in() -> "tuple[Bmc, str]":
            return self.opened(server, lambda kept: connect(access, access.user, kept))

        try:
            bmc, password = log_in()
        except NoSession:
            if not Mark(self.pace, access).want():
                raise
            bmc, password = log_in()
        return self.pace.minded(access, bmc), password

    def opened(self, server: str, log_in: Callable[[str], T]) -> tuple[T, str]:
        """What `log_in` makes of the first password that opens the BMC, and that password.

        After the escrowed one those are tried, once each, that a rotation which did not end may
        have set; going on with it will keep the right one. Refused: none is kept, or right.
        """
        from metal.enroll.door import pending, secret_name

        if not self.inventory.servers[server].has_bmc:
            raise Refused(
                "it has no BMC",
                where=server,
                mend="add bmc = { address = … } in inventory.toml if it got one",
            )
        own = self.secrets.reveal(secret_name(server))
        if own is None:
            from metal.controller.former import refuse_renamed

            refuse_renamed(self, server)
            raise Refused(
                "no BMC password of it is kept here",
                where=server,
                mend=f"enrol it from this workspace: `metal enroll {server}`",
            )
        for password in (own, *pending(self.secrets, *self.inventory.behind(server))):
            try:
                return log_in(password), password
            except WrongPassword as error:
                refusal = error
        raise refusal

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def crew(self, workers: int) -> "Executor":
        """Who asks many at once; used as a `with` block."""
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(workers)

    def answers(self, server: str) -> bool:
        """Whether the host itself speaks to us: its SSH or its API."""
        from metal.drivers.reach import alive, speaks_ssh

        host, cluster = self.inventory.servers[server], self.inventory.cluster_of(server)
        if cluster and self.inventory.clusters[cluster].libvirt:
            return speaks_ssh(str(host.address))  # libvirtd speaks only when it is spoken to
        return alive(*host.api)

    def removed(self, vm: str) -> bool:
        """Whether the inventory's file, as it is now, has the VM no more; one that is broken tells
        nothing."""
        try:
            return vm not in load(self.folder).vms
        except MetalError:
            return False

    def hypervisor(self, cluster: str) -> "Hypervisor":
        """What runs the VMs of a cluster, through its installed nodes. Connects when first used."""
        if self.inventory.clusters[cluster].libvirt:
            from metal.controller.libvirts import libvirt_of

            return libvirt_of(self, cluster)
        return self.proxmox(cluster)

    def proxmox(self, cluster: str) -> "Proxmox":
        """The same, for what only Proxmox can."""
        from metal.drivers.proxmox import PROMPT, NodeAccess, Patience, Proxmox, Root
        from metal.drivers.ssh import Ssh
        from metal.schedule.restarts import ceph_addresses

        if self.inventory.clusters[cluster].libvirt:
            raise Refused("its servers run libvirt, not Proxmox", where=cluster)
        servers, members = self.inventory.servers, self.inventory.clusters[cluster].servers
        nodes = {
            name: NodeAccess(*servers[name].api, pin)
            for name, record in self.store.servers.all(members).items()
            if (pin := record.node_fingerprint)
        }
        return Proxmox(
            {name: nodes[name] for name in members if name in nodes},
            cluster=cluster,
            solo=len(members) == 1,
            password=self._root_password,
            token=lambda: self.secrets.reveal(f"proxmox/{cluster}") or "",
            known=self._known.get(cluster),
            patience=Patience(poll=min(PROMPT, self.inventory.fleet.poll_seconds)),
            repinned=self._repin,
            root=Root(
                shell=lambda node: Ssh(self.ssh_host(node)),
                addresses=lambda node: ceph_addresses(self.inventory, node),
            ),
        )

    @cached_property
    def _known(self) -> "dict[str, Known]":
        """Cluster → its VMs that were there before metal, and the hosts whose cards are told."""
        from metal.drivers.proxmox import Known

        found: dict[str, Known] = {}
        before = self.store.records.all(LINKED)
        for name, cluster in self.inventory.clusters.items():
            linked = frozenset(s for s in cluster.servers if self.inventory.links(s) or s in before)
            if linked:
                found[name] = Known(linked=linked)
        for name, vm in self.inventory.vms.items():
            if vm.adopted and vm.cluster:
                known = found.setdefault(vm.cluster, Known())
                known.names[vm.adopted.vmid] = name
                if vm.adopted.addresses:
                    known.addresses[vm.adopted.vmid] = tuple(map(str, vm.adopted.addresses))
        return found

    def _repin(self, node: str, fingerprint: str) -> None:
        """Joining gave the node a certificate of the cluster's authority; the driver proved it."""
        self.store.servers.unpin(node)
        self.store.servers.pin(node, fingerprint)

    def _root_password(self, node: str) -> str:
        from metal.drivers.proxmox import NoPassword

        password = self.secrets.reveal(f"root/{node}") or os.environ.get(ROOT_PASSWORD)
        if password is None:
            raise NoPassword(
                "no root password of it is kept here, and only root may do this",
                where=node,
                mend=f"set {ROOT_PASSWORD} for this one command (an administrator reads what metal "
                f"set itself: `metal keys recover {node} --root`)",
            )
        return password

    def knows_root(self, cluster: str) -> bool:
        """Whether what only root may do on its nodes can be done without asking anybody."""
        servers = self.inventory.clusters[cluster].servers
        return ROOT_PASSWORD in os.environ or all(
            self.secrets.holds(f"root/{server}") for server in servers
        )

    def life(self, server: str) -> Life:
        record = self.store.servers.all().get(server)
        return record.life if record else Life.FOUND
