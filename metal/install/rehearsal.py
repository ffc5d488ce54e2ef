"""Would this server come back from a reboot? Judged from its built initramfs. Pure."""

import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from metal.install.answers import SSH_KEY
from metal.model.base import Frozen
from metal.model.fleet import Inventory
from metal.model.rehearsal import SeenBoot

DROPBEAR_PORT = "2222"
REBUILD = "update-initramfs -u there builds it anew"
THERE = "in /etc/initramfs-tools/conf.d/metal, then update-initramfs -u there"
TANG_FILES = ("clevis-decrypt-sss", "clevis-decrypt-tang", "curl", "jose", "clevis-luks-unlock")
TPM_FILES = ("clevis-decrypt-tpm2", "tpm2_unseal", "tpm2_load", "clevis-luks-unlock")


class WantedBoot(Frozen):
    """What the next boot must bring up."""

    address: str
    mac: str
    bond: tuple[str, ...] = ()
    """Names of the cards of which any may lead to it; empty: `mac` alone does."""
    by: tuple[str, ...]
    """Of [servers.NAME.unlock]."""
    root_keys: tuple[str, ...]
    """Of everyone who may have to give it its key."""
    host_key: tuple[str, ...]
    """The pinned ones of its dropbear."""

    @property
    def cards(self) -> tuple[str, ...]:
        return (*self.bond, self.mac)


def wanted_boot(
    inventory: Inventory, server: str, controller: str, pinned: Sequence[str]
) -> WantedBoot:
    wanted = inventory.servers[server]
    macs = wanted.learned.macs if wanted.learned else ()
    link = inventory.links(server).get("management")
    keys = [SSH_KEY.fullmatch(key.strip()) for key in (*inventory.recipients(), controller)]
    return WantedBoot(
        address=str(wanted.address),
        mac=wanted.boot_mac or next(iter(macs), ""),
        bond=link.cards if link and link.bond else (),
        by=wanted.unlock.by,
        root_keys=tuple(f"{key[1]} {key[2]}" for key in keys if key),
        host_key=tuple(pinned),
    )


def obstacles(seen: SeenBoot, wanted: WantedBoot) -> list[str]:
    """Why it would not come back, each with what to do; empty when it would."""
    return [
        *_disk(seen),
        *_arrays(seen),
        *_network(seen, wanted),
        *_dropbear(seen, wanted),
        *_itself(seen, wanted),
    ]


def _disk(seen: SeenBoot) -> Iterator[str]:
    if not _has(seen, "cryptsetup"):
        yield f"no cryptsetup is in it: install cryptsetup-initramfs; {REBUILD}"
    wanted, there = _entries(seen.system_crypttab), _entries(seen.crypttab)
    if wanted and not set(wanted) & set(there):
        yield (
            f"its crypttab names none of {', '.join(wanted)}: add the option initramfs in "
            f"/etc/crypttab; {REBUILD}"
        )
    for name in set(wanted) & set(there):
        if wanted[name] != there[name]:
            yield (
                f"it looks for {name} at {there[name]}, and /etc/crypttab says {wanted[name]}: "
                f"{REBUILD}"
            )


def _arrays(seen: SeenBoot) -> Iterator[str]:
    """A system on two disks: without these it waits for a device that nobody assembles."""
    if seen.arrays and not _has(seen, "mdadm"):
        yield f"its system is on md arrays, and no mdadm is in it: install mdadm; {REBUILD}"
    elif seen.arrays and not _has_module(seen, "raid1"):
        yield (
            "its system is on md arrays, and their driver raid1 is not in it: add raid1 to "
            f"/etc/initramfs-tools/modules; {REBUILD}"
        )
    for uuid in seen.arrays:
        if f"UUID={uuid}" not in seen.mdadm:
            yield (
                f"its mdadm.conf does not name the array {uuid}: mdadm --detail --scan there "
                f"prints the line for /etc/mdadm/mdadm.conf; {REBUILD}"
            )


def _entries(crypttab: str) -> dict[str, str]:
    """Name → source of what is opened with a key that somebody or something gives."""
    lines = (line.split() for line in crypttab.splitlines())
    return {
        words[0]: words[1]
        for words in lines
        if len(words) > 1
        and not words[0].startswith("#")
        and (len(words) < 3 or words[2] in ("none", "-"))
    }


def _network(seen: SeenBoot, wanted: WantedBoot) -> Iterator[str]:
    if wanted.by == ("tpm2",):
        return  # it needs nobody
    yield from _cards(seen, wanted)
    if _setting(seen.conf, "METAL_ADDRESS"):
        yield from _by_script(seen, wanted)
    elif seen.vlan:
        yield (
            f"its address is on VLAN {seen.vlan}, and it would wait for its key untagged, where "
            f"nobody reaches it: METAL_VLAN={seen.vlan} {THERE} and the rest that docs/keys.md "
            "says, or let its TPM open it"
        )
    elif ":" in wanted.address:  # of a system whose script has the address in itself
        if f"{wanted.address}/" not in seen.premount:
            yield f"no script of it gives it its address {wanted.address}; {REBUILD}"
    else:
        yield from _by_kernel(seen, wanted)


def _cards(seen: SeenBoot, wanted: WantedBoot) -> Iterator[str]:
    if not seen.drivers and not wanted.bond:
        yield f"it has no network card {wanted.mac}: correct boot_mac in inventory.toml"
    for card in wanted.bond:
        if card in seen.absent:
            yield f"it has no network card {card}: correct links.management in inventory.toml"
    for driver in seen.drivers:
        if not _has_module(seen, driver):
            yield (
                f"the network card's driver {driver} is not in it: add {driver} to "
                f"/etc/initramfs-tools/modules; {REBUILD}"
            )


