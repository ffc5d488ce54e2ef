"""Servers as namespaces of this machine: real libvirtd, QEMU and IPMI, real death. As root.

A server is a network namespace with mount, process, host name, IPC and cgroup namespaces of its
own; killing its first process is pulling its plug. Its BMC (OpenIPMI's `ipmi_sim`) lives in
another network namespace on an out-of-band bridge, and really does that when it is told to.
"""

from metal.lab.namespaces.trio import Trio

__all__ = ["Trio"]
