"""Behind the boot service: which machine gets the live system, and what it is to do there."""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from metal.drivers.grub import http_device
from metal.inventory.defaults import defaults
from metal.live import build, root
from metal.model.facts import Loader
from metal.model.fleet import Inventory
from metal.operations.jobs import Job
from metal.operations.store import Store

TEMPLATES: dict[Loader, str] = {"ipxe": "pxe/live.ipxe.j2", "grub": "pxe/live.cfg.j2"}
Complete = Callable[[Job], dict[str, Any]]
"""Makes the whole of a job that the store keeps without its secrets; Refused the second time."""


class DeskWorkspace(Protocol):
    """What the desk needs of a workspace."""

    @property
    def folder(self) -> Path: ...
    @property
    def state(self) -> Path: ...
    @property
    def inventory(self) -> Inventory: ...
    @property
    def store(self) -> Store: ...
    @property
    def boot_url(self) -> str: ...


def hash_of(token: str) -> str:
    """What the state store knows of a token: SHA-256, hex."""
    return hashlib.sha256(token.encode()).hexdigest()


class LiveDesk:
    """Implements netboot_live.LiveDesk. Opens nothing before the first question."""

    def __init__(
        self, workspace: DeskWorkspace, complete: Mapping[str, Complete] | None = None
    ) -> None:
        """`complete`: for the kinds of jobs that need it."""
        self._workspace, self._complete = workspace, complete or {}

    def script(self, mac: str, uuid: str | None, loader: Loader = "ipxe") -> str | None:
        """Each script has a token of its own; the one before is forgotten with it.

        None too when no image is there any more: the machine boots its disk, and the flow that
        opened the job hears nothing and says so.
        """
        image = build.current(self._workspace.state)
        if image is None:
            return None
        token = secrets.token_urlsafe(32)
        uuids = (uuid, swapped(uuid)) if uuid else ()
        job = self._workspace.store.jobs.boot(mac, uuids, hash_of(token))
        return self._render(loader, job, mac, image.key, token) if job else None

    def file(self, key: str, name: str) -> Path | None:
        return build.file_of(self._workspace.state, key, name)

    def root(self, key: str) -> Path | None:
        return root.file_of(self._workspace.state, key, root.FILE)

    def job(self, token: str) -> dict[str, Any] | None:
        """Completed first, then taken: what cannot be completed leaves the job as it was."""
        jobs = self._workspace.store.jobs
        job = jobs.by_token(hash_of(token))
        if job is None:
            return None
        complete = self._complete.get(job.body.get("kind", "")) if not job.taken else None
        body = complete(job) if complete else job.body
        return body if jobs.take(hash_of(token)) else None

    def progress(self, token: str, phase: str, fraction: float, text: str) -> bool:
        return self._workspace.store.jobs.tell(hash_of(token), phase, fraction, text)

    def evidence(self, token: str, name: str, body: dict[str, Any]) -> bool:
        return self._workspace.store.jobs.note(hash_of(token), name, body)

    def end(self, token: str, said: dict[str, Any]) -> bool:
        return self._workspace.store.jobs.end(hash_of(token), said)

    def _render(self, loader: Loader, job: Job, mac: str, key: str, token: str) -> str:
        workspace = self._workspace
        server = workspace.inventory.servers[job.server]
        subnets = workspace.inventory.sites[server.site].subnets
        link = workspace.inventory.links(job.server).get("management")
        jinja = Environment(
            loader=FileSystemLoader([workspace.folder, defaults()]),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
        )
        return jinja.get_template(TEMPLATES[loader]).render(
            server=job.server,
            boot_url=workspace.boot_url,
            http=http_device(workspace.boot_url),
            key=key,
            token=token,
            mac=mac,
            address=f"{server.address}/{subnets.management.prefixlen}",
            gateway=str(subnets.gateway),
            vlan=link.vlan if link else None,
        )


def swapped(uuid: str) -> str:
    """The UUID with its first three fields the other way round: SMBIOS stores them so, and
    BMCs and boot firmware do not agree on whether to turn them."""
    a, b, c, *rest = uuid.split("-")
    return "-".join([*(bytes.fromhex(part)[::-1].hex() for part in (a, b, c)), *rest])
