"""libvirt: hosts that each run VMs of their own, on disks of a directory, LVM or RBD.

For the solo machine and for labs; also a cluster without Proxmox, where `metal` itself does what
an HA manager does elsewhere. libvirt-python is the extra `libvirt` (Debian: python3-libvirt).
"""

from metal.drivers.libvirt.domain import Boot, Machine
from metal.drivers.libvirt.driver import Libvirt
from metal.drivers.libvirt.hosts import Host
from metal.drivers.libvirt.patience import Patience

__all__ = ["Boot", "Host", "Libvirt", "Machine", "Patience"]
