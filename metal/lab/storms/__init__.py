"""Months of failures in seconds: `python -m metal.lab.storms`.

Servers, links, BMCs, sites, watchers and the database of a small fleet fail and come back as a
seed says. The clusters run Proxmox's HA manager (metal/lab/ha); the watchers are metal's own, on
a real store. The world itself, not metal, checks that no VM ever runs twice, no healthy server is
switched off, and what could run again does.
"""
