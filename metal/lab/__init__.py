"""The virtual rack: servers, BMCs and Proxmox that answer over the real protocols."""
