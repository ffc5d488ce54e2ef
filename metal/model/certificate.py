"""A proof that every single server may die, as data that a second checker can verify.

`metal check-certificate FILE` (metal/check_certificate.py) reads the JSON of this and shares no
code with what made it.
"""

from typing import Literal

from metal.model.base import Frozen


class ProvenServer(Frozen):
    """What VMs may have of it; None where nobody knows, which is never safe."""

    memory_mib: int | None
    vcpus: int | None
    cpus: tuple[str, ...] | None = None
    """The types of processor it can give."""


class ProvenVm(Frozen):
    server: str
    memory_mib: int | None
    vcpus: int
    apart: str | None = None
    """Its replica group: two of one never share a server."""
    together: str | None = None
    """The set that it shares a server with."""
    cpu: str | None = None
    """The type of processor it needs; x86-64-v2-AES when absent."""


class Failure(Frozen):
    """The loss of one server."""

    verdict: Literal["survivable", "not", "unknown", "alone"]
    """alone: no other server has its disks, and its VMs wait for it (those pinned there have
    replicas)."""
    restarts: dict[str, str] = {}
    """VM → the server it restarts on, of every VM that is lost; of a survivable failure."""
    waits: tuple[str, ...] = ()
    """Replicas that wait for the server: each of the others runs one of their group."""
    why: str = ""
    smallest: tuple[str, ...] = ()
    """VMs that cannot all be restarted, as few as were found: the counter-example."""
    mends: tuple[str, ...] = ()
    """Each of them alone makes this failure survivable."""


class ProvenCluster(Frozen):
    servers: dict[str, ProvenServer]
    """Those that can take a VM now."""
    members: int = 0
    """How many servers it has, those that are down included: more than half must be left."""
    shared: bool = True
    """Whether its servers share the VMs' disks: without, none restarts what ran on another."""
    vms: dict[str, ProvenVm]
    failures: dict[str, Failure]

    @property
    def safe(self) -> bool:
        return all(f.verdict in ("survivable", "alone") for f in self.failures.values())


class Certificate(Frozen):
    certificate: Literal[1] = 1
    fingerprint: str
    """Of the inventory and the world it was made for."""
    clusters: dict[str, ProvenCluster]

    @property
    def safe(self) -> bool:
        return all(c.safe for c in self.clusters.values())
