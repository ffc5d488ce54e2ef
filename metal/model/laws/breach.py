"""What the judge says."""

from metal.model.base import Frozen


class Breach(Frozen):
    """One law that a plan breaks."""

    law: str
    """Its short name, such as "memory" or "survival"."""
    subject: str
    """The server, VM, cluster, address or action it is about."""
    what: str
    """One sentence for a person."""

    def __str__(self) -> str:
        return f"{self.subject}: {self.what} (law: {self.law})"
