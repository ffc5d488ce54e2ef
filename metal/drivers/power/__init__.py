"""What switches a server's power: its BMC, one of Debian's fence agents, or a person."""
