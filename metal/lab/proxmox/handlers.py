"""Importing this makes every simulated call answered."""

from metal.lab.proxmox import (
    ageing,
    between,
    ceph_calls,
    cluster,
    firewall,
    ha_calls,
    nodes,
    qemu,
    storage,
    users,
    walls,
)

MODULES = (
    *(ageing, between, ceph_calls, cluster, firewall, ha_calls, nodes, qemu, storage, users),
    walls,
)
