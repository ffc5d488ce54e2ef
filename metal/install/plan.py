"""Which servers are to be installed. Pure: what is not known is a warning, never a guess."""

import re

from metal.install.answers import answers
from metal.model.disks import is_mirrored, system_disks
from metal.model.errors import BadInput
from metal.model.fleet import Disk, Inventory, Learned, Server, ServerProfile
from metal.model.life import Life, Status
from metal.model.passport import BY_MEDIUM, Method
from metal.model.plan import InstallServer, Risk
from metal.model.world import SeenServer, World

INSTALLABLE = frozenset({Life.ENROLLED, Life.TESTED})
KERNEL_NAME = re.compile(r"(/dev/)?(sd[a-z]{1,2}|vd[a-z]|xvd[a-z]|nvme[0-9]+n[0-9]+)")
"""What Linux calls a drive: the only names that find one without its serial number."""


ANY_URL = "http://not.set.example"


def plan_installs(inventory: Inventory, world: World) -> tuple[list[InstallServer], list[str]]:
    """(installs in the inventory's order, warnings for servers that cannot be installed yet)."""
    installs: list[InstallServer] = []
    warnings = _strangers(inventory, world)
    for name in inventory.servers:
        seen = world.servers.get(name, SeenServer())
        if seen.life not in INSTALLABLE:
            continue
        if seen.status == Status.HELD:
            warnings.append(f"{name} is held and not installed: {seen.note or 'no reason noted'}")
            continue
        try:
            install = _install(inventory, name, seen.route)
            _check_answers(inventory, install)
            installs.append(install)
        except BadInput as error:
            warnings.append(f"{name} is not installed: {error.what}; {error.mend}")
    return installs, warnings


def _strangers(inventory: Inventory, world: World) -> list[str]:
    """One line of all that nobody enrolled: until then nothing is known of them."""
    lives = {name: world.servers.get(name, SeenServer()).life for name in inventory.servers}
    found = [name for name, life in lives.items() if life is Life.FOUND]
    return (
        [f"not enrolled yet: {', '.join(found)}; begin with `metal enroll --all`"] if found else []
    )


def _install(inventory: Inventory, name: str, told: Method | None) -> InstallServer:
    """BadInput, saying what to write where, when a fact is missing."""
    server, profile = inventory.servers[name], inventory.profile(name)
    route = _route(inventory, name, told)
    learned = server.learned or Learned()
    disk, *mirror = _disks(profile, server, name)
    method = server.method or profile.method
    if method == "image" and route in BY_MEDIUM:
        raise BadInput(
            "an image is unpacked by the live system, which boots over the network alone, and its "
            f"way is {route}",
            mend=f'write method = "preseed" below [servers.{name}]',
        )
    link = inventory.links(name).get("management")
    if method == "preseed" and route not in BY_MEDIUM and link and link.vlan:
        raise BadInput(
            f"its address is on VLAN {link.vlan}, which Debian's installer knows only from a "
            f"medium, and its way is {route}",
            mend=f'write method = "image" below [servers.{name}], or install it from a medium '
            "(docs/media.md); where its port carries that network untagged, take vlan from "
            "links.management",
        )
    if mirror and method == "preseed" and profile.debian == "bookworm":
        raise BadInput(
            "Debian 12's installer cannot encrypt mirrored drives",
            mend=f'write method = "image" below [servers.{name}], or debian = "trixie" in its '
            "profile",
        )
    return InstallServer(
        what=f"install Debian {profile.debian} on {name}"
        + (" from an image" if method == "image" else ""),
        why=f"{name} is enrolled and empty for us; this wipes its {_told(disk, *mirror)} and no "
        f"other{_BY.get(route, '').format(name=name)}",
        risk=Risk.DESTROYS,
        server=name,
        site=server.site,
        profile=server.profile,
        debian=profile.debian,
        mac=_mac(server.boot_mac, learned, name),
        uuid=learned.uuid,
        disk=disk.name,
        disk_serial=disk.serial,
        mirror=mirror[0].name if mirror else None,
        mirror_serial=mirror[0].serial if mirror else None,
        method=method,
        route=route,
    )


