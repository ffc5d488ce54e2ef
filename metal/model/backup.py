"""Backups of VMs, as the storages that hold them tell of them."""

from metal.model.base import Frozen


class Backup(Frozen):
    """One backup of a VM, on a storage that several clusters may reach."""

    storage: str
    name: str
    """On the storage, without the storage's."""
    vmid: int
    """In the cluster where it was made: another cluster's VM may have the same."""
    called: str = ""
    """The VM's name then; "" where whoever made it noted none."""
    made: float
    """Seconds since 1970."""
    flaw: str = ""
    """Why it cannot be read back, where that is known: "it is empty"."""
    verified: bool = False
    """Whether its storage has read it all again and found it whole: PBS alone does."""


class Reached(Frozen):
    """What one cluster reaches."""

    backups: tuple[Backup, ...] = ()
    silent: dict[str, str] = {}
    """Storage → why its backups are not known; under the cluster's name, why none is."""
