"""Proxmox VE over its own API: one cluster, through whichever of its nodes answers."""

from metal.drivers.proxmox.driver import Proxmox
from metal.drivers.proxmox.look import Known
from metal.drivers.proxmox.node import NodeAccess
from metal.drivers.proxmox.patience import Patience

__all__ = ["Known", "NodeAccess", "Patience", "Proxmox"]