_BY = {
    "redfish-iso": "; its BMC is given the medium",
    "stick": "; somebody puts in the stick that `metal media make {name}` makes once it is open",
}


def _route(inventory: Inventory, name: str, told: Method | None) -> Method:
    """`told`: the passport's. By a medium where that is the way, or where nobody gives addresses,
    and the boot service speaks the HTTPS that media want; else over the network."""
    site = inventory.servers[name].site
    dhcp = inventory.sites[site].boot.dhcp
    if told == "redfish-iso" and inventory.servers[name].power.driver == "fence":
        told = None  # the plug takes the BMC's power, and with it what is in the drive
    if inventory.fleet.boot_https_listen and (told in BY_MEDIUM or dhcp == "none"):
        return told if told in BY_MEDIUM else "stick"
    if dhcp == "none":
        raise BadInput(
            "nobody gives addresses where it boots, so it cannot be installed over the network",
            mend=f"if that is wrong, correct dhcp below [sites.{site}.boot]; else add "
            'boot_https_listen = "0.0.0.0:8443" below [fleet]: then it is installed from a medium '
            f"(its way is in `metal server show {name}`)",
        )
    if told is not None and told not in BY_MEDIUM:
        return told
    return "pxe" if dhcp == "ours" else "proxy-dhcp"


def _check_answers(inventory: Inventory, install: InstallServer) -> None:
    """BadInput now rather than when the server asks for its preseed."""
    mirror = inventory.sites[install.site].mirror or inventory.fleet.mirror or ANY_URL
    answers(inventory, install, mirror, inventory.fleet.boot_url or ANY_URL)


def _mac(boot_mac: str | None, learned: Learned, name: str) -> str:
    if boot_mac:
        return boot_mac
    if learned.macs:
        return learned.macs[0]
    raise BadInput(
        "no network card of it is known to boot from",
        mend=f'write boot_mac = "…" below [servers.{name}]',
    )


def _told(*disks: Disk) -> str:
    """ "drive sda (223 GiB, serial number S1)" of each."""
    serials = (f", serial number {d.serial}" if d.serial else "" for d in disks)
    each = (f"{d.name} ({d.size_gib} GiB{s})" for d, s in zip(disks, serials, strict=True))
    return ("drive " if len(disks) == 1 else "drives ") + " and ".join(each)


def _disks(profile: ServerProfile, server: Server, name: str) -> list[Disk]:
    """One, or two that are to hold the same. BadInput where they are not as they are told to be:
    nothing is guessed about what is wiped."""
    known = server.learned.disks if server.learned else ()
    if not known:
        raise BadInput(
            "no drive is known, so none can be chosen for the system",
            mend=f"list its drives under [[servers.{name}.learned.disks]] with name and size_gib",
        )
    for word in server.system_disks:
        if not any(word in (disk.serial, disk.name) for disk in known):
            raise BadInput(
                f"it has no drive {word!r}, which its system_disks names",
                mend=f"correct it below [servers.{name}], or look at its drives again: "
                f"metal enroll {name}",
            )
    disks, mirrored = system_disks(profile, server), is_mirrored(profile, server)
    if len(disks) != 1 + mirrored or len(set(disks)) < len(disks):
        told = "two, which are mirrored" if mirrored else "one, which is not mirrored"
        raise BadInput(
            f"its system is to be on {told}, and {len(set(disks))} of its drives would be taken",
            mend=f"name them by serial number: system_disks = […] below [servers.{name}]; or "
            f"change mirrored in profiles/servers/{server.profile}.toml",
        )
    return [_findable(disk, name) for disk in disks]


def _findable(disk: Disk, name: str) -> Disk:
    """A drive that the installer can tell from all others."""
    if not disk.serial and not KERNEL_NAME.fullmatch(disk.name):
        raise BadInput(
            f"the installer could not find the drive {disk.name!r}: its serial number is unknown",
            mend=f"add serial, or name it as Linux does (sda), below [servers.{name}.learned]",
        )
    return disk
