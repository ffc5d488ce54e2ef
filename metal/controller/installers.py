"""`metal installer`: which Debian installer this fleet uses, and bringing it up to date."""

from typing import NamedTuple

from metal.controller.workspace import Workspace
from metal.install.installer.lock import LOCK, Pinned, read_lock
from metal.install.installer.pinning import is_kept, pin_installer
from metal.model.errors import BadInput


class Shown(NamedTuple):
    """One release's installer, as a person wants to know it."""

    suite: str
    pinned: Pinned
    kept: bool
    """Servers can be answered without any mirror."""


def installers(workspace: Workspace) -> list[Shown]:
    """What is pinned, by release."""
    pins = read_lock(workspace.folder / LOCK)
    site = next(iter(workspace.inventory.sites), None)
    source = workspace.installer_source(site) if pins and site else None
    return [
        Shown(suite, pinned, source is not None and is_kept(source, suite, pinned))
        for suite, pinned in pins.items()
    ]


def pin(workspace: Workspace, suites: tuple[str, ...], site: str | None) -> list[Shown]:
    """Pin what the mirror has now for these releases, or for those of the profiles in use."""
    sites = workspace.inventory.sites
    site = site or next(iter(sites), None)
    if site not in sites:
        raise BadInput("no such site", where=site or "", mend=f"there are: {', '.join(sites)}")
    source = workspace.installer_source(site)
    return [
        Shown(suite, pin_installer(source, suite), True) for suite in suites or _used(workspace)
    ]


def _used(workspace: Workspace) -> list[str]:
    profiles = workspace.inventory.profiles
    used = {profiles[server.profile].debian for server in workspace.inventory.servers.values()}
    return sorted(used) or ["trixie"]
