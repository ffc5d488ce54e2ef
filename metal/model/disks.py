"""Which drive gets Debian, and which are left for Ceph: one answer for every planner."""

from metal.model.errors import BadInput
from metal.model.fleet import Disk, Learned, ServerProfile


def system_disk(profile: ServerProfile, learned: Learned) -> Disk:
    """The drive that Debian is installed on: ties go to the lowest name.

    `smallest` spares the big ones for Ceph; `first` is the first in the BMC's order.
    BadInput when no drive is known (an IPMI-only BMC lists none).
    """
    if not learned.disks:
        raise BadInput(
            "no drive is known, so none can be chosen for the system",
            mend="list its drives under [[servers.NAME.learned.disks]] with name and size_gib",
        )
    if profile.system_disk == "first":
        return learned.disks[0]
    return min(learned.disks, key=lambda disk: (disk.size_gib, disk.name))


def data_disks(profile: ServerProfile, learned: Learned) -> tuple[Disk, ...]:
    """Every other drive, in the BMC's order: one OSD each. Empty when no drive is known."""
    if not learned.disks:
        return ()
    system = system_disk(profile, learned)
    return tuple(disk for disk in learned.disks if disk != system)
