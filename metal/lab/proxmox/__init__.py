"""Proxmox VE of the lab: nodes, clusters, Ceph, VMs and HA behind the real API's schema.

Not a toy of the API but of what is behind it: quorum, tasks that fail after their call answered
200, joins that must not be rushed, HA states and their timing. The drivers know nothing of it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metal.lab.proxmox.datacenter import Datacenter, NodeHandle

__all__ = ["Datacenter", "NodeHandle"]


def __getattr__(name: str) -> Any:
    """Lazily: carry.py must run before there is an api.json to load."""
    if name not in __all__:
        raise AttributeError(name)
    from metal.lab.proxmox import datacenter

    return getattr(datacenter, name)
