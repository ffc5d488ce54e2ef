"""Names that must lead somewhere: sites, profiles, sizes, clusters, servers."""

from metal.inventory.draft import NAME, Draft
from metal.inventory.mistakes import suggest
from metal.inventory.positions import Path
from metal.model.fleet import OUTSIDE

LINKS = (
    ("servers", "site", "sites"),
    ("servers", "profile", "profiles"),
    ("vms", "size", "sizes"),
    ("vms", "cluster", "clusters"),
)
"""(section, key, section whose names the key's value must be one of)"""
CLUSTER_NAME = 15
"""Characters that Proxmox allows in `clustername`."""


def check_references(draft: Draft) -> None:
    for section, key, leads_to in LINKS:
        for name in draft.declared[section]:
            _known(draft, (section, name, key), leads_to)
    _clusters(draft)
    _homeless(draft)
    _host_names(draft)


def _known(draft: Draft, path: Path, section: str) -> None:
    """The text that stands at `path`, if there is any, is a name of that section."""
    name, known = draft.written(path), draft.declared[section]
    if isinstance(name, str) and NAME.match(name) and name not in known:
        noun = section.removesuffix("s")
        mend = suggest(name, known, noun)
        if section in ("profiles", "sizes"):
            where = "profiles/servers/NAME.toml" if section == "profiles" else "profiles/vms.toml"
            mend += f" (they are in {where})"
        draft.at_value(path, f"there is no {noun} `{name}`", mend)


def _clusters(draft: Draft) -> None:
    """Every server of a cluster exists, is in no other, and stands at the cluster's site."""
    homes: dict[str, str] = {}
    for name, cluster in draft.clusters.items():
        if len(name) > CLUSTER_NAME:
            what = f"cluster name `{name}` is too long"
            draft.at_key(("clusters", name), what, f"Proxmox allows {CLUSTER_NAME} characters")
        if cluster.libvirt and cluster.ceph:
            what = f"`{name}` runs libvirt, which forms no Ceph cluster"
            mend = (
                "write ceph = false; `storage` names a pool of libvirt that all its servers share, "
                f"[clusters.{name}.libvirt] ceph = true that it is in a Ceph of somebody's"
            )
            draft.at_key(("clusters", name), what, mend)
        site = draft.site_of(name)
        if cluster.storage_gib is not None and cluster.holds_gib is None:
            what = "`storage_gib` is of a storage that the cluster has not"
            mend = 'add storage = "…", and ceph = false: of metal\'s own Ceph the disks tell it'
            draft.at_key(("clusters", name, "storage_gib"), what, mend)
        for i, server in enumerate(cluster.servers):
            path = ("clusters", name, "servers", i)
            _known(draft, path, "servers")
            if server in homes:
                where = "twice here" if homes[server] == name else f"in cluster `{homes[server]}`"
                what = f"server `{server}` is already {where}"
                draft.at_value(path, what, "a server belongs to one cluster: remove it from one")
            homes.setdefault(server, name)
            stands = draft.servers[server].site if server in draft.servers else site
            if stands != site:
                what = f"server `{server}` is at {stands}, the others of `{name}` at {site}"
                mend = "a cluster never spans sites: make it two, or correct the server's site"
                draft.at_value(path, what, mend)


def _homeless(draft: Draft) -> None:
    housed = {s for c in draft.clusters.values() for s in c.servers}
    broken = set(draft.declared["clusters"]) - draft.clusters.keys()
    for name in draft.servers.keys() - housed if not broken else ():
        what = f"server `{name}` is in no cluster"
        mend = (
            f"add it to the `servers` of one, or give it one of its own: "
            f'[clusters.{name}] servers = ["{name}"], ceph = false'
        )
        draft.at_key(("servers", name), what, mend)


def _host_names(draft: Draft) -> None:
    """Servers and VMs become host names of one domain."""
    for name in draft.vms.keys() & set(draft.declared["servers"]):
        what = f"VM `{name}` has the name of a server"
        draft.at_key(("vms", name), what, "both become host names: rename one")
    for section in ("servers", "vms"):
        if OUTSIDE in draft.declared[section]:
            what = f"no server or VM can be called `{OUTSIDE}`"
            mend = "rename it: `runs_on` of a Tang server says so of machines that are not ours"
            draft.at_key((section, OUTSIDE), what, mend)
