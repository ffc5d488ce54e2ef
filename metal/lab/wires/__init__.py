"""Wires: two sites' gateways and VMs as network namespaces, with the real engines in them."""
