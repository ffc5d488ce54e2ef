"""Take a running cluster into the inventory: read it, write it down, keep a token for it.

Nothing of the cluster is changed but one thing: metal gets a user, a role and a token of its own,
unless it was given a token. Until the person agreed nothing is written anywhere.
"""

import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from metal.cluster.adopt import Adoption, adopt
from metal.controller.repinning import check_shown
from metal.controller.tokens import ident_of, secret_name
from metal.controller.workspace import Workspace
from metal.drivers.proxmox import PROMPT, NodeAccess, Patience, Proxmox
from metal.drivers.proxmox.contact import shown
from metal.drivers.proxmox.node import LoginRefused
from metal.drivers.proxmox.tokens import USER
from metal.inventory.adoption import tables
from metal.inventory.edit import edit
from metal.model.addresses import ip_of
from metal.model.base import Frozen
from metal.model.errors import BadInput, MetalError, Refused
from metal.model.found import FoundCluster, FoundNode
from metal.model.life import Life

API_PORT = 8006
KNOCK = 3.0
"""Seconds for a node of the cluster to show its certificate."""
ROOT = "root@pam"


@dataclass(frozen=True)
class Credential:
    """Root's password, or a token: USER@REALM!ID=SECRET."""

    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


class Difference(Frozen):
    """One table of inventory.toml, and what is new about it."""

    table: str
    """ "servers.pve1"."""
    new: bool
    keys: dict[str, Any]
    """What it gets: all of a new one, else what differs."""
    was: dict[str, Any] = {}


class Adopted(Frozen):
    """What `metal cluster adopt` did, or would do."""

    cluster: str
    called: str | None
    version: str
    site: str
    fingerprint: str
    servers: tuple[str, ...]
    vms: int
    """VMs of the cluster that the inventory has now."""
    differences: tuple[Difference, ...]
    told: tuple[str, ...]
    token: str = ""
    """What metal logs in with from now on, without its secret."""


