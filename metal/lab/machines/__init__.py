"""Whole machines on a wire of their own: firmware, disk, TPM, and a BMC that speaks IPMI. As root.

A wire is a network namespace with a bridge; what runs in it reaches nothing else. A machine is a
QEMU process, which the power button of its BMC starts and kills.
"""

from metal.lab.machines.machine import Machine
from metal.lab.machines.wire import Wire

__all__ = ["Machine", "Wire"]
