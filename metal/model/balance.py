"""How VMs are spread over the servers of a cluster: the section [balance]."""

from pydantic import Field

from metal.model.base import Frozen


class BalancePolicy(Frozen):
    """[balance]: what an uneven spread is, and how much may be moved for an even one.

    The score of a cluster is a weighted sum of standard deviations over its servers: of the share
    of memory that is promised, of the vCPUs a thread, and of the number of VMs. 0 is even.
    """

    memory: float = Field(default=1, ge=0, le=100)
    """Weight of the share of memory."""
    cpu: float = Field(default=1, ge=0, le=100)
    """Weight of the vCPUs a thread."""
    vms: float = Field(default=4, ge=0, le=100)
    """Weight of the number of VMs, which stands in for the load on processors, disks and network
    that nobody measured. 0: servers of unlike size may have unlike numbers."""
    start: float = Field(default=0.1, ge=0, le=1000)
    """A cluster is left alone unless its score can fall by so much."""
    gain: float = Field(default=0.05, ge=0, le=1000)
    """What each further move must take off the score."""
    moves_a_day: int = Field(default=30, ge=0, le=10_000)
    """Moves of the whole fleet within 24 hours."""