class Adopting:
    """One adoption, step by step, so that a person can look on between the steps."""

    def __init__(self, workspace: Workspace, url: str) -> None:
        self._workspace = workspace
        assert workspace.inventory  # its mistakes are told before anything is asked
        self.address, self.port = split_url(url)
        self.fingerprint = ""

    def shown(self, expected: str | None) -> str:
        """The certificate's fingerprint; Refused when another is expected, or pinned already."""
        self.fingerprint = shown(self.address, self.port)
        check_shown(self.address, self.fingerprint, expected)
        for name, pin in self._pins().items():
            self._check_pin(name, pin, self.fingerprint)
        return self.fingerprint

    @property
    def known(self) -> bool:
        """Whether the certificate was pinned here before."""
        return self.fingerprint in self._pins().values()

    def _pins(self) -> dict[str, str]:
        """Server of the inventory at this address → what it showed before."""
        records = self._workspace.store.servers.all()
        return {
            name: pin
            for name, server in self._workspace.inventory.servers.items()
            if server.api == (self.address, self.port) and name in records
            if (pin := records[name].node_fingerprint)
        }

    def read(self, credential: Credential) -> FoundCluster:
        """All of the cluster, through this one node; and where each node answers us."""
        try:
            found = self._hypervisor(credential).found()
        except LoginRefused as error:
            raise Refused(
                f"it does not let {ROOT} in with the password that was given (401)",
                where=self.address,
                mend=f"give {ROOT}'s own, which its web interface takes (realm: Linux PAM)",
            ) from error
        with ThreadPoolExecutor() as pool:
            nodes = tuple(pool.map(self._at_its_door, found.nodes))
        mute = [
            f"{node.name} does not answer here at {node.address}: metal speaks to it through the "
            "others"
            for node in nodes
            if node.online and not node.answers
        ]
        return found.model_copy(update={"nodes": nodes, "unread": (*found.unread, *mute)})

    def _at_its_door(self, node: FoundNode) -> FoundNode:
        """With the address and port at which it shows the certificate it should."""
        itself = node.fingerprint == self.fingerprint
        hosts = [h for h in (node.address, self.address if itself else None) if h]
        for host in dict.fromkeys(hosts if node.online else ()):
            for port in dict.fromkeys((self.port, API_PORT)):
                try:
                    right = shown(host, port, timeout=KNOCK) == node.fingerprint
                except MetalError:
                    continue
                if right:
                    other = host if host != node.address else None
                    found = {"host": other, "port": port, "answers": True}
                    return node.model_copy(update=found)
        return node

    def proposed(
        self, found: FoundCluster, *, name: str | None = None, site: str | None = None
    ) -> tuple[Adoption, Adopted]:
        """What would be written; nothing is."""
        adoption = adopt(self._workspace.inventory, found, name=name, site=site)
        return adoption, self._result(found, adoption)

    def taken(self, cluster: str, credential: Credential) -> str:
        """A token of the name that ours will get, whose secret is not kept here: making ours
        ends it. "" where there is none, or none is made."""
        if credential.token or self._kept(cluster):
            return ""
        ident = ident_of(self._workspace)
        name, kept = f"{USER}!{ident}", self._workspace.secrets.reveal(secret_name(cluster)) or ""
        if kept.partition("=")[0] == name and self._lacks(kept) is not None:
            return ""  # it is ours, and may do less than we need by now
        return name if self._hypervisor(credential).has_token(ident) else ""

    def write(self, found: FoundCluster, adoption: Adoption, credential: Credential) -> Adopted:
        """Everything or nothing of the inventory, then records, pins and the token.

        Killed in between, the same command does the rest.
        """
        result = self._result(found, adoption)
        self._check_pins(found)
        edit(self._workspace.folder, [tables(adoption.tables)])
        self._workspace.reload()
        self._record(found)
        token, told = self._keep_token(adoption.cluster, credential)
        return result.model_copy(update={"token": token, "told": (*result.told, *told)})

    # ── parts ───────────────────────────────────────────────────────────────────────────────

    def _hypervisor(self, credential: Credential, token: str = "") -> Proxmox:
        return Proxmox(
            {self.address: NodeAccess(self.address, self.port, self.fingerprint)},
            ROOT,
            password=lambda _node: self._password(credential),
            token=lambda: token or credential.token,
            patience=Patience(poll=min(PROMPT, self._workspace.inventory.fleet.poll_seconds)),
        )

    def _password(self, credential: Credential) -> str:
        if not credential.password:
            raise Refused(
                "the token is not accepted",
                where=self.address,
                mend="check it: USER@REALM!ID=SECRET, not expired, of a user that is enabled",
            )
        return credential.password

    def _check_pins(self, found: FoundCluster) -> None:
        """Before anything is written: a node that was known must show what it showed then."""
        records = self._workspace.store.servers.all()
        for node in found.nodes:
            pinned = records[node.name].node_fingerprint if node.name in records else None
            if pinned and node.fingerprint:
                self._check_pin(node.name, pinned, node.fingerprint)

    @staticmethod
    def _check_pin(name: str, pinned: str, shows: str) -> None:
        if pinned != shows:
            raise Refused(
                f"its certificate is {shows}, and {pinned} is pinned",
                where=name,
                mend=f"if you know why it changed, `metal cluster repin {name}`; if not, somebody "
                "may sit in between",
            )

    def _record(self, found: FoundCluster) -> None:
        servers = self._workspace.store.servers
        for node in found.nodes:
            if node.fingerprint:
                servers.pin(node.name, node.fingerprint)
            if servers.get(node.name).life is not Life.DRAINING:
                servers.move(node.name, Life.MEMBER)

    def _keep_token(self, cluster: str, credential: Credential) -> tuple[str, tuple[str, ...]]:
        """(the token's name, what to tell). One that is kept already and works is kept on."""
        secrets, name = self._workspace.secrets, secret_name(cluster)
        token = credential.token or self._kept(cluster)
        if not token:
            fleet = self._workspace.inventory.fleet.name
            ident = ident_of(self._workspace)
            token = self._hypervisor(credential).make_token(ident, f"metal, fleet {fleet}")
        if token != secrets.reveal(name):
            secrets.escrow(name, token, controller=True)
        lacking = sorted(self._hypervisor(Credential(token=token)).lacking())
        plain = token.partition("=")[0]
        if lacking:
            return plain, (f"the token {plain} lacks {', '.join(lacking)} on /",)
        return plain, ()

    def _kept(self, cluster: str) -> str:
        """The token that is kept of it, if it works; else ""."""
        token = self._workspace.secrets.reveal(secret_name(cluster)) or ""
        return token if token and self._lacks(token) == frozenset() else ""

    def _lacks(self, token: str) -> frozenset[str] | None:
        """The privileges; None where it is not accepted."""
        try:
            return self._hypervisor(Credential(token=token)).lacking()
        except MetalError:
            return None

    def _result(self, found: FoundCluster, adoption: Adoption) -> Adopted:
        text = (self._workspace.folder / "inventory.toml").read_text(encoding="utf-8")
        data = tomllib.loads(text)
        return Adopted(
            cluster=adoption.cluster,
            called=found.name,
            version=found.version,
            site=adoption.site,
            fingerprint=self.fingerprint,
            servers=adoption.servers,
            vms=sum(guest.kind == "vm" for guest in found.guests),
            differences=tuple(_differences(data, adoption)),
            told=adoption.told,
        )


def split_url(url: str) -> tuple[str, int]:
    """(host, port) of https://NODE:8006, or of NODE alone; BadInput for anything else."""
    parts = urlsplit(url if "//" in url else f"//{url}", scheme="https")
    try:
        host, port = parts.hostname, parts.port or API_PORT
    except ValueError:
        host, port = None, API_PORT
    if parts.scheme != "https" or not host or parts.username or parts.path.strip("/"):
        raise BadInput("is no address of a Proxmox node", where=url, mend="https://NODE:8006")
    return str(ip_of(host) or host), port


def _differences(data: dict[str, Any], adoption: Adoption) -> Iterator[Difference]:
    for path, pairs in adoption.tables:
        there: Any = data
        for part in path:
            there = there.get(part) if isinstance(there, dict) else None
        table = ".".join(path)
        if there is None:
            yield Difference(table=table, new=True, keys=dict(pairs))
            continue
        changed = {k: v for k, v in pairs.items() if there.get(k) != v}
        if changed:
            was = {k: there[k] for k in changed if k in there}
            yield Difference(table=table, new=False, keys=changed, was=was)
