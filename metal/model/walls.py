"""What Proxmox's own firewall is to let through to one VM.

A rule is known as ours by its comment: whoever puts rules beside them finds those untouched.
"""

from typing import Literal

from metal.model.base import Frozen

MARK = "metal: "
"""Begins the comments of metal's rules, and of nobody else's."""


class WallRule(Frozen):
    """Packets of one kind that are let in by one card."""

    card: str
    protocol: str = ""
    """"": any."""
    ports: str = ""
    """80 or 8000:8010, as Proxmox writes them; "": all, or the protocol has none."""

    @property
    def what(self) -> str:
        """In few words, for people."""
        return " ".join(part for part in (self.card, self.protocol, self.ports) if part)

    @property
    def comment(self) -> str:
        return f"{MARK}{self.what}"

    @property
    def line(self) -> str:
        """As it stands in a file of /etc/pve/firewall."""
        parts = (f"IN ACCEPT -i {self.card}", self.protocol and f"-p {self.protocol}")
        return " ".join(part for part in (*parts, self.ports and f"-dport {self.ports}") if part)


class WallOptions(Frozen):
    """Of one VM; None: nobody set it, so Proxmox's default counts."""

    enable: bool | None = None
    policy_in: Literal["ACCEPT", "DROP", "REJECT"] | None = None
    policy_out: Literal["ACCEPT", "DROP", "REJECT"] | None = None


CLOSED = WallOptions(enable=True, policy_in="DROP", policy_out="ACCEPT")
"""What no rule lets in stays out."""


class SeenRule(Frozen):
    """One rule of ours as it was found."""

    comment: str
    enabled: bool
    right: bool = True
    """It says what its comment says, and no more."""


class SeenWall(Frozen):
    """A VM's firewall as it was found."""

    rules: tuple[SeenRule, ...] = ()
    """Ours."""
    options: WallOptions = WallOptions()
    watched: bool = True
    """Its cards for public addresses are given to the firewall at all (`firewall=1`)."""
