"""The parts of an adoption: names, the site, the VMs. Pure."""
