"""Importing this makes every simulated call answered."""

from metal.lab.proxmox import ceph_calls, cluster, firewall, ha_calls, nodes, qemu, storage, users

MODULES = (ceph_calls, cluster, firewall, ha_calls, nodes, qemu, storage, users)
