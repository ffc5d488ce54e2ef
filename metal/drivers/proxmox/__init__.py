"""Proxmox VE over its own API: one cluster, through whichever of its nodes answers."""

from metal.drivers.proxmox.driver import Proxmox
from metal.drivers.proxmox.look import Known
from metal.drivers.proxmox.node import NodeAccess, NoPassword
from metal.drivers.proxmox.patience import PROMPT, Patience
from metal.drivers.proxmox.takeover import Root

__all__ = ["PROMPT", "Known", "NoPassword", "NodeAccess", "Patience", "Proxmox", "Root"]
