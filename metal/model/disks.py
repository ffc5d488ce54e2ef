"""Which drives get Debian, and which are left for Ceph: one answer for every planner."""

from metal.model.fleet import Disk, Server, ServerProfile


def is_mirrored(profile: ServerProfile, server: Server) -> bool:
    """Whether its system is on two drives that hold the same."""
    if profile.mirrored is None:
        return len(server.system_disks) == 2
    return profile.mirrored


def system_disks(profile: ServerProfile, server: Server) -> tuple[Disk, ...]:
    """The drives that Debian is on, as far as they are known: one, or two that are mirrored.

    Those that the inventory names by serial number or name; else as the profile says: `smallest`
    spares the big ones for Ceph (ties go to the lowest name), `first` is the first in the BMC's
    order. Empty when no drive is known (an IPMI-only BMC lists none).
    """
    known = server.learned.disks if server.learned else ()
    if server.system_disks:
        return tuple(d for word in server.system_disks for d in known if word in (d.serial, d.name))
    if profile.system_disk == "smallest":
        known = tuple(sorted(known, key=lambda disk: (disk.size_gib, disk.name)))
    return known[: 2 if is_mirrored(profile, server) else 1]


def system_gib(profile: ServerProfile, server: Server) -> int | None:
    """What the system's drive holds, the smaller of two; None when none is known."""
    return min((disk.size_gib for disk in system_disks(profile, server)), default=None)


def data_disks(profile: ServerProfile, server: Server) -> tuple[Disk, ...]:
    """Every other drive, in the BMC's order: one OSD each. Empty when no drive is known."""
    system = system_disks(profile, server)
    known = server.learned.disks if server.learned else ()
    return tuple(disk for disk in known if disk not in system)
