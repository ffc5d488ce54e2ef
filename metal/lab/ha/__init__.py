"""Proxmox's HA manager as a model: what its master and its nodes' agents decide, round by round.

Pure: time, power, quorum and guests are a World's (world.py). The Proxmox double runs it for its
clusters, and the tests run the scenarios of pve-ha-manager through it. States, timings and words
are those of pve-ha-manager 5.2 (PVE 9.2); nothing of its code is here.
"""