def _by_script(seen: SeenBoot, wanted: WantedBoot) -> Iterator[str]:
    """preseed/initramfs-network.sh, and what it reads."""
    address = _setting(seen.conf, "METAL_ADDRESS").partition("/")[0]
    if _canonical(address) != _canonical(wanted.address):
        yield f"its address is {address}, not {wanted.address}: METAL_ADDRESS=… {THERE}"
    vlan = _setting(seen.conf, "METAL_VLAN")
    if vlan != seen.vlan:
        yield (
            f"its address is on {_told(seen.vlan)}, and it would wait for its key on "
            f"{_told(vlan)}: {f'METAL_VLAN={seen.vlan}' if seen.vlan else 'no METAL_VLAN'} {THERE}"
        )
    if vlan and not _has_module(seen, "8021q"):
        yield (
            "the driver of VLANs, 8021q, is not in it: add 8021q to "
            f"/etc/initramfs-tools/modules; {REBUILD}"
        )
    for when in ("init-premount", "init-bottom"):
        if f"scripts/{when}/metal" not in seen.files:
            yield f"it lacks the script /etc/initramfs-tools/scripts/{when}/metal; {REBUILD}"
    tried = _setting(seen.conf, "METAL_CARDS").split()
    known = [card for card in wanted.bond or (wanted.mac,) if card not in seen.absent]
    if missing := [card for card in known if card not in tried]:
        yield f"it does not try the card {', '.join(missing)}: METAL_CARDS=… {THERE}"
    elif known and not set(known) & set(seen.linked):
        yield f"none of its cards has a link now ({', '.join(known)}): look at the cables"


def _by_kernel(seen: SeenBoot, wanted: WantedBoot) -> Iterator[str]:
    words = (_setting(seen.conf, "IP").split(":") + [""] * 6)[:6]
    if words[0] != wanted.address:
        yield f"its address is {words[0] or 'missing'}, not {wanted.address}: IP=… {THERE}"
        return
    mac = _setting(seen.conf, "BOOTIF")[3:].replace("-", ":")
    if not words[5] and mac != wanted.mac:
        yield f"its address is on {mac or 'any card'}, not on {wanted.mac}: BOOTIF=… {THERE}"


def _canonical(address: str) -> str:
    """IPv6 has many ways to write one address."""
    try:
        return str(ip_address(address))
    except ValueError:
        return address


def _told(vlan: str) -> str:
    return f"VLAN {vlan}" if vlan else "no VLAN"


def _dropbear(seen: SeenBoot, wanted: WantedBoot) -> Iterator[str]:
    if "dropbear" not in wanted.by:
        return
    if not _has(seen, "dropbear"):
        yield f"no dropbear is in it: install dropbear-initramfs; {REBUILD}"
        return
    if not re.search(rf"-p\s*(\S+:)?{DROPBEAR_PORT}\b", seen.dropbear):
        yield (
            f"its dropbear does not listen on port {DROPBEAR_PORT}: "
            f"/etc/dropbear/initramfs/dropbear.conf; {REBUILD}"
        )
    missing = [key for key in wanted.root_keys if key not in seen.authorized]
    for key in missing:
        yield (
            f"its dropbear does not let in {key[:44]}…: "
            f"/etc/dropbear/initramfs/authorized_keys; {REBUILD}"
        )
    if not wanted.host_key:
        yield "no host key of its dropbear is pinned: metal keys pin --initramfs"
    elif not set(wanted.host_key) & set(seen.host_keys):
        yield (
            "its dropbear would show another host key than the pinned one: if that is meant, "
            "metal keys pin --initramfs"
        )


def _itself(seen: SeenBoot, wanted: WantedBoot) -> Iterator[str]:
    """Lacking one of several ways is an obstacle, too: it was meant to work."""
    files = [*(TANG_FILES if "tang" in wanted.by else ())]
    files += TPM_FILES if "tpm2" in wanted.by else ()
    missing = [name for name in dict.fromkeys(files) if not _has(seen, name)]
    if missing:
        yield f"it cannot open itself without {', '.join(missing)}: install clevis-initramfs " + (
            f"and clevis-tpm2; {REBUILD}" if "tpm2" in wanted.by else f"; {REBUILD}"
        )
    if files and "scripts/local-top/clevis" not in seen.files:
        yield f"clevis's script is not in it: install clevis-initramfs; {REBUILD}"


def _has(seen: SeenBoot, program: str) -> bool:
    folders = ("bin", "sbin", "usr/bin", "usr/sbin")
    return any(f"{folder}/{program}" in seen.files for folder in folders)


def _has_module(seen: SeenBoot, module: str) -> bool:
    """As a file, compressed or not, or in the kernel; - and _ are one in module names."""
    name = re.escape(module).replace("_", "[-_]").replace(r"\-", "[-_]")
    file = re.compile(rf"(^|.*/){name}\.ko(\.(xz|zst|gz))?$")
    return any(map(file.match, seen.files)) or any(map(file.match, seen.builtin.splitlines()))


def _setting(conf: str, name: str) -> str:
    """A shell variable's last value."""
    found = re.findall(rf"^{name}=(.*)$", conf, re.MULTILINE)
    return str(found[-1]).strip("\"' ") if found else ""
